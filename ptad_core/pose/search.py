"""Candidates: rank views and in-plane rolls by the chamfer distance of box-normalised outlines (PTAD Eq. 3).

The paper compares masks of 20 views, upright. CAD axes are arbitrary, so here every view of the sphere is turned
through every roll, and outlines stand for masks: a coarse forward distance over all candidates, then the
distance both ways for the best of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.pose.query import Query
from ptad_core.reference.build import Reference
from ptad_core.reference.views import ring_directions
from ptad_core.types import FloatArray

ROLLS = 24
PLACEMENTS = 5
LEAST_DIFFERENCE = 0.06
"""How much, relatively, two boxes must differ in their proportions before one is laid at an end of the other."""
FORWARD_POINTS = 48
QUERY_POINTS = 96
SHORTLIST = 240
TRUNCATION = 0.04
"""Distances count up to this share of the box's diagonal: a defect must not outvote the rest of the outline."""
NEAREST_IN_DIAMETERS = 1.0
"""Nobody looks at a part from within it."""
APART_DIAMETERS = 0.25
RING_VIEWS = 20
RING_WIDTH_DEG = 16.0
RING_ROLL_DEG = 30.0


Allowed = NDArray[np.bool_]
"""(V, rolls) which of the reference's views, turned through which roll, are tried."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What is ranked against what.

    Attributes:
        outlines: (V, n, 2) of the views, in diameters.
        allowed: (V, rolls).
        distance: (S, S) float32 from each pixel to the query's outline.
        query: (m, 2) some of its points.
        low: (2,) low corner x, y of its box.
        high: (2,) the high one.
        limit: the distance beyond which nothing counts, pixels.
    """

    outlines: FloatArray
    allowed: Allowed
    distance: NDArray[np.float32]
    query: FloatArray
    low: FloatArray
    high: FloatArray
    limit: float


Rank = Callable[[Contest], FloatArray | None]
"""Returns the (k, 5) best candidates, best first: their view, their roll in radians, and how they were placed: pixels
per diameter, and the origin x, y. None where it cannot now."""


def whole_sphere(reference: Reference) -> Allowed:
    """Every direction, and any roll of the camera."""
    return np.ones((len(reference.views.directions), ROLLS), dtype=bool)


def ring(reference: Reference) -> Allowed:
    """The paper's ring: the camera 20 degrees above the part's middle, upright, and what lies close to that."""
    near = (reference.views.directions @ ring_directions(RING_VIEWS).T).max(axis=1) > np.cos(np.radians(RING_WIDTH_DEG))
    roll_deg = 360 / ROLLS * np.arange(ROLLS)
    return np.asarray(near[:, None] & (np.minimum(roll_deg, 360 - roll_deg) <= RING_ROLL_DEG))


def cone(query: Query, reference: Reference, R_camera_part: FloatArray, angle_deg: float) -> Allowed:
    """All rotations within ``angle_deg`` of R_camera_part (3, 3): what a prior leaves of the sphere."""
    # trace(R_seed^T Rz(roll) R_view) = cos(roll) (M00 + M11) + sin(roll) (M01 - M10) + M22, M = R_view R_seed^T.
    M = _turn_axis_to(query.ray_to_box()) @ reference.views.R_camera_part @ R_camera_part.T
    roll = 2 * np.pi * np.arange(ROLLS) / ROLLS
    trace = (np.cos(roll) * (M[:, 0, 0] + M[:, 1, 1])[:, None] + np.sin(roll) * (M[:, 0, 1] - M[:, 1, 0])[:, None]
             + M[:, 2, 2][:, None])
    return np.asarray((trace - 1) / 2 >= np.cos(np.radians(min(angle_deg, 180.0))), dtype=bool)


def candidate_poses(query: Query, reference: Reference, allowed: Allowed, count: int, apart_deg: float,
                    rank: Rank | None = None) -> list[FloatArray]:
    """Return up to ``count`` first guesses of T_camera_part, best first, clearly different from each other.

    Args:
        query: the mask's outline and camera.
        reference: the part.
        allowed: (V, rolls) which views are tried, and how they may be rolled.
        count: how many to return.
        apart_deg: angle between any two of them, if not ``APART_DIAMETERS`` between their places.
        rank: does the ranking, where that is not the CPU's.
    """
    views = np.flatnonzero(allowed.any(axis=1))
    if len(views) == 0:
        return []
    contest = _contest(query, reference, views, allowed[views])
    ranked = rank(contest) if rank is not None else None
    if ranked is None:
        ranked = _rank(contest)
    poses = _poses(query, reference, views[ranked[:, 0].astype(np.int64)], ranked[:, 1], ranked[:, 2:])
    left = np.ones(len(poses), dtype=bool)
    chosen: list[FloatArray] = []
    while left.any() and len(chosen) < count:
        best = poses[np.argmax(left)]
        chosen.append(best)
        left &= _apart(poses, best, reference, apart_deg)
    return chosen


def _contest(query: Query, reference: Reference, views: NDArray[np.int64], allowed: Allowed) -> Contest:
    outline = query.few.points[:QUERY_POINTS]
    low, high = query.outline.points.min(0), query.outline.points.max(0)
    far = np.ones(query.mask.shape, np.uint8)
    at = np.rint(query.outline.points).astype(np.int64)
    far[at[:, 1], at[:, 0]] = 0
    distance = np.asarray(cv2.distanceTransform(far, cv2.DIST_L2, 5), dtype=np.float32)
    limit = TRUNCATION * float(np.linalg.norm(high - low))
    return Contest(_seen(query, reference, views, outline), allowed, distance, outline, low, high, limit)


def _rank(contest: Contest) -> FloatArray:
    """``Rank`` on the CPU."""
    c = contest
    forward = _forward(c.outlines, c.allowed, c.distance, c.low, c.high, c.limit)
    order = np.argpartition(forward, min(SHORTLIST, forward.size - 1), axis=None)[:SHORTLIST]
    order = np.sort(order[np.isfinite(forward.ravel()[order])])
    both = _both_ways(c.outlines, order, c.query, c.low, c.high, c.limit)
    ranked = np.empty((len(order), 5))
    placed = np.empty((PLACEMENTS, 3))
    for row, k in zip(ranked, np.argsort(both, kind="stable"), strict=True):
        view, roll, how = _unravel(order[k])
        _place(c.outlines[view], roll, c.low, c.high, placed)
        row[:] = view, roll, *placed[how]
    return ranked


def _seen(query: Query, reference: Reference, views: NDArray[np.int64], outline: FloatArray) -> FloatArray:
    """(k, n, 2) outlines of views in diameters, as they look from as near as the query's size says the part is.

    Size is the points' spread about their middle, which no roll changes. What is near looks larger, and a box seen
    from 1.5 of its diameters has another outline than from 3.
    """
    at = reference.views.outlines[views, :QUERY_POINTS]
    spread = np.sqrt(at.var(axis=1).sum(axis=1))
    spread_px = max(float(np.sqrt(outline.var(axis=0).sum())), 1.0)
    distance = np.maximum(math.sqrt(query.camera.fx * query.camera.fy) * spread / spread_px, NEAREST_IN_DIAMETERS)
    out = np.empty(at.shape)
    _project(reference.views.points[views, :QUERY_POINTS] / reference.diameter_m,
             np.ascontiguousarray(reference.views.R_camera_part[views]), distance, out)
    return out


def _apart(poses: FloatArray, other: FloatArray, reference: Reference, angle_deg: float) -> Allowed:
    """(n,) which of (n, 4, 4) poses are clearly different from another one."""
    shift = (poses - other)[:, :3, :3] @ reference.center_m + (poses - other)[:, :3, 3]
    trace = np.einsum("nij,sij->ns", poses[:, :3, :3], other[:3, :3] @ reference.symmetries).max(axis=1)
    return np.asarray(((shift**2).sum(axis=1) > (APART_DIAMETERS * reference.diameter_m) ** 2)
                      | (trace < 1 + 2 * np.cos(np.radians(angle_deg))))


def _poses(query: Query, reference: Reference, views: NDArray[np.int64], rolls: FloatArray, placed: FloatArray,
           ) -> FloatArray:
    """(n, 4, 4) poses that show (n,) views, rolled, as they were placed (n, 3)."""
    px_per_diameter, camera = placed[:, 0], query.camera
    rays = np.column_stack([(placed[:, 1] - camera.cx) / camera.fx, (placed[:, 2] - camera.cy) / camera.fy,
                            np.ones(len(placed))])
    depth = math.sqrt(camera.fx * camera.fy) * reference.diameter_m / px_per_diameter
    c, s = np.cos(rolls), np.sin(rolls)
    R_roll = np.zeros((len(rolls), 3, 3))
    R_roll[:, 0, 0], R_roll[:, 0, 1], R_roll[:, 1, 0], R_roll[:, 1, 1], R_roll[:, 2, 2] = c, -s, s, c, 1
    T = np.zeros((len(rolls), 4, 4))
    T[:, :3, :3] = _turn_axis_to(rays) @ R_roll @ reference.views.R_camera_part[views]
    T[:, :3, 3] = depth[:, None] * rays - T[:, :3, :3] @ reference.center_m
    T[:, 3, 3] = 1
    return T


def _turn_axis_to(rays: FloatArray) -> FloatArray:
    """The shortest (..., 3, 3) rotations that turn the optical axis onto (..., 3) rays: views seen off the axis."""
    a = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    K = np.zeros((*a.shape, 3))
    K[..., :2, 2], K[..., 2, :2] = a[..., :2], -a[..., :2]
    return np.asarray(np.eye(3) + K + K @ K / (1 + a[..., 2, None, None]), dtype=np.float64)


@njit(cache=True, nogil=True, fastmath=True)
def _project(points: FloatArray, R: FloatArray, distance: FloatArray, out: FloatArray) -> None:
    """(V, n, 2) pinhole pictures, at the scale of the part's centre, of (V, n, 3) points about it."""
    for v in range(points.shape[0]):
        for i in range(points.shape[1]):
            x, y, z = points[v, i, 0], points[v, i, 1], points[v, i, 2]
            nearer = distance[v] / (distance[v] + R[v, 2, 0] * x + R[v, 2, 1] * y + R[v, 2, 2] * z)
            out[v, i, 0] = nearer * (R[v, 0, 0] * x + R[v, 0, 1] * y + R[v, 0, 2] * z)
            out[v, i, 1] = nearer * (R[v, 1, 0] * x + R[v, 1, 1] * y + R[v, 1, 2] * z)


@njit(cache=True, nogil=True)
def _unravel(k: int) -> tuple[int, float, int]:
    """Index of a view, the roll in radians, and the placement that a candidate's number stands for."""
    return k // (ROLLS * PLACEMENTS), 2 * math.pi * (k // PLACEMENTS % ROLLS) / ROLLS, k % PLACEMENTS


@njit(cache=True, nogil=True, fastmath=True)
def _place(outline: FloatArray, roll: float, low: FloatArray, high: FloatArray, placed: FloatArray) -> None:
    """Lay a turned outline over the query's box in different ways: (placements, 3) pixels per diameter, and the origin.

    The first: middle on middle, diagonal as long as diagonal. What is missing shortens the box along one axis, and
    what stands out lengthens it: the next two fit the axis that asks for the larger scale, the last two the other one,
    and let the boxes meet at the low or the high end. The scale is 0 where these are no different from the first.
    """
    c, s = math.cos(roll), math.sin(roll)
    x0, y0, x1, y1 = 1e9, 1e9, -1e9, -1e9
    for i in range(outline.shape[0]):
        x = c * outline[i, 0] - s * outline[i, 1]
        y = s * outline[i, 0] + c * outline[i, 1]
        x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    w, h, box_w, box_h = max(x1 - x0, 1e-9), max(y1 - y0, 1e-9), high[0] - low[0], high[1] - low[1]
    differ = abs(math.log(box_w * h / (box_h * w))) >= LEAST_DIFFERENCE
    for how in range(PLACEMENTS):
        if how == 0:
            scale = math.sqrt((box_w * box_w + box_h * box_h) / (w * w + h * h))
        else:
            scale = max(box_w / w, box_h / h) if how <= 2 else min(box_w / w, box_h / h)
        end = 0.0 if how == 0 else (-0.5 if how % 2 == 1 else 0.5)
        placed[how, 0] = scale if how == 0 or differ else 0.0
        placed[how, 1] = (low[0] + high[0]) / 2 + end * (box_w - scale * w) - scale * (x0 + x1) / 2
        placed[how, 2] = (low[1] + high[1]) / 2 + end * (box_h - scale * h) - scale * (y0 + y1) / 2


@njit(cache=True, nogil=True, fastmath=True)
def _forward(outlines: FloatArray, allowed: NDArray[np.bool_], distance: NDArray[np.float32], low: FloatArray,
             high: FloatArray, limit: float) -> FloatArray:
    """(V, rolls, placements) mean truncated distance from each placed outline to the query's; inf: not a candidate."""
    cost = np.full((outlines.shape[0], ROLLS, PLACEMENTS), np.inf)
    height, width = distance.shape
    placed = np.empty((PLACEMENTS, 3))
    for v in range(outlines.shape[0]):
        for r in range(ROLLS):
            roll = 2 * math.pi * r / ROLLS
            c, s = math.cos(roll), math.sin(roll)
            if not allowed[v, r]:
                continue
            _place(outlines[v], roll, low, high, placed)
            for how in range(PLACEMENTS):
                scale, ox, oy = placed[how]
                if scale == 0.0:
                    continue
                total = 0.0
                for i in range(FORWARD_POINTS):
                    col = int(scale * (c * outlines[v, i, 0] - s * outlines[v, i, 1]) + ox + 0.5)
                    row = int(scale * (s * outlines[v, i, 0] + c * outlines[v, i, 1]) + oy + 0.5)
                    inside = 0 <= col < width and 0 <= row < height
                    total += min(distance[row, col], limit) if inside else limit
                cost[v, r, how] = total / FORWARD_POINTS
    return cost


@njit(cache=True, nogil=True, fastmath=True)
def _both_ways(outlines: FloatArray, order: NDArray[np.int64], query: FloatArray, low: FloatArray, high: FloatArray,
               limit: float) -> FloatArray:
    """(k,) truncated chamfer distance, both ways, of the candidates of these numbers."""
    cost = np.empty(len(order))
    back = np.empty(len(query))
    placed = np.empty((PLACEMENTS, 3))
    n = outlines.shape[1]
    for k in range(len(order)):
        view, roll, how = _unravel(order[k])
        _place(outlines[view], roll, low, high, placed)
        scale, ox, oy = placed[how]
        c, s = scale * math.cos(roll), scale * math.sin(roll)
        back[:] = limit * limit
        forth = 0.0
        for i in range(n):
            x = c * outlines[view, i, 0] - s * outlines[view, i, 1] + ox
            y = s * outlines[view, i, 0] + c * outlines[view, i, 1] + oy
            best = limit * limit
            for j in range(len(query)):
                dx, dy = x - query[j, 0], y - query[j, 1]
                d2 = dx * dx + dy * dy
                best = min(best, d2)
                back[j] = min(back[j], d2)
            forth += math.sqrt(best)
        cost[k] = forth / n + np.sqrt(back).mean()
    return cost
