"""Soft mask -> outline: sub-pixel points on a level, with normals. Reference and query share this one measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.filters import blur
from ptad_core.types import FloatArray, FloatImage

MIN_NORMAL_AGREEMENT = 0.5
"""Cosine between the normals of two outline points that may be the same."""
SIDES_APART_PX = 4.0
"""How much opposite normals add to the distance of two points when an outline is thinned, per unit of the normal."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Points on the outline of a mask, holes included; in raster order where nobody thinned them.

    Attributes:
        points: (n, 2) float64 x, y in pixels.
        normals: (n, 2) float64 unit, out of the mask.
    """

    points: FloatArray
    normals: FloatArray

    def __len__(self) -> int:
        return len(self.points)

    @property
    def length_px(self) -> float:
        """Length of all of it: per length, a line of normal (a, b) crosses |a| + |b| lines of the pixel grid."""
        return float((1 / np.abs(self.normals).sum(axis=1)).sum())

    def thinned(self, count: int) -> Outline:
        """Return at most ``count`` points, spread evenly; the first of them alone are spread evenly, too.

        Each next point is the one farthest from all before it. (Every so many points in raster order would take them
        all from the same few edges of a part with many upright ones.)
        """
        kept = _spread(self.points, self.normals, min(count, len(self)))
        return Outline(self.points[kept], self.normals[kept])


@njit(cache=True, nogil=True, fastmath=True)
def _spread(points: FloatArray, normals: FloatArray, count: int) -> NDArray[np.int64]:
    """Farthest-point sampling; the two sides of a thin rod lie ``2 SIDES_APART_PX`` apart."""
    kept = np.zeros(count, np.int64)
    nearest = np.full(len(points), 1e18)
    for k in range(1, count):
        last, farthest = kept[k - 1], 0
        x, y, nx, ny = points[last, 0], points[last, 1], normals[last, 0], normals[last, 1]
        for i in range(len(points)):
            dx, dy = points[i, 0] - x, points[i, 1] - y
            dnx, dny = SIDES_APART_PX * (normals[i, 0] - nx), SIDES_APART_PX * (normals[i, 1] - ny)
            nearest[i] = min(nearest[i], dx * dx + dy * dy + dnx * dnx + dny * dny)
        for i in range(len(points)):  # a loop of its own: the one above works on eight points at once
            if nearest[i] > nearest[farthest]:
                farthest = i
        kept[k] = farthest
    return kept


def find_outline(mask: FloatImage, level: float = 0.5) -> Outline:
    """Return where a (H, W) float mask crosses a level between neighbouring pixels; the image border is no outline."""
    smooth = blur(mask, 1.0)
    out = np.empty((2 * mask.size, 4), dtype=np.float64) if mask.size < 1 << 16 else np.empty((1 << 18, 4))
    count = _crossings(np.ascontiguousarray(mask, dtype=np.float32), smooth, level, out)
    return Outline(out[:count, :2].copy(), out[:count, 2:].copy())


@njit(cache=True, nogil=True)
def _crossings(mask: NDArray[np.float32], smooth: NDArray[np.float32], level: float, out: NDArray[np.float64]) -> int:
    height, width = mask.shape
    k = 0
    for row in range(height):
        for col in range(width):
            m = mask[row, col]
            for step in range(2):
                r2, c2 = (row, col + 1) if step == 0 else (row + 1, col)
                if r2 >= height or c2 >= width or k >= out.shape[0]:
                    continue
                m2 = mask[r2, c2]
                if (m >= level) == (m2 >= level):
                    continue
                # Gradient of the smoothed mask at the inner of the two pixels, pointing outwards.
                r0, c0 = (row, col) if m >= m2 else (r2, c2)
                ra, rb = max(r0 - 1, 0), min(r0 + 1, height - 1)
                ca, cb = max(c0 - 1, 0), min(c0 + 1, width - 1)
                gx = smooth[r0, ca] - smooth[r0, cb]
                gy = smooth[ra, c0] - smooth[rb, c0]
                length = np.sqrt(gx * gx + gy * gy)
                if length < 1e-6:
                    continue
                t = (level - m) / (m2 - m)
                out[k, 0] = col + (t if step == 0 else 0.0)
                out[k, 1] = row + (t if step == 1 else 0.0)
                out[k, 2] = gx / length
                out[k, 3] = gy / length
                k += 1
    return k


def match_outlines(a: Outline, b: Outline, limit_px: float) -> tuple[FloatArray, FloatArray]:
    """Find for each point of ``a`` the nearest point of ``b`` whose normal agrees.

    Both outlines must be in raster order, as ``find_outline`` returns them.

    Returns:
        (n,) distance along b's normal, how far the point of ``a`` has to move along it, and (n,) plain distance;
        both inf where there is none within ``limit_px``.
    """
    along, plain = np.full(len(a), np.inf), np.full(len(a), np.inf)
    if len(b):
        _match(a.points, a.normals, b.points, b.normals, limit_px, along, plain)
    return along, plain


@njit(cache=True, nogil=True)
def _match(p: FloatArray, pn: FloatArray, q: FloatArray, qn: FloatArray, limit: float, along: FloatArray,
           plain: FloatArray) -> None:
    """Search from the row of each point outwards; raster order is sorted by y to within one pixel."""
    first = 0
    for i in range(len(p)):
        while first < len(q) and q[first, 1] < p[i, 1] - limit - 1:
            first += 1
        best = limit * limit
        for j in range(first, len(q)):
            dy = q[j, 1] - p[i, 1]
            if dy > limit + 1:
                break
            dx = q[j, 0] - p[i, 0]
            d2 = dx * dx + dy * dy
            if d2 < best and pn[i, 0] * qn[j, 0] + pn[i, 1] * qn[j, 1] > MIN_NORMAL_AGREEMENT:
                best = d2
                along[i] = dx * qn[j, 0] + dy * qn[j, 1]
                plain[i] = math.sqrt(d2)
