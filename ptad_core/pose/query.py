"""The query as the solvers see it: a square crop around the mask at the working size, its camera and its outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.filters import blur
from ptad_core.outline import Outline, find_outline
from ptad_core.types import Box, FloatArray, FloatImage, MaskImage

MARGIN = 0.15
"""Room around the object's box, relative to its larger side."""


@dataclass(frozen=True, slots=True)
class Query:
    """A mask ready for the solvers.

    Attributes:
        mask: (S, S) float32 coverage 0..1 at the working size.
        camera: the crop's camera; poses are the same as in the full image.
        outline: sub-pixel outline of ``mask`` in crop pixels; where the image border cuts the object is no outline.
        scale: crop pixels per image pixel.
        origin: (2,) image position of the crop's corner, pixels.
        seen: (S, S) bool, which crop pixels lie inside the image.
    """

    mask: FloatImage
    camera: Camera
    outline: Outline
    scale: float
    origin: FloatArray
    seen: MaskImage

    def camera_ray_to_box(self) -> FloatArray:
        """(3,) ray through the middle of the outline's box."""
        middle = (self.outline.points.min(0) + self.outline.points.max(0)) / 2
        camera = self.camera
        return np.array([(middle[0] - camera.cx) / camera.fx, (middle[1] - camera.cy) / camera.fy, 1.0])

    def crop_colour(self, picture: FloatImage) -> FloatImage:
        """Return the (S, S, C) crop of an (H, W, C) float32 picture of the whole image."""
        x, y = float(self.origin[0]), float(self.origin[1])
        channels = [resample(np.ascontiguousarray(picture[..., k]), x, y, self.scale, self.camera.width)
                    for k in range(picture.shape[2])]
        return np.stack(channels, axis=-1)


def crop_window(box: Box, margin: float = MARGIN) -> tuple[float, float, float]:
    """Return x, y and side (image pixels) of the square around a box."""
    side = max(box.width, box.height) * (1 + 2 * margin)
    return box.x + (box.width - 1) / 2 - (side - 1) / 2, box.y + (box.height - 1) / 2 - (side - 1) / 2, side


def make_query(mask: MaskImage, box: Box, camera: Camera, size: int) -> Query:
    """Crop a (H, W) mask around its box and scale it to ``size`` x ``size`` pixels."""
    x, y, side = crop_window(box)
    scale = size / side
    soft = resample(mask.astype(np.float32), x, y, scale, size)
    seen = resample(np.ones(mask.shape, np.float32), x, y, scale, size) > 0.5
    crop = camera.cropped(x, y, round(side), round(side)).scaled(scale, size, size)
    outline = find_outline(soft)
    at = np.rint(outline.points).astype(np.int64).clip(0, size - 1)
    inner = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    inside = inner[at[:, 1], at[:, 0]]
    return Query(soft, crop, Outline(outline.points[inside], outline.normals[inside]), scale, np.array([x, y]), seen)


def resample(image: FloatImage, x: float, y: float, scale: float, size: int) -> FloatImage:
    """Return the (size, size) window of an image that starts at pixel (x, y), scaled; 0 outside the image.

    Scaling down averages over the pixels' areas, so that a binary mask becomes coverage.
    """
    blurred = image
    if scale < 1:
        # Bilinear lookup of an image smoothed to the new pixel size: area averaging at any offset.
        sigma = 0.5 * np.sqrt(max(1 / scale**2 - 1, 0)) * 0.75
        blurred = blur(image, max(sigma, 1e-3))
    to_image = np.array([[1 / scale, 0, x + 0.5 / scale - 0.5], [0, 1 / scale, y + 0.5 / scale - 0.5]])
    return np.asarray(cv2.warpAffine(blurred, to_image, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                     borderMode=cv2.BORDER_CONSTANT, borderValue=0), dtype=np.float32)
