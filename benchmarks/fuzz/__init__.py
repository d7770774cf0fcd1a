"""Random and damaged input for everything that reads what comes from outside: ``make fuzz [INPUTS=10000]``."""
