"""OpenCV's image operations as float32 in, float32 out: the few that every stage uses, with one border rule."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.types import FloatImage, MaskImage

REMAP_WIDTH = 4096
"""OpenCV samples no more than 32766 positions in a row."""


def blur(image: NDArray[np.float32], sigma_px: float) -> FloatImage:
    """Gaussian blur of (H, W) or (H, W, C)."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def sample(image: NDArray[np.float32], x: NDArray[np.floating], y: NDArray[np.floating]) -> FloatImage:
    """Bilinear values at (n,) or (n, k) pixel positions; the border repeats. Shape of x, plus the channels."""
    if not x.size:
        return np.zeros((*x.shape, *image.shape[2:]), np.float32)
    width = min(x.size, REMAP_WIDTH)
    at = np.zeros((2, -(-x.size // width), width), np.float32)
    at.reshape(2, -1)[:, :x.size] = x.ravel(), y.ravel()
    found = cv2.remap(image, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rows = np.asarray(found, dtype=np.float32).reshape(-1, *image.shape[2:])
    return rows[:x.size].reshape(*x.shape, *image.shape[2:])


def distance_to(mask: MaskImage) -> FloatImage:
    """(H, W) exact distance in pixels from each pixel to a mask; the image's diagonal where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, float(np.hypot(*mask.shape)), dtype=np.float32)
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far, dtype=np.float32)


def colour_gradient(lab: NDArray[np.float32]) -> FloatImage:
    """(H, W, 2) gradient d/dx, d/dy of a (H, W, 3) CIELAB picture, of its strongest channel, units per pixel."""
    smooth = blur(lab, 1.0)
    gx = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3), dtype=np.float32) / 8
    gy = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3), dtype=np.float32) / 8
    best = np.argmax(gx**2 + gy**2, axis=2)[..., None]
    return np.concatenate([np.take_along_axis(g, best, 2) for g in (gx, gy)], axis=2)
