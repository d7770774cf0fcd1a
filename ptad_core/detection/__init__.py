"""Aligned image -> anomaly map, score, regions."""

from ptad_core.detection.detect import THRESHOLD, detect
from ptad_core.detection.loading import examiner_of, load_judge

__all__ = ["THRESHOLD", "detect", "examiner_of", "load_judge"]
