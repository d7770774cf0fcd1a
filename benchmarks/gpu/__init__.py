"""What ``make bench-gpu`` measures: stages, alignments, the paper's descent, accuracy, and memory over time."""
