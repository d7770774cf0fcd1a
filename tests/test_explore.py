"""A second look at answers that their outlines do not settle."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from core_parts import as_segmentation, bracket, exact_mask, seen_from
from scipy.spatial.transform import Rotation

from benchmarks.pose.conditions import CAMERA, Condition, make_scene, sphere_view
from benchmarks.pose.errors import pose_error
from benchmarks.pose.objects import BenchObject
from benchmarks.pose.run import seed_off, segmented
from ptad_core.config import PoseConfig, ReferenceConfig
from ptad_core.frames import rotation_exp, transform_points
from ptad_core.pose import align
from ptad_core.pose.explore import (
    SECTOR_DEG,
    SECTORS,
    WEAK_DIRECTIONS,
    WEAK_STEP_PX,
    least_known,
    uncertainty_px,
    without_sectors,
)
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import refine_mask
from ptad_core.reference import Reference
from ptad_core.synthesis.families import FAMILIES
from ptad_core.types import FloatArray


def asked(T: FloatArray) -> Query:
    """The bracket at a pose."""
    segmentation = as_segmentation(exact_mask(bracket(), T, CAMERA))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)


@pytest.mark.parametrize(("family", "draw"), [("truck", 15), ("pump", 16)])
def test_a_portion_that_moved_drags_the_first_look_and_not_the_second(
        family: str, draw: int, reference_config: ReferenceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    item = BenchObject(FAMILIES[family](np.random.default_rng(0)), "", reference_config)
    rng = np.random.default_rng(draw)
    T = sphere_view(item, rng)
    scene = make_scene(item, T, Condition.POSITIONAL, rng)
    assert scene is not None
    seed = seed_off(T, item, rng)

    def found() -> bool:
        pose = align(segmented(scene), CAMERA, item.reference, PoseConfig(), (seed,), scene.image_bgr).pose
        return pose is not None and pose_error(pose.T_camera_part, T, item).success

    assert found()
    monkeypatch.setattr(importlib.import_module("ptad_core.pose.align"), "is_unsettled", lambda *_: False)
    assert not found(), "the case no longer needs a second look: take another"


def test_how_far_points_may_lie_off(reference: Reference) -> None:
    """Against points moved by poses that are drawn from the covariance."""
    rng = np.random.default_rng(0)
    T = seen_from(bracket(), (1, 0.6, 0.8), 0.4)
    A = rng.normal(size=(6, 6)) * np.array([1e-4, 1e-4, 5e-4, 2e-3, 2e-3, 2e-3])
    covariance = A.T @ A
    views = reference.views
    towards = -(T[:3, :3].T @ T[:3, 3] + reference.center_m)
    points = views.points[np.argmax(views.directions @ towards)] + reference.center_m
    still, moved = CAMERA.project(transform_points(T, points)), []
    for twist in rng.multivariate_normal(np.zeros(6), covariance, 2000):
        R = rotation_exp(twist[3:]) @ T[:3, :3]
        moved.append(CAMERA.project(points @ R.T + T[:3, 3] + twist[:3]) - still)
    expected = float(np.sqrt(np.mean(np.sum(np.square(moved), axis=-1))))
    assert uncertainty_px(reference, CAMERA, T, covariance) == pytest.approx(expected, rel=0.08)


def test_each_sector_is_left_out_by_turns() -> None:
    query = asked(seen_from(bracket(), (1, 0.6, 0.8), 0.4))
    parts = without_sectors(query)
    assert len(parts) == SECTORS
    middle = query.outline.points.mean(axis=0)
    seen = set()
    for k, part in enumerate(parts):
        towards = np.array([np.cos(2 * np.pi * k / SECTORS), np.sin(2 * np.pi * k / SECTORS)])
        for outline in (part.outline, part.few):
            direction = (outline.points - middle) / np.linalg.norm(outline.points - middle, axis=1, keepdims=True)
            assert (direction @ towards < np.cos(np.radians(SECTOR_DEG / 2)) + 1e-9).all()
        seen |= {tuple(point) for point in part.outline.points}
    assert seen == {tuple(point) for point in query.outline.points}


def test_what_the_outline_says_least_about(reference: Reference) -> None:
    """The part's points move by pixels, and its outline far less than where the part is shifted by as much."""
    T = seen_from(bracket(), (1, 0.6, 0.8), 0.4)
    query = asked(T)
    fit = refine_mask(query, reference, T, 8)
    assert fit is not None
    H = fit.normal_matrix / fit.points
    shift = np.array([WEAK_STEP_PX * fit.pivot[2] / query.camera.fx, 0, 0, 0, 0, 0])
    points = reference.gaussians.means[::50].astype(np.float64)
    still = query.camera.project(transform_points(fit.T_camera_part, points))
    poses = least_known(query, reference, fit)
    assert len(poses) == 2 * WEAK_DIRECTIONS
    for pose in poses:
        way_px = np.linalg.norm(query.camera.project(transform_points(pose, points)) - still, axis=1)
        assert 0.2 * WEAK_STEP_PX < np.sqrt(np.mean(way_px**2)) < 1.5 * WEAK_STEP_PX
        R = pose[:3, :3] @ fit.T_camera_part[:3, :3].T
        twist = np.concatenate([transform_points(pose, reference.center_m[None])[0] - fit.pivot,
                                Rotation.from_matrix(R).as_rotvec()])
        assert np.sqrt(twist @ H @ twist) < 0.5 * np.sqrt(shift @ H @ shift)
