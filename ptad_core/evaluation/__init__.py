"""Recordings in, results and reports out: the offline side, over the same inspector as the nodes."""
