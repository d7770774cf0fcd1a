"""Aligned image -> anomaly map, score, regions."""

from ptad_core.detection.detect import detect

__all__ = ["detect"]
