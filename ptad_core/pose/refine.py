"""Fine fit: damped Gauss-Newton on the rendered mask.

The mask M(ξ) is rendered with its derivative by the pose, and the level of its silhouette is moved onto the query's
outline. At a point of that level, a pose step ξ moves the outline along its normal by (∂M/∂ξ · ξ) / |∇M|, and both come
from the same sums of the renderer (``mask_jacobian``; |∇M| is the length of the flow). Working on the level instead of
on grey values keeps the fit free of bias: what M is inside or outside of the outline does not pull on the pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp, skew
from ptad_core.outline import Outline, find_outline, match_outlines
from ptad_core.pose.query import Query
from ptad_core.reference.build import Reference
from ptad_core.rendering.splat import SILHOUETTE, Band, Splats, band_around_outline, mask_flow, mask_jacobian, project
from ptad_core.types import FloatArray, FloatImage

START_REACH_PX = 6.0
FINAL_REACH_PX = 3.0
REACH_IN_MEDIANS = 4.0
WIDEST_REACH_PX = 6.0
INITIAL_DAMPING = 1e-3
STEP_TOLERANCE_PX = 0.1
"""A step this small (rms over the outline) is the last: what it leaves lies far below the noise of any real mask. It
is taken, but not looked at: rendering again would show the same outline."""
MIN_POINTS = 12
BAND_PX = 6
"""Only what lies this near to the outline is rendered while a pose is refined ..."""
BAND_SLACK_PX = 2.0
"""... until the outline has moved so far (rms): then the whole part is rendered again."""


@dataclass(frozen=True, slots=True)
class MaskFit:
    """A refined pose.

    Attributes:
        T_camera_part: (4, 4).
        mask: (S, S) float32 rendered at that pose.
        outline: its outline inside the image.
        normal_matrix: (6, 6) JᵀWJ, twist (v, w) in the camera frame about ``pivot``, in px² per (m, rad)².
        pivot: (3,) camera frame, the part's centre.
        residual_px: weighted root mean square of the outline's distance.
        points: effective number of outline points (sum of weights).
        cost_px: mean truncated outline distance, both ways; what hypotheses are compared by.
        iterations: steps taken.
        converged: the last step moved the outline by less than ``STEP_TOLERANCE_PX``.
    """

    T_camera_part: FloatArray
    mask: FloatImage
    outline: Outline
    normal_matrix: FloatArray
    pivot: FloatArray
    residual_px: float
    points: float
    cost_px: float
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class _Linearised:
    splats: Splats
    mask: FloatImage
    outline: Outline
    J: FloatArray
    e: FloatArray
    distance: FloatArray


def refine_mask(query: Query, reference: Reference, T_camera_part: FloatArray, max_iterations: int,
                start_reach_px: float = START_REACH_PX) -> MaskFit | None:
    """Refine a pose that is within ``start_reach_px``; None where rendered and query outline never meet."""
    R = T_camera_part[:3, :3]
    centre = R @ reference.center_m + T_camera_part[:3, 3]
    reach, damping = start_reach_px, INITIAL_DAMPING
    band: Band | None = None
    now = _linearise(query, reference, R, centre, reach, band)
    if now is None:
        return None
    converged, taken, moved_since_px = False, 0, 0.0
    while taken < max_iterations:
        H, g = _normal_equations(now, reach)
        ridge = damping * np.diag(np.diag(H)) + 1e-12 * np.eye(6)
        step = np.asarray(np.linalg.solve(H + ridge, g), dtype=np.float64)
        moved_px = float(np.sqrt(np.mean((now.J @ step) ** 2)))
        next_R, next_centre = rotation_exp(step[3:]) @ R, centre + step[:3]
        if next_centre[2] <= 0:
            return None
        small, least = moved_px < STEP_TOLERANCE_PX, final_reach(now.distance)
        if small and reach <= least:
            R, centre, converged = next_R, next_centre, True
            break
        reach = max(least, 0.7 * reach)
        if small:
            continue  # nothing to render: the same outline, of which what lies further off counts less now
        taken += 1
        far = moved_since_px + moved_px > BAND_SLACK_PX
        if band is None and not far:
            band = band_around_outline(reference.gaussians, now.splats, now.mask, BAND_PX, BAND_SLACK_PX)
        after = _linearise(query, reference, next_R, next_centre, reach, None if far else band)
        if after is None:
            return None
        if _objective(after.distance, reach) <= _objective(now.distance, reach) * 1.001 + 1e-6:
            R, centre, now = next_R, next_centre, after
            band, moved_since_px = (None, 0.0) if far else (band, moved_since_px + moved_px)
            damping = max(damping * 0.3, 1e-6)
        else:
            damping *= 10
    H, w = _normal_equations(now, reach)[0], tukey_weights(now.distance, reach)
    points = float(w.sum())
    rms = float(np.sqrt((w * now.e**2).sum() / max(points, 1e-9)))
    cost = _outline_cost(now, query)
    T = make_transform(R, centre - R @ reference.center_m)
    return MaskFit(T, now.mask, now.outline, H, centre, rms, points, cost, taken, converged)


def _linearise(query: Query, reference: Reference, R: FloatArray, centre: FloatArray, reach: float,
               band: Band | None) -> _Linearised | None:
    """Render at a pose, all of it or only near the outline, and pair the rendered outline with the query's."""
    camera = query.camera
    pose = make_transform(R, centre - R @ reference.center_m)
    splats = project(reference.gaussians if band is None else band.gaussians, camera, pose)
    mask, flow = mask_flow(splats, camera, None if band is None else band.transmittance)
    outline = inside_image(find_outline(mask, SILHOUETTE), query)
    if len(outline) < MIN_POINTS or len(query.outline) < MIN_POINTS:
        return None
    e, distance = match_outlines(outline, query.outline, reach)
    J = _outline_jacobian(flow, camera, outline, centre)
    if tukey_weights(distance, reach).sum() < MIN_POINTS / 2:
        return None
    return _Linearised(splats, mask, outline, J, np.where(np.isfinite(e), e, 0.0), distance)


def tukey_weights(distance: FloatArray, reach: float) -> FloatArray:
    """(n,) Tukey's weights of outline points: none beyond ``reach``."""
    return np.asarray((1 - np.minimum(distance / reach, 1.0) ** 2) ** 2)


def _normal_equations(now: _Linearised, reach: float) -> tuple[FloatArray, FloatArray]:
    """(6, 6) and (6,)."""
    weighted = tukey_weights(now.distance, reach)[:, None] * now.J
    return now.J.T @ weighted, weighted.T @ now.e


def final_reach(distance: FloatArray) -> float:
    """How far outline points may lie apart and still count: a rough outline needs more room than a smooth one."""
    near = distance[distance < WIDEST_REACH_PX]
    typical = float(np.median(near)) if len(near) else 0.0
    return min(max(REACH_IN_MEDIANS * typical, FINAL_REACH_PX), WIDEST_REACH_PX)


def _outline_cost(now: _Linearised, query: Query) -> float:
    """Mean truncated distance between the rendered and the query's outline, both ways."""
    back = match_outlines(query.outline, now.outline, FINAL_REACH_PX)[1]
    return 0.5 * float(np.minimum(now.distance, FINAL_REACH_PX).mean() + np.minimum(back, FINAL_REACH_PX).mean())


def _objective(distance: FloatArray, reach: float) -> float:
    """Tukey's loss, mean over the outline: what a step must lower."""
    inside = np.minimum(np.abs(distance) / reach, 1.0)
    return float(np.mean(1 - (1 - inside**2) ** 3)) * reach**2 / 6


def inside_image(outline: Outline, query: Query) -> Outline:
    """Drop outline points outside the image: nothing was seen there."""
    if query.seen.all():
        return outline
    at = np.rint(outline.points).astype(np.int64)
    kept = query.seen[at[:, 1], at[:, 0]]
    return Outline(outline.points[kept], outline.normals[kept])


def _outline_jacobian(flow: FloatImage, camera: Camera, outline: Outline, pivot: FloatArray) -> FloatArray:
    """(n, 6) motion of outline points along their normals by a twist about ``pivot``, px per m and rad."""
    x, y = outline.points.T
    at = _between_pixels(flow, outline.points)
    columns = mask_jacobian(at, camera, y, x)
    slope = np.hypot(at[:, 0], at[:, 1])
    columns /= np.maximum(slope, 1e-6)[:, None]
    # From a twist about the camera's centre to one about the pivot: X -> X + v + w x (X - pivot).
    columns[:, 3:] += columns[:, :3] @ skew(pivot)
    return columns


@njit(cache=True, nogil=True)
def _between_pixels(flow: FloatImage, points: FloatArray) -> FloatArray:
    """(n, 4) flow at outline points, each of which lies between two neighbours in a row or a column."""
    out = np.empty((len(points), flow.shape[2]))
    for i in range(len(points)):
        x, y = points[i]
        col, row = int(x), int(y)
        share = max(x - col, y - row)
        next_col, next_row = (col + 1, row) if x > col else (col, min(row + 1, flow.shape[0] - 1))
        for k in range(flow.shape[2]):
            out[i, k] = (1 - share) * flow[row, col, k] + share * flow[next_row, next_col, k]
    return out
