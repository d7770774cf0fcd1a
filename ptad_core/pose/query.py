"""The query as the solvers see it: a square crop around the mask at the working size, its camera and its outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.image_window import ImageWindow
from ptad_core.outline import Outline, find_outline
from ptad_core.types import Box, FloatArray, FloatImage, MaskImage

MARGIN = 0.15
"""Room around the object's box, relative to its larger side."""
FEW_POINTS = 256


@dataclass(frozen=True, slots=True)
class Query:
    """A mask ready for the solvers.

    Attributes:
        window: which part of the image this is, at the working size S.
        mask: (S, S) float32 coverage 0..1.
        camera: the window's camera; poses are the same as in the full image.
        outline: sub-pixel outline of ``mask`` in window pixels; where the image border cuts the object is none.
        few: at most ``FEW_POINTS`` of its points, spread evenly; so are the first n of them, for any n.
        seen: (S, S) bool, which window pixels lie inside the image.
    """

    window: ImageWindow
    mask: FloatImage
    camera: Camera
    outline: Outline
    few: Outline
    seen: MaskImage

    @property
    def scale(self) -> float:
        """Window pixels per image pixel."""
        return self.window.scale

    def ray_to_box(self) -> FloatArray:
        """(3,) ray through the middle of the outline's box."""
        middle = (self.outline.points.min(0) + self.outline.points.max(0)) / 2
        camera = self.camera
        return np.array([(middle[0] - camera.cx) / camera.fx, (middle[1] - camera.cy) / camera.fy, 1.0])


def make_query(mask: MaskImage, box: Box, camera: Camera, size: int) -> Query:
    """Crop a (H, W) mask around its box and scale it to ``size`` x ``size`` pixels."""
    window = ImageWindow.around(box, MARGIN, camera.width, camera.height, size=size)
    soft, seen = window.crop(mask.astype(np.float32)), window.inside_image()
    outline = find_outline(soft)
    at = np.rint(outline.points).astype(np.int64).clip(0, size - 1)
    inner = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    inside = inner[at[:, 1], at[:, 0]]
    outline = Outline(outline.points[inside], outline.normals[inside])
    return Query(window, soft, window.camera(camera), outline, outline.thinned(FEW_POINTS), seen)
