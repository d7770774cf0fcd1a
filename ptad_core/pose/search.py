"""Candidates: rank views and in-plane rolls by the chamfer distance of box-normalised outlines (PTAD Eq. 3).

The paper compares masks of 20 views, upright. CAD axes are arbitrary, so here every view of the sphere is turned
through every roll, and outlines stand for masks: a coarse forward distance over all candidates, then the
distance both ways for the best of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.frames import make_transform
from ptad_core.pose.query import Query
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.types import FloatArray

ROLLS = 24
FORWARD_POINTS = 38
QUERY_POINTS = 96
SHORTLIST = 240
TRUNCATION = 0.12
"""Distances count up to this share of the box's diagonal: a defect must not outvote the rest of the outline."""
MIN_APART_DEG = 14.0
MIN_APART_IN_CONE_DEG = 7.0


@dataclass(frozen=True, slots=True)
class Cone:
    """All rotations within ``angle_deg`` of R_camera_part (3, 3): what a prior leaves of the sphere."""

    R_camera_part: FloatArray
    angle_deg: float


def candidate_poses(query: Query, reference: Reference, views: NDArray[np.int64], count: int,
                    cone: Cone | None = None) -> list[FloatArray]:
    """Return up to ``count`` first guesses of T_camera_part, best first, clearly different from each other.

    Args:
        query: the mask's outline and camera.
        reference: the part.
        views: (k,) indices of the reference's views that are tried.
        count: how many to return.
        cone: only rotations inside of it are tried.
    """
    ray = query.ray_to_box()
    allowed = _rolls_in_cone(_turn_axis_to(ray) @ reference.views.R_camera_part[views], cone)
    views, allowed = views[allowed.any(axis=1)], allowed[allowed.any(axis=1)]
    if len(views) == 0:
        return []
    outline = query.outline.thinned(QUERY_POINTS).points
    low, high = query.outline.points.min(0), query.outline.points.max(0)
    diagonal = float(np.linalg.norm(high - low))
    far = np.ones(query.mask.shape, np.uint8)
    at = np.rint(query.outline.points).astype(np.int64)
    far[at[:, 1], at[:, 0]] = 0
    distance = np.asarray(cv2.distanceTransform(far, cv2.DIST_L2, 5), dtype=np.float32)
    limit = TRUNCATION * diagonal
    step = max(1, reference.views.outlines.shape[1] // FORWARD_POINTS)
    forward = _forward(reference.views.outlines[views], step, ROLLS, distance, low, high, limit)
    forward[~allowed] = np.inf
    order = np.argsort(forward, axis=None, kind="stable")[:min(SHORTLIST, int(allowed.sum()))]
    both = _both_ways(reference.views.outlines[views], order, ROLLS, outline, low, high, limit)
    apart_deg = MIN_APART_DEG if cone is None else MIN_APART_IN_CONE_DEG
    chosen: list[FloatArray] = []
    for k in np.argsort(both, kind="stable"):
        view, roll = divmod(int(order[k]), ROLLS)
        T = _pose(query, reference, int(views[view]), 2 * math.pi * roll / ROLLS, low, high)
        if all(symmetric_angle_deg(T[:3, :3], other[:3, :3], reference.symmetries) > apart_deg for other in chosen):
            chosen.append(T)
        if len(chosen) == count:
            break
    return chosen


def _rolls_in_cone(R_views: FloatArray, cone: Cone | None) -> NDArray[np.bool_]:
    """(k, rolls) which views (k, 3, 3), rolled, lie in the cone."""
    if cone is None:
        return np.ones((len(R_views), ROLLS), dtype=bool)
    # trace(R_seed^T Rz(roll) R_view) = cos(roll) (M00 + M11) + sin(roll) (M01 - M10) + M22, M = R_view R_seed^T.
    M = R_views @ cone.R_camera_part.T
    roll = 2 * np.pi * np.arange(ROLLS) / ROLLS
    trace = (np.cos(roll) * (M[:, 0, 0] + M[:, 1, 1])[:, None] + np.sin(roll) * (M[:, 0, 1] - M[:, 1, 0])[:, None]
             + M[:, 2, 2][:, None])
    return np.asarray((trace - 1) / 2 >= np.cos(np.radians(min(cone.angle_deg, 180.0))), dtype=bool)


def _pose(query: Query, reference: Reference, view: int, roll: float, low: FloatArray, high: FloatArray) -> FloatArray:
    """The pose that shows a view, rolled, in the query's box."""
    c, s = math.cos(roll), math.sin(roll)
    turned = reference.views.outlines[view] @ np.array([[c, s], [-s, c]])
    lo, hi = turned.min(0), turned.max(0)
    px_per_diameter = float(np.linalg.norm(high - low) / np.linalg.norm(hi - lo))
    centre_px = (low + high) / 2 - px_per_diameter * (lo + hi) / 2
    camera = query.camera
    ray = np.array([(centre_px[0] - camera.cx) / camera.fx, (centre_px[1] - camera.cy) / camera.fy, 1.0])
    depth = math.sqrt(camera.fx * camera.fy) * reference.diameter_m / px_per_diameter
    R_roll = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    R = _turn_axis_to(ray) @ R_roll @ reference.views.R_camera_part[view]
    return make_transform(R, depth * ray - R @ reference.center_m)


def _turn_axis_to(ray: FloatArray) -> FloatArray:
    """The shortest (3, 3) rotation that turns the optical axis onto a ray: a view seen off the axis."""
    a = ray / np.linalg.norm(ray)
    v = np.array([-a[1], a[0], 0.0])
    K = np.array([[0.0, 0.0, v[1]], [0.0, 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.asarray(np.eye(3) + K + K @ K / (1 + a[2]), dtype=np.float64)


@njit(cache=True, nogil=True, fastmath=True)
def _placed(outline: FloatArray, roll: float, low: FloatArray, high: FloatArray, step: int, out: FloatArray) -> int:
    """Turn an outline and lay its box over the query's: (n, 2) pixels in ``out``."""
    c, s = math.cos(roll), math.sin(roll)
    x0, y0, x1, y1 = 1e9, 1e9, -1e9, -1e9
    n = 0
    for i in range(0, outline.shape[0], step):
        x = c * outline[i, 0] - s * outline[i, 1]
        y = s * outline[i, 0] + c * outline[i, 1]
        out[n, 0], out[n, 1] = x, y
        x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        n += 1
    size = math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)
    scale = math.sqrt((high[0] - low[0]) ** 2 + (high[1] - low[1]) ** 2) / max(size, 1e-9)
    for i in range(n):
        out[i, 0] = (out[i, 0] - (x0 + x1) / 2) * scale + (low[0] + high[0]) / 2
        out[i, 1] = (out[i, 1] - (y0 + y1) / 2) * scale + (low[1] + high[1]) / 2
    return n


@njit(cache=True, nogil=True, fastmath=True)
def _forward(outlines: FloatArray, step: int, rolls: int, distance: NDArray[np.float32], low: FloatArray,
             high: FloatArray, limit: float) -> FloatArray:
    """(V, rolls) mean truncated distance from each placed outline to the query's."""
    cost = np.empty((outlines.shape[0], rolls))
    placed = np.empty((outlines.shape[1], 2))
    height, width = distance.shape
    for v in range(outlines.shape[0]):
        for r in range(rolls):
            n = _placed(outlines[v], 2 * math.pi * r / rolls, low, high, step, placed)
            total = 0.0
            for i in range(n):
                col, row = int(placed[i, 0] + 0.5), int(placed[i, 1] + 0.5)
                inside = 0 <= col < width and 0 <= row < height
                total += min(distance[row, col], limit) if inside else limit
            cost[v, r] = total / n
    return cost


@njit(cache=True, nogil=True, fastmath=True)
def _both_ways(outlines: FloatArray, order: NDArray[np.int64], rolls: int, query: FloatArray, low: FloatArray,
               high: FloatArray, limit: float) -> FloatArray:
    """(k,) truncated chamfer distance, both ways, of the candidates in ``order`` (view * rolls + roll)."""
    cost = np.empty(len(order))
    placed = np.empty((outlines.shape[1], 2))
    back = np.empty(len(query))
    for k in range(len(order)):
        n = _placed(outlines[order[k] // rolls], 2 * math.pi * (order[k] % rolls) / rolls, low, high, 2, placed)
        back[:] = limit * limit
        forth = 0.0
        for i in range(n):
            best = limit * limit
            for j in range(len(query)):
                dx, dy = placed[i, 0] - query[j, 0], placed[i, 1] - query[j, 1]
                d2 = dx * dx + dy * dy
                best = min(best, d2)
                back[j] = min(back[j], d2)
            forth += math.sqrt(best)
        cost[k] = forth / n + np.sqrt(back).mean()
    return cost
