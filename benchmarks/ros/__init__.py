"""A cell under faults, under load and over time: ``make faults``, ``make soak``, ``make bench-ros``."""
