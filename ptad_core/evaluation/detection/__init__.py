"""How well defects are found, on pictures with truth: cases, outcomes, metrics, report."""
