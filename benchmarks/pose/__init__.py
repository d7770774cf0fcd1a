"""The pose benchmark: objects, conditions, runs and report of ``make bench-pose``."""
