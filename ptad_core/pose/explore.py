"""Other explanations of an outline that a pose does not settle: a second look, taken at few answers.

A moved or missing portion drags a pose towards an explanation of its own outline: so sectors of the query's outline are
left out by turns, and what remains is fitted alone (Rousseeuw and Leroy, Robust Regression, 1987: subsets without
outliers). And where the outline hardly changes as the part moves, several poses may fit: so others are tried along the
directions that are known least.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.outline import Outline
from ptad_core.pose.covariance import outline_noise
from ptad_core.pose.query import Query
from ptad_core.pose.refine import MaskFit
from ptad_core.pose.trust import Agreement
from ptad_core.reference.build import Reference
from ptad_core.types import FloatArray

UNSETTLED_PX = 0.2
"""An answer that is surer than this, in pixels of the crop or the image, whichever are coarser, gets no second look."""
ROUGH_PX, UNSETTLED_NOISES = 0.75, 0.6
"""Nor one to an outline of so much noise, crop pixels, that is as sure as such an outline allows."""
SECTORS = 8
SECTOR_DEG = 135.0
SECTOR_REACH_PX = 20.0
MIN_POINTS = 30
"""Fewer points of an outline than this are not fitted alone."""
WEAK_DIRECTIONS = 2
WEAK_STEP_PX = 10.0
POINTS = 64


def is_unsettled(query: Query, reference: Reference, fit: MaskFit, found: Agreement, covariance: FloatArray) -> bool:
    """Tell whether a fit, of this agreement and (6, 6) covariance, is worth a second look."""
    spread_px = uncertainty_px(reference, query.camera, fit.T_camera_part, covariance)
    noise_px, _ = outline_noise(found.offset_px, found.distance_px)
    bar_px = UNSETTLED_PX * max(1.0, query.scale)
    return spread_px > (bar_px if noise_px < ROUGH_PX else max(bar_px, UNSETTLED_NOISES * noise_px))


def uncertainty_px(reference: Reference, camera: Camera, T_camera_part: FloatArray, covariance: FloatArray) -> float:
    """Return how far the points of the part may lie from where a pose draws them: root mean square, pixels.

    Args:
        reference: the part.
        camera: whose pixels are meant.
        T_camera_part: the pose.
        covariance: (6, 6) of the pose, at the part's origin.
    """
    R, origin = T_camera_part[:3, :3], T_camera_part[:3, 3]
    views = reference.views
    centre = R @ reference.center_m + origin
    seen = views.points[np.argmax(views.directions @ (R.T @ -centre))]
    X = seen[::max(1, len(seen) // POINTS)] @ R.T + centre
    X = X[X[:, 2] > 0]
    if not len(X):
        return np.inf
    x, y, z = X[:, 0] / X[:, 2], X[:, 1] / X[:, 2], X[:, 2]
    none = np.zeros_like(z)
    u = np.stack([camera.fx / z, none, -camera.fx * x / z], axis=1)
    v = np.stack([none, camera.fy / z, -camera.fy * y / z], axis=1)
    # A point moves by v + w x (point - origin).
    J = np.concatenate([np.hstack([rows, np.cross(X - origin, rows)]) for rows in (u, v)])
    return float(np.sqrt(np.einsum("ni,ij,nj->", J, covariance, J) / len(X)))


def without_sectors(query: Query) -> list[Query]:
    """Return queries that each lack another sector of the outline, as seen from its middle."""
    middle = query.outline.points.mean(axis=0)
    queries = []
    for centre in 2 * np.pi * np.arange(SECTORS) / SECTORS:
        outline, few = (_outside(part, middle, centre) for part in (query.outline, query.few))
        if len(few) >= MIN_POINTS:
            queries.append(replace(query, outline=outline, few=few))
    return queries


def _outside(outline: Outline, middle: FloatArray, centre: float) -> Outline:
    x, y = (outline.points - middle).T
    away = np.abs((np.arctan2(y, x) - centre + np.pi) % (2 * np.pi) - np.pi)
    kept = away > np.radians(SECTOR_DEG) / 2
    return Outline(outline.points[kept], outline.normals[kept])


def least_known(query: Query, reference: Reference, fit: MaskFit) -> list[FloatArray]:
    """Return poses to either side of a fit, along the directions that its outline says least about."""
    z, radius_m = fit.pivot[2], reference.diameter_m / 2
    px_per_m = query.camera.fx / z
    px = px_per_m * np.array([1.0, 1.0, 2 * radius_m / z, radius_m, radius_m, radius_m])
    directions = np.linalg.eigh(fit.normal_matrix / np.outer(px, px))[1].T[:WEAK_DIRECTIONS]
    poses = []
    for twist in (sign * WEAK_STEP_PX * direction / px for direction in directions for sign in (-1, 1)):
        R, centre = rotation_exp(twist[3:]) @ fit.T_camera_part[:3, :3], fit.pivot + twist[:3]
        poses.append(make_transform(R, centre - R @ reference.center_m))
    return poses
