"""Image -> foreground, four ways. Each returns a (H, W) bool picture that ``mask.finish`` turns into the object."""

from __future__ import annotations

import cv2
import numpy as np

from ptad_core.errors import ImageError
from ptad_core.filters import blur, distance_to
from ptad_core.types import ColorImage, FloatArray, FloatImage, MaskImage

LIGHTNESS_WEIGHT = 0.4
"""Shadows and vignetting change the lightness of a background far more than its colour."""
DEEPEST_SHADOW = 0.2
"""Share of the light that is left in the darkest shadow."""
MIN_DIFFERENCE_LAB = 9.0
"""Weighted CIELAB difference below which nothing counts as an object, whatever else is in the picture."""
BORDER_SHARE = 0.06
"""Width of the frame around the image that is taken for background."""
GRABCUT_SIZE_PX = 320


def by_threshold(image_bgr: ColorImage, low: tuple[int, ...], high: tuple[int, ...]) -> MaskImage:
    """HSV range; a lowest hue above the highest one wraps around red (hue 0..179)."""
    hsv = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2HSV)
    hues = [(low[0], high[0])] if low[0] <= high[0] else [(low[0], 179), (0, high[0])]
    inside = [cv2.inRange(hsv, np.array((first, *low[1:])), np.array((last, *high[1:]))) for first, last in hues]
    return np.asarray(np.maximum.reduce(inside) > 0, dtype=bool)


def by_background(lab: FloatImage, background_lab: FloatImage, threshold: float, shadows: bool) -> MaskImage:
    """Difference to a picture of the empty scene, CIELAB; ``shadows`` takes a darkened background for background."""
    if lab.shape != background_lab.shape:
        raise ImageError(f"expected a background picture of {lab.shape[1]}x{lab.shape[0]} like the image, got "
                         f"{background_lab.shape[1]}x{background_lab.shape[0]}")
    smooth, empty = blur(lab, 1.0), blur(background_lab, 1.0)
    return np.asarray(_difference(smooth, empty, shadows) > threshold, dtype=bool)


def by_border_colour(lab: FloatImage, shadows: bool) -> MaskImage:
    """Difference to a smooth background whose colours the image's frame shows.

    The background is a quadratic in x and y per channel, fitted to the frame robustly, so that gradients of the light
    do not count. The threshold is Otsu's, but never below what noise and texture of the frame itself reach.
    """
    smooth = np.asarray(cv2.bilateralFilter(lab, 5, 8.0, 2.0), dtype=np.float32)
    difference = _difference(smooth, _background_of_frame(smooth), shadows)
    frame = _frame(difference.shape)
    noise = float(np.percentile(difference[frame], 90))
    scaled = np.clip(difference * 4, 0, 255).astype(np.uint8)
    otsu = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] / 4
    return np.asarray(difference > max(MIN_DIFFERENCE_LAB, 0.6 * otsu, min(2.0 * noise, 25.0)), dtype=bool)


def by_grabcut(image_bgr: ColorImage, projected: MaskImage, uncertainty_px: float) -> MaskImage:
    """GrabCut started from where the part is expected.

    Args:
        image_bgr: (H, W, 3).
        projected: (H, W) the part's mask at the seed.
        uncertainty_px: how far the true outline may lie from it.
    """
    rows, cols = np.flatnonzero(projected.any(1)), np.flatnonzero(projected.any(0))
    if len(rows) == 0:
        return np.zeros(projected.shape, dtype=bool)
    pad = int(2 * uncertainty_px + 0.15 * max(np.ptp(rows), np.ptp(cols)) + 8)
    top, bottom = max(rows[0] - pad, 0), min(rows[-1] + pad + 1, projected.shape[0])
    left, right = max(cols[0] - pad, 0), min(cols[-1] + pad + 1, projected.shape[1])
    scale = min(1.0, GRABCUT_SIZE_PX / max(bottom - top, right - left))
    size = (max(8, round((right - left) * scale)), max(8, round((bottom - top) * scale)))
    window = np.asarray(cv2.resize(image_bgr[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.uint8)
    expected = cv2.resize(projected[top:bottom, left:right].astype(np.uint8), size,
                          interpolation=cv2.INTER_NEAREST) > 0
    outside, inside = distance_to(expected), distance_to(~expected)
    reach = max(2.0, uncertainty_px * scale)
    trimap = np.where(expected, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[outside > reach * 1.5] = cv2.GC_BGD
    trimap[inside > reach] = cv2.GC_FGD
    if not (trimap == cv2.GC_FGD).any():
        trimap[inside >= 0.7 * inside.max()] = cv2.GC_FGD
    if not (trimap == cv2.GC_BGD).any():
        return np.zeros(projected.shape, dtype=bool)
    cv2.setRNGSeed(0)
    cv2.grabCut(window, trimap, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    out = np.zeros(projected.shape, dtype=bool)
    out[top:bottom, left:right] = cv2.resize(found, (right - left, bottom - top)) > 0.5
    return out


def _difference(lab: FloatImage, background_lab: FloatImage, shadows: bool) -> FloatImage:
    """(H, W) weighted CIELAB difference to a background, or to the background as it would look in shadow.

    A shadow scales the light of all channels alike. CIELAB's three values are, up to offsets, cube roots of light, so
    it scales L + 16, a and b by one factor, the cube root of what light is left.
    """
    if shadows:
        factor = (lab[..., 0] + 16) / (background_lab[..., 0] + 16)
        factor = np.clip(factor, np.float32(DEEPEST_SHADOW ** (1 / 3)), np.float32(1))[..., None]
        offset = np.array([16, 0, 0], dtype=np.float32)
        background_lab = (background_lab + offset) * factor - offset
    return _weighted(lab - background_lab)


def _weighted(difference_lab: FloatImage) -> FloatImage:
    return np.asarray(np.sqrt((LIGHTNESS_WEIGHT * difference_lab[..., 0]) ** 2 + difference_lab[..., 1] ** 2
                              + difference_lab[..., 2] ** 2), dtype=np.float32)


def _frame(shape: tuple[int, ...]) -> MaskImage:
    height, width = shape[:2]
    margin = max(2, round(BORDER_SHARE * min(height, width)))
    frame = np.ones((height, width), dtype=bool)
    frame[margin:-margin, margin:-margin] = False
    return frame


def _background_of_frame(lab: FloatImage, iterations: int = 8) -> FloatImage:
    """Extend the frame's colours over the image: a quadratic per channel, fitted with redescending weights."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = 2 * x / width - 1, 2 * y / height - 1
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    frame = _frame(lab.shape)
    A, B = basis[frame][::3].astype(np.float64), lab[frame][::3].astype(np.float64)
    weights = np.ones(len(A))
    # Start from the median colour: an object that reaches over the frame must not tilt the first fit.
    coefficients: FloatArray = np.zeros((6, 3))
    coefficients[0] = np.median(B, axis=0)
    for _ in range(iterations):
        residual = np.linalg.norm((B - A @ coefficients) * [LIGHTNESS_WEIGHT, 1, 1], axis=1)
        spread = max(2.0, 2.5 * float(np.median(residual)))
        weights = 1 / (1 + (residual / spread) ** 4)
        weighted = A * weights[:, None]
        coefficients = np.linalg.solve(A.T @ weighted + 1e-6 * len(A) * np.eye(6), weighted.T @ B)
    return np.asarray(basis @ coefficients.astype(np.float32), dtype=np.float32)
