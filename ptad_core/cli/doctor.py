"""``ptad doctor``: what this machine and this cell lack, each with its remedy."""
