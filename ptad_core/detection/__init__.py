"""Aligned image -> anomaly map, score, regions."""

from ptad_core.detection.detect import THRESHOLD, detect
from ptad_core.detection.loading import load_judge

__all__ = ["THRESHOLD", "detect", "load_judge"]
