"""Mask -> pose, with how far to trust it."""

from ptad_core.pose.align import align

__all__ = ["align"]
