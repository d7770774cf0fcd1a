"""Triangles of a planar polygon with holes, by ear clipping; enough for the few hundred points of an outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.errors import MeshError
from ptad_core.types import FloatArray


def signed_area(outline: FloatArray) -> float:
    """Return the area inside an (n, 2) outline; positive where it runs counter-clockwise."""
    x, y = outline.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def contains(outline: FloatArray, point: FloatArray) -> bool:
    """Tell whether a (2,) point lies inside an (n, 2) outline (even-odd rule)."""
    a, b = outline, np.roll(outline, -1, axis=0)
    crosses = (a[:, 1] > point[1]) != (b[:, 1] > point[1])
    a, b = a[crosses], b[crosses]
    x = a[:, 0] + (point[1] - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return bool((x > point[0]).sum() % 2)


def triangulate(outline: FloatArray, holes: Sequence[FloatArray] = ()) -> NDArray[np.int64]:
    """Return (m, 3) counter-clockwise triangles over the points of ``outline`` followed by those of each hole.

    Every edge of the outline and of the holes is an edge of exactly one triangle, so that walls can be joined to it;
    triangles of collinear points are kept for that reason. Either direction of travel is accepted.

    Raises:
        MeshError: if the polygon crosses itself.
    """
    rings = [outline, *holes]
    points = np.concatenate(rings)
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    loops = []
    for k, ring in enumerate(rings):
        loop = list(range(starts[k], starts[k + 1]))
        loops.append(loop if (signed_area(ring) > 0) == (k == 0) else loop[::-1])
    polygon = loops[0]
    # holes further right are joined first, so that a bridge never has to pass a hole that is not part of it yet
    waiting = sorted(loops[1:], key=lambda loop: -points[loop, 0].max())
    while waiting:
        polygon = _join_hole(points, polygon, waiting.pop(0), waiting)
    return _clip_ears(points, polygon)


def _join_hole(points: FloatArray, polygon: list[int], hole: list[int], others: list[list[int]]) -> list[int]:
    """Cut the polygon open to the hole along the shortest bridge that crosses nothing."""
    away = np.sum((points[polygon][:, None] - points[hole]) ** 2, axis=-1)
    edges = np.array([[ring[k], ring[(k + 1) % len(ring)]] for ring in (polygon, hole, *others)
                      for k in range(len(ring))])
    for i, j in np.argwhere(away >= 0)[np.argsort(away, axis=None)].tolist():
        p, h = points[polygon[i]], points[hole[j]]
        before, after = points[polygon[i - 1]], points[polygon[(i + 1) % len(polygon)]]
        if _inside_corner(before, p, after, h) and not _crosses_any(p, h, points[edges[:, 0]], points[edges[:, 1]]):
            return [*polygon[:i + 1], *hole[j:], *hole[:j + 1], *polygon[i:]]
    raise MeshError("expected holes inside the outline that do not touch, found no bridge to one")


def _turn(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Twice the signed area of triangles abc; each (..., 2)."""
    ab, ac = b - a, c - a
    return np.asarray(ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0])


def _inside_corner(before: FloatArray, corner: FloatArray, after: FloatArray, target: FloatArray) -> bool:
    """Tell whether the way from a corner to ``target`` starts inside the counter-clockwise polygon."""
    left, right = _turn(before, corner, target) > 0, _turn(corner, after, target) > 0
    return bool(left and right) if _turn(before, corner, after) > 0 else bool(left or right)


def _crosses_any(p: FloatArray, q: FloatArray, a: FloatArray, b: FloatArray) -> bool:
    """Tell whether the open segment pq meets one of the segments ab, other than at a common end."""
    shares = ((a == p) | (a == q)).all(axis=1) | ((b == p) | (b == q)).all(axis=1)
    apart = _turn(p, q, a) * _turn(p, q, b) <= 0
    return bool((apart & (_turn(a, b, p) * _turn(a, b, q) <= 0) & ~shares).any())


def _clip_ears(points: FloatArray, polygon: list[int]) -> NDArray[np.int64]:
    tolerance = 1e-11 * float(np.ptp(points, axis=0).max()) ** 2
    triangles = np.empty((len(polygon) - 2, 3), np.int64)
    if not _ears(np.ascontiguousarray(points, np.float64), np.array(polygon), tolerance, triangles):
        raise MeshError("expected an outline that does not cross itself, ran out of ears")
    return triangles


@njit(cache=True, nogil=True)
def _ears(points: FloatArray, left: NDArray[np.int64], tolerance: float, triangles: NDArray[np.int64]) -> bool:
    """Clip a polygon's ears into (n - 2, 3) triangles; false where none is left."""
    n = len(left)
    left = left.copy()
    for made in range(len(triangles) - 1):
        k = _find_ear(points, left[:n], tolerance)
        if k < 0:
            return False
        triangles[made] = left[k - 1 if k else n - 1], left[k], left[(k + 1) % n]
        left[k:n - 1] = left[k + 1:n].copy()
        n -= 1
    triangles[-1] = left[0], left[1], left[2]
    return True


@njit(cache=True, nogil=True)
def _find_ear(points: FloatArray, ring: NDArray[np.int64], tolerance: float) -> int:
    """Return the corner to clip, -1 if there is none; large ears first make better triangles than a sweep around."""
    n = len(ring)
    area = np.empty(n)
    for k in range(n):
        area[k] = _twice_area(points[ring[k - 1 if k else n - 1]], points[ring[k]], points[ring[(k + 1) % n]])
    order = np.argsort(-area)
    for margin in (0.0, tolerance):  # points that rounding put on an ear's border block it only at first
        for k in order:
            if abs(area[k]) <= tolerance or (area[k] > 0 and _is_ear(points, ring, area, k, margin, tolerance)):
                return int(k)
    return -1


@njit(cache=True, nogil=True)
def _is_ear(points: FloatArray, ring: NDArray[np.int64], area: FloatArray, k: int, margin: float, tolerance: float,
            ) -> bool:
    """Tell whether corner k can be cut off: no reflex corner lies inside, and no edge passes through its base.

    An edge can do so without a point inside where it starts at a corner: holes are joined by points used twice.
    """
    n = len(ring)
    a, b, c = points[ring[k - 1 if k else n - 1]], points[ring[k]], points[ring[(k + 1) % n]]
    for m in range(n):
        p, q = points[ring[m]], points[ring[(m + 1) % n]]
        if area[m] <= tolerance and not (_same(p, a) or _same(p, b) or _same(p, c)):
            depth = min(_twice_area(a, b, p), _twice_area(b, c, p), _twice_area(c, a, p))
            if depth >= margin:
                return False
        if (_twice_area(a, c, p) * _twice_area(a, c, q) < 0) and (_twice_area(p, q, a) * _twice_area(p, q, c) < 0):
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _twice_area(a: FloatArray, b: FloatArray, c: FloatArray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


@njit(cache=True, nogil=True, inline="always")
def _same(a: FloatArray, b: FloatArray) -> bool:
    return bool(a[0] == b[0] and a[1] == b[1])
