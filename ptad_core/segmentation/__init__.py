"""Image -> the object's mask, with the confidence that lets a bad mask become CANNOT_INSPECT."""

from ptad_core.segmentation.segment import Background, segment, segment_around

__all__ = ["Background", "segment", "segment_around"]
