"""Foreground around a known pose: what a pixel's colour says, learned on both sides of the expected outline close by.

GrabCut has one colour model for the whole object and one for the whole background, and prefers short outlines: it
closes gaps and rounds corners. Close to the right pose both are unnecessary: just inside of the expected outline lies
the object, just outside the background, and colours may differ from place to place (Hexner and Hagege, "2D-3D Pose
Estimation of Heterogeneous Objects Using a Region Based Approach", IJCV 2016; Tjaden et al., "A Region-Based
Gauss-Newton Approach to Real-Time Monocular Multiple Object Tracking", PAMI 2018).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.filters import blur, distance_to
from ptad_core.types import FloatImage, MaskImage

COLOURS = 32
PALETTE_SAMPLES = 4000
RADIUS_IN_SIZES = 0.12
"""How far around colours are learned from, relative to the object's larger side."""
MIN_RADIUS_PX = 12
FAR_COUNT = 30.0
"""Pixels that the colours of the whole side count for, beside those close by."""
MAX_LLR = 5.0
MAX_PRIOR = 2.0
"""Log odds that the expected outline counts for at most: a hole whose colour is the background's is a hole."""


def by_local_colour(lab: FloatImage, projected: MaskImage, uncertainty_px: float) -> MaskImage:
    """Decide pixel by pixel, near where the part is expected.

    Args:
        lab: (H, W, 3) CIELAB.
        projected: (H, W) the part's mask at the pose.
        uncertainty_px: how far the true outline may lie from it.
    """
    out = np.zeros(projected.shape, dtype=bool)
    rows, cols = np.flatnonzero(projected.any(1)), np.flatnonzero(projected.any(0))
    if len(rows) == 0:
        return out
    size = max(np.ptp(rows), np.ptp(cols)) + 1
    radius = max(MIN_RADIUS_PX, round(RADIUS_IN_SIZES * size))
    pad = int(radius + 2 * uncertainty_px)
    top, bottom = max(rows[0] - pad, 0), min(rows[-1] + pad + 1, projected.shape[0])
    left, right = max(cols[0] - pad, 0), min(cols[-1] + pad + 1, projected.shape[1])
    window, expected = lab[top:bottom, left:right], projected[top:bottom, left:right]
    signed = distance_to(~expected) - distance_to(expected)
    inside, outside = signed > uncertainty_px, signed < -uncertainty_px
    if not inside.any():
        inside = signed >= 0.7 * signed.max()
    if not outside.any():
        return out
    odds = _log_odds(_palette_codes(window), inside, outside, radius)
    prior = np.clip(signed / max(uncertainty_px, 1.0), -MAX_PRIOR, MAX_PRIOR)
    out[top:bottom, left:right] = blur(odds, 0.8) + prior > 0
    return out


def _palette_codes(lab: FloatImage) -> NDArray[np.uint8]:
    """(H, W) index of each pixel's colour in a palette of the picture's own."""
    pixels = lab.reshape(-1, 3)
    some = np.ascontiguousarray(pixels[:: max(1, len(pixels) // PALETTE_SAMPLES)])
    cv2.setRNGSeed(0)
    enough = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    start = np.zeros((len(some), 1), np.int32)
    palette = cv2.kmeans(some, min(COLOURS, len(some)), start, enough, 1, cv2.KMEANS_PP_CENTERS)[2]
    apart = (pixels**2).sum(1)[:, None] - 2 * pixels @ palette.T + (palette**2).sum(1)
    return np.asarray(apart.argmin(axis=1).reshape(lab.shape[:2]), dtype=np.uint8)


def _log_odds(codes: NDArray[np.uint8], inside: MaskImage, outside: MaskImage, radius: int) -> FloatImage:
    """(H, W) log of how much more frequent a pixel's colour is inside than outside, close to it."""
    count = int(codes.max()) + 1
    box = (2 * radius + 1, 2 * radius + 1)

    def near(mask: NDArray[np.float32]) -> FloatImage:
        return np.asarray(cv2.boxFilter(mask, cv2.CV_32F, box, normalize=False, borderType=cv2.BORDER_CONSTANT))

    sides = []
    for side in (inside, outside):
        weight = side.astype(np.float32)
        whole = (np.bincount(codes[side], minlength=count) + 0.5) / (side.sum() + 0.5 * count)
        frequency, total = np.empty(codes.shape, np.float32), near(weight) + FAR_COUNT
        for k in range(count):
            here = codes == k
            frequency[here] = ((near(weight * here) + FAR_COUNT * np.float32(whole[k])) / total)[here]
        # A hole is most of what lies close to it: inside, a colour is no more frequent than in the object as a whole.
        sides.append(np.minimum(frequency, whole.astype(np.float32)[codes]) if side is inside else frequency)
    return np.asarray(np.clip(np.log(sides[0] / sides[1]), -MAX_LLR, MAX_LLR), dtype=np.float32)
