"""How far a refined pose may be off: the covariance of a robust fit to an outline whose errors come in arcs.

Two things scatter a pose. What differs from point to point (pixels, a rough mask) follows the M-estimator's asymptotic
variance, E[ψ²] / E[ψ′]² over the normal matrix H (Huber, Robust Statistics, 1981, Ch. 7, ψ = w e with Tukey's weights
w). What a defect or a shadow does to a whole stretch of outline does not average out within it: arcs pull as one, and
their pulls g = Σ w e J, whose sum a fit makes nothing, scatter it by H⁻¹ Σ g gᵀ H⁻¹ (the sandwich of clustered errors:
Liang and Zeger, Biometrika 1986). ``make bench-pose`` holds the sum against errors (NEES).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.frames import skew
from ptad_core.pose.query import Query
from ptad_core.pose.refine import MaskFit, final_reach, tukey_weights
from ptad_core.pose.trust import FAR_PX
from ptad_core.reference.build import Reference
from ptad_core.types import FloatArray

CORRELATED_POINTS = 6.0
"""Outline points next to each other err alike over about so many."""
ARC_PX = 24
"""Cells of this size, crop pixels, cut the outline into arcs."""
NEAREST = 0.1
"""Depth of a point of the part, relative to its centre's, that is not gone below: a wrong pose may reach the camera."""
LEAST_NOISE_PX = 0.2
"""Noise of the outline that no mask is better than."""
LEAST_SLOPE = 0.1
"""Of ψ, relative to the weights: where outliers prevail the asymptotic variance has no meaning, and is large enough."""


def covariance(query: Query, reference: Reference, fit: MaskFit, offset_px: FloatArray, distance_px: FloatArray,
               ) -> FloatArray:
    """Return the (6, 6) covariance of the pose: x, y, z, rotX, rotY, rotZ in the camera frame, at the part's origin.

    Args:
        query: that the pose was fitted to; noise is never taken for less than ``LEAST_NOISE_PX`` of its pixels or the
            image's, whichever are coarser.
        reference: the part.
        fit: the refined pose.
        offset_px: (n,) how far each point of ``fit.outline`` has to move along the query's normal; inf: unknown.
        distance_px: (n,) plain distance between the two.
    """
    H = fit.normal_matrix
    inverse = np.linalg.inv(H + 1e-9 * np.diag(np.maximum(np.diag(H), 1e-12)))
    noise_px, flatness = outline_noise(offset_px, distance_px)
    noise_px = max(noise_px, LEAST_NOISE_PX * max(1.0, query.scale))
    at_pivot = CORRELATED_POINTS * noise_px**2 * inverse
    if len(offset_px):
        pulls = flatness * _pulls_of_arcs(query, reference, fit, offset_px, distance_px) @ inverse
        at_pivot += pulls.T @ pulls
    # The origin moves by v + w x (origin - pivot).
    A = np.eye(6)
    A[:3, 3:] = -skew(fit.T_camera_part[:3, 3] - fit.pivot)
    moved = A @ at_pivot @ A.T
    return np.asarray((moved + moved.T) / 2, dtype=np.float64)


def outline_noise(offset_px: FloatArray, distance_px: FloatArray) -> tuple[float, float]:
    """Return the outline's noise, crop pixels, as a robust fit feels it, and how often flatter ψ is than its weights.

    The scatter of what the weights let through alone would be too proud of a rough outline: most of it is cut off.
    """
    if not np.isfinite(distance_px).any():
        return FAR_PX, 1.0
    reach = final_reach(distance_px)
    w = tukey_weights(distance_px, reach)
    psi, mean = w * np.where(np.isfinite(offset_px), offset_px, 0.0), max(float(w.mean()), 1e-9)
    slope = float(np.mean(np.sqrt(w) * (1 - 5 * np.minimum(distance_px / reach, 1.0) ** 2)))
    flatness = mean / max(slope, LEAST_SLOPE * mean)
    return flatness * float(np.sqrt(np.mean(psi**2) / mean)), flatness


def _pulls_of_arcs(query: Query, reference: Reference, fit: MaskFit, offset_px: FloatArray, distance_px: FloatArray,
                   ) -> FloatArray:
    """(k, 6) Σ w e J of each arc, for a twist about the pivot; an arc is as deep as the nearest view's outline there.

    The renderer's own J is not kept by every device, and a depth per arc is all that these need.
    """
    camera, points = query.camera, fit.outline.points
    cells = (points / ARC_PX).astype(np.int64)
    _, first, arc = np.unique(cells[:, 1] << 32 | cells[:, 0], return_index=True, return_inverse=True)
    R, views = fit.T_camera_part[:3, :3], reference.views
    seen = views.points[np.argmax(views.directions @ (R.T @ -fit.pivot))] @ R.T + fit.pivot
    seen[:, 2] = np.maximum(seen[:, 2], NEAREST * fit.pivot[2])
    middle = (cells[first] + 0.5) * ARC_PX
    z = seen[((middle[:, None] - camera.project(seen)) ** 2).sum(2).argmin(1), 2]
    w = tukey_weights(distance_px, final_reach(distance_px))
    pulls = np.zeros((len(first), 6))
    _add_pulls(points, fit.outline.normals, w, offset_px, arc, z, fit.pivot, camera.fx, camera.fy, camera.cx, camera.cy,
               pulls)
    return pulls


@njit(cache=True, nogil=True)
def _add_pulls(points: FloatArray, normals: FloatArray, weights: FloatArray, offset_px: FloatArray,
               arc: NDArray[np.int64], z_of: FloatArray, pivot: FloatArray, fx: float, fy: float, cx: float, cy: float,
               pulls: FloatArray) -> None:
    for i in range(len(points)):
        if weights[i] == 0.0:
            continue
        psi = weights[i] * offset_px[i]
        z, pull = z_of[arc[i]], pulls[arc[i]]
        x, y = (points[i, 0] - cx) / fx, (points[i, 1] - cy) / fy
        a, b = psi * normals[i, 0] * fx / z, psi * normals[i, 1] * fy / z
        c = -(a * x + b * y)
        X, Y, Z = x * z - pivot[0], y * z - pivot[1], z - pivot[2]
        pull[0] += a
        pull[1] += b
        pull[2] += c
        pull[3] += Y * c - Z * b
        pull[4] += Z * a - X * c
        pull[5] += X * b - Y * a
