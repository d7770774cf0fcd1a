"""Triangles of a planar polygon with holes, by ear clipping; enough for the few hundred points of an outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    left = list(polygon)
    triangles = []
    while len(left) > 3:
        ring = points[left]
        area = _turn(np.roll(ring, 1, axis=0), ring, np.roll(ring, -1, axis=0))
        k = _find_ear(ring, area, ring[area <= tolerance], tolerance)
        triangles.append([left[k - 1], left[k], left[(k + 1) % len(left)]])
        del left[k]
    triangles.append(left)
    return np.array(triangles, dtype=np.int64)


def _find_ear(ring: FloatArray, area: FloatArray, blockers: FloatArray, tolerance: float) -> int:
    """Return the corner to clip; large ears first make better triangles than a sweep around the outline."""
    for margin in (0.0, tolerance):  # points that rounding put on an ear's border block it only at first
        for k in np.argsort(-area):
            corner = ring[[k - 1, k, (k + 1) % len(ring)]]
            if abs(area[k]) <= tolerance or (
                    area[k] > 0 and not _any_inside(corner, blockers, margin) and not _is_crossed(corner, ring)):
                return int(k)
    raise MeshError("expected an outline that does not cross itself, ran out of ears")


def _any_inside(corner: FloatArray, points: FloatArray, margin: float) -> bool:
    """Tell whether a point other than the corners lies in the (3, 2) triangle, its border included or not."""
    a, b, c = corner
    other = ~((points == a) | (points == b) | (points == c)).all(axis=1)
    depth = np.minimum(np.minimum(_turn(a, b, points), _turn(b, c, points)), _turn(c, a, points))
    return bool(((depth >= margin) & other).any())


def _is_crossed(corner: FloatArray, ring: FloatArray) -> bool:
    """Tell whether an edge of the ring passes right through the ear's base.

    It can do so without leaving a point inside, where it starts at a corner: holes are joined by points used twice.
    """
    a, c = corner[0], corner[2]
    start, end = ring, np.roll(ring, -1, axis=0)
    through = (_turn(a, c, start) * _turn(a, c, end) < 0) & (_turn(start, end, a) * _turn(start, end, c) < 0)
    return bool(through.any())
