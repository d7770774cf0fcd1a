"""A square window of an image at a scale of its own: what the solvers and the detector work in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.filters import blur
from ptad_core.types import Box, FloatImage, MaskImage


@dataclass(frozen=True, slots=True)
class ImageWindow:
    """Where a window lies in its image; it may reach beyond the image's border.

    Attributes:
        x: image column of the window's left edge, plus one half: at scale 1 the column of its first pixel.
        y: the same for the row.
        scale: window pixels per image pixel.
        size: pixels along each side of the window.
        image_width: pixels.
        image_height: pixels.
    """

    x: float
    y: float
    scale: float
    size: int
    image_width: int
    image_height: int

    @classmethod
    def around(cls, box: Box, margin: float, image_width: int, image_height: int, size: int | None = None,
               max_size: int | None = None) -> ImageWindow:
        """Return the square around a box with ``margin`` times its larger side as room.

        ``size`` is the side in window pixels; without it the window keeps the image's scale, up to ``max_size``.
        """
        side = max(box.width, box.height) * (1 + 2 * margin)
        scale = size / side if size is not None else min(1.0, max_size / side if max_size is not None else 1.0)
        x, y = box.x + (box.width - 1) / 2 - (side - 1) / 2, box.y + (box.height - 1) / 2 - (side - 1) / 2
        return cls(x, y, scale, size if size is not None else round(side * scale), image_width, image_height)

    def camera(self, camera: Camera) -> Camera:
        """Return the camera that sees this window; poses stay as they are."""
        return camera.cropped(self.x, self.y, self.size, self.size).scaled(self.scale, self.size, self.size)

    def crop(self, image: NDArray[np.float32]) -> FloatImage:
        """Return the (S, S) or (S, S, C) window of a float32 image; 0 outside of the image.

        Scaling down averages over the pixels' areas, so that a binary mask becomes coverage.
        """
        if self.scale < 1:
            # Bilinear lookup of an image smoothed to the new pixel size: area averaging at any offset.
            image = blur(image, max(0.375 * float(np.sqrt(1 / self.scale**2 - 1)), 1e-3))
        return np.asarray(cv2.warpAffine(image, self._to_image(), (self.size, self.size),
                                         flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                         borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0)), dtype=np.float32)

    def inside_image(self) -> MaskImage:
        """Return the (S, S) pixels of the window that the image covers."""
        centres = (np.arange(self.size) + 0.5) / self.scale - 0.5
        cols = (centres + self.x > -0.5) & (centres + self.x < self.image_width - 0.5)
        rows = (centres + self.y > -0.5) & (centres + self.y < self.image_height - 0.5)
        return np.asarray(rows[:, None] & cols, dtype=bool)

    def lay_into_image(self, picture: NDArray[np.float32], fill: float, smooth: bool) -> FloatImage:
        """Return the (H, W) or (H, W, C) image that shows a picture of this window, ``fill`` elsewhere.

        ``smooth`` interpolates; without it the nearest value is taken, which NaN and depth steps need.
        """
        s = self.scale
        to_window = np.array([[s, 0, (0.5 - self.x) * s - 0.5], [0, s, (0.5 - self.y) * s - 0.5]])
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        return np.asarray(cv2.warpAffine(picture, to_window, (self.image_width, self.image_height),
                                         flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
                                         borderValue=(fill, fill, fill, fill)), dtype=np.float32)

    def box_in_image(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Box:
        """Return the tight box of window pixels, in pixels of the image and clipped to it."""
        x0, y0 = self.x + cols.min() / self.scale, self.y + rows.min() / self.scale
        x1, y1 = self.x + (cols.max() + 1) / self.scale, self.y + (rows.max() + 1) / self.scale
        left = int(np.clip(np.floor(x0), 0, self.image_width - 1))
        top = int(np.clip(np.floor(y0), 0, self.image_height - 1))
        right = int(np.clip(np.ceil(x1), left + 1, self.image_width))
        bottom = int(np.clip(np.ceil(y1), top + 1, self.image_height))
        return Box(left, top, right - left, bottom - top)

    def _to_image(self) -> NDArray[np.float64]:
        """(2, 3) map from window pixels to image pixels."""
        s = self.scale
        return np.array([[1 / s, 0, self.x + 0.5 / s - 0.5], [0, 1 / s, self.y + 0.5 / s - 0.5]])
