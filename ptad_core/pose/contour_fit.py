"""Coarse fit: move a view's outline points onto the query's outline (robust Newton on contours, no rendering).

The points come from the view nearest to the current pose, so the outline changes as the part turns. Each stands for a
short straight piece of outline, so that distances do not depend on where on the outline the points happened to fall.
Pairs are made both ways between points whose normals agree; a redescending weight, tightened from step to step, drops
the outline of a defect instead of explaining it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.frames import make_transform
from ptad_core.pose.query import Query
from ptad_core.reference.build import Reference
from ptad_core.types import FloatArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

MIN_AGREEMENT = 0.4
"""Cosine between the normals of two points that may be the same."""
FAR_PX2 = np.float32(1e12)
DAMPING = 1e-3
FINAL_REACH_PX = 4.0


@dataclass(frozen=True, slots=True)
class ContourFit:
    """A coarse pose, and the mean truncated distance between the outlines (crop pixels, both ways)."""

    T_camera_part: FloatArray
    cost_px: float


def fit_contour(query: Query, reference: Reference, T_camera_part: FloatArray, start_reach_px: float,
                iterations: int = 14, stride: int = 1) -> ContourFit:
    """Fit the reference's outline to the query's.

    Args:
        query: the mask's outline and camera.
        reference: the part.
        T_camera_part: first guess.
        start_reach_px: how far the guess's outline may lie from the query's, crop pixels.
        iterations: Newton steps.
        stride: take one in so many points of both outlines; time goes with the square.
    """
    count = len(query.few) // stride
    points, normals = query.few.points[:count], query.few.normals[:count]
    half = query.outline.length_px / (2 * max(count, 1))
    R = T_camera_part[:3, :3].copy()
    c = R @ reference.center_m + T_camera_part[:3, 3]
    camera, views = query.camera, reference.views
    cost = _fit(views.directions, views.points, views.normals, views.reach_m, stride, R, c, camera.fx, camera.fy,
                camera.cx, camera.cy, points, normals, half, start_reach_px, FINAL_REACH_PX, iterations)
    return ContourFit(make_transform(R, c - R @ reference.center_m), float(cost))


@njit(cache=True, nogil=True)
def _fit(directions: FloatArray, points: FloatArray, normals: FloatArray, reach_m: FloatArray, stride: int,
         R: FloatArray, c: FloatArray, fx: float, fy: float, cx: float, cy: float, q: FloatArray, qn: FloatArray,
         q_half: float, start: float, final: float, iterations: int) -> float:
    """Update R and c in place; returns the mean truncated distance both ways, with ``final`` as the limit."""
    n, m = points.shape[1] // stride, q.shape[0]
    X, p, pn = np.empty((n, 3)), np.empty((n, 2)), np.empty((n, 2))
    near_q, near_p = np.empty(n, np.int32), np.empty(m, np.int32)
    d_q, d_p = np.empty(n, np.float32), np.empty(m, np.float32)
    qx, qy, qnx, qny = (q[:, 0].astype(np.float32), q[:, 1].astype(np.float32), qn[:, 0].astype(np.float32),
                        qn[:, 1].astype(np.float32))
    J, w, H, g = np.empty(6), np.empty(3), np.zeros((6, 6)), np.zeros(6)
    for k in range(iterations + 1):
        reach = max(final, start * (final / start) ** (k / max(iterations - 3, 1)))
        view = np.argmax(directions @ (R.T @ (-c)))
        p_half = stride * reach_m[view] * fx / c[2]
        for i in range(n):
            a, b, z0 = points[view, i]
            X[i, 0] = R[0, 0] * a + R[0, 1] * b + R[0, 2] * z0
            X[i, 1] = R[1, 0] * a + R[1, 1] * b + R[1, 2] * z0
            X[i, 2] = R[2, 0] * a + R[2, 1] * b + R[2, 2] * z0
            z = X[i, 2] + c[2]
            if z < 1e-6:
                return np.inf
            p[i, 0], p[i, 1] = fx * (X[i, 0] + c[0]) / z + cx, fy * (X[i, 1] + c[1]) / z + cy
            a, b, z0 = normals[view, i]
            nu, nv = R[0, 0] * a + R[0, 1] * b + R[0, 2] * z0, R[1, 0] * a + R[1, 1] * b + R[1, 2] * z0
            length = math.sqrt(nu * nu + nv * nv) + 1e-12
            pn[i, 0], pn[i, 1] = nu / length, nv / length
        _pair(p, pn, p_half, qx, qy, qnx, qny, q_half, near_q, d_q, near_p, d_p)
        if k == iterations:
            break
        H[:] = 0.0
        g[:] = 0.0
        for pair in range(n + m):
            forward = pair < n
            i = pair if forward else near_p[pair - n]
            j = near_q[pair] if forward else pair - n
            d2 = d_q[pair] if forward else d_p[pair - n]
            if d2 >= reach * reach:
                continue
            weight = (1.0 - d2 / (reach * reach)) ** 2 / (n if forward else m)
            z = X[i, 2] + c[2]
            x, y = (X[i, 0] + c[0]) / z, (X[i, 1] + c[1]) / z
            nu, nv = qn[j, 0], qn[j, 1]
            J[0], J[1] = nu * fx / z, nv * fy / z
            J[2] = -(nu * fx * x + nv * fy * y) / z
            w[0], w[1], w[2] = J[0], J[1], J[2]
            J[3] = X[i, 1] * w[2] - X[i, 2] * w[1]
            J[4] = X[i, 2] * w[0] - X[i, 0] * w[2]
            J[5] = X[i, 0] * w[1] - X[i, 1] * w[0]
            e = nu * (q[j, 0] - p[i, 0]) + nv * (q[j, 1] - p[i, 1])
            for a_ in range(6):
                g[a_] += weight * J[a_] * e
                for b_ in range(a_ + 1):
                    H[a_, b_] += weight * J[a_] * J[b_]
        for a_ in range(6):
            H[a_, a_] += DAMPING * H[a_, a_] + 1e-12
            for b_ in range(a_):
                H[b_, a_] = H[a_, b_]
        step = np.linalg.solve(H, g)
        c += step[:3]
        R[:] = _rotation(step[3:]) @ R
        if c[2] < 1e-4:
            return np.inf
    total_q, total_p = 0.0, 0.0
    for i in range(n):
        total_q += min(math.sqrt(d_q[i]), final)
    for j in range(m):
        total_p += min(math.sqrt(d_p[j]), final)
    return float(0.5 * (total_q / n + total_p / m))


@njit(cache=True, nogil=True, fastmath=True)
def _pair(p: FloatArray, pn: FloatArray, p_half: float, qx: F32, qy: F32, qnx: F32, qny: F32, q_half: float,
          near_q: I32, d_q: F32, near_p: I32, d_p: F32) -> None:
    """Find for each point of one outline the nearest piece of the other whose normal agrees; squared distances.

    A piece is straight, of the point's normal, and reaches ``half`` to either side. Written for the compiler: columns
    of float32 and no branch in the inner loop, so that it works on eight pairs at once.
    """
    n, m = len(p), len(qx)
    row = np.empty(m, np.float32)
    d_p[:] = FAR_PX2
    p_reach, q_reach, zero, least = np.float32(p_half), np.float32(q_half), np.float32(0), np.float32(MIN_AGREEMENT)
    for i in range(n):
        x, y, nx, ny = np.float32(p[i, 0]), np.float32(p[i, 1]), np.float32(pn[i, 0]), np.float32(pn[i, 1])
        for j in range(m):
            dx, dy = qx[j] - x, qy[j] - y
            apart = FAR_PX2 if nx * qnx[j] + ny * qny[j] < least else zero
            across, along = dx * qnx[j] + dy * qny[j], max(abs(dx * qny[j] - dy * qnx[j]) - q_reach, zero)
            row[j] = across * across + along * along + apart
            across, along = dx * nx + dy * ny, max(abs(dx * ny - dy * nx) - p_reach, zero)
            d2 = across * across + along * along + apart
            near_p[j] = i if d2 < d_p[j] else near_p[j]
            d_p[j] = min(d2, d_p[j])
        best = 0
        for j in range(m):
            if row[j] < row[best]:
                best = j
        near_q[i] = best
        d_q[i] = row[best]


@njit(cache=True, nogil=True)
def _rotation(w: NDArray[np.floating]) -> FloatArray:
    """Rodrigues' formula, for rotation vectors of any length."""
    angle = math.sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2])
    K = np.zeros((3, 3))
    K[0, 1], K[0, 2], K[1, 2] = -w[2], w[1], -w[0]
    K[1, 0], K[2, 0], K[2, 1] = w[2], -w[1], w[0]
    if angle < 1e-9:
        return np.eye(3) + K
    return np.eye(3) + K * (math.sin(angle) / angle) + K @ K * ((1.0 - math.cos(angle)) / (angle * angle))
