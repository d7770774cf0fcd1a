"""Which hypotheses differ, and which one is the pose, on fits made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.outline import Outline
from ptad_core.pose import choice
from ptad_core.pose.choice import choose, different
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import MaskFit
from ptad_core.reference import Reference, reference_from_mesh
from ptad_core.types import FloatArray, FloatImage, PoseSeed, SeedSource

T_TRUE = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)
EMPTY = Outline(np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", reference_config)


@pytest.fixture(scope="module")
def query() -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T_TRUE))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, 64)


def turned(angle_deg: float) -> FloatArray:
    """The true pose, turned about the part's centre."""
    centre = T_TRUE[:3, :3] @ bracket().center_m + T_TRUE[:3, 3]
    R = rotation_exp(np.radians([0.0, angle_deg, 0.0])) @ T_TRUE[:3, :3]
    return make_transform(R, centre - R @ bracket().center_m)


def fit(angle_deg: float, cost_px: float) -> MaskFit:
    return MaskFit(turned(angle_deg), np.zeros((64, 64), np.float32), EMPTY, np.eye(6), np.array([0.0, 0.0, 0.5]), 0.1,
                   100.0, cost_px, 3, True)


def test_the_better_outline_is_the_pose(query: Query, reference: Reference) -> None:
    best, rival, lead = choose([fit(0, 0.3), fit(10, 0.4), fit(60, 0.9)], query, reference, None, None)
    assert best.cost_px == 0.3 and rival is not None and rival.cost_px == 0.9
    assert lead == pytest.approx(1.2 / 0.6 - 1)


def test_without_a_rival_the_lead_has_no_end(query: Query, reference: Reference) -> None:
    best, rival, lead = choose([fit(0, 0.3), fit(10, 0.4)], query, reference, None, None)
    assert best.cost_px == 0.3 and rival is None and lead == np.inf


@pytest.mark.parametrize(("far_px", "expected_px"), [(0.50, 0.52), (0.10, 0.10)])
def test_the_seed_tells_like_outlines_apart_and_no_others(query: Query, reference: Reference, far_px: float,
                                                         expected_px: float) -> None:
    seed = PoseSeed(turned(-5), SeedSource.TF, 10.0, 0.02)
    best, rival, lead = choose([fit(25, far_px), fit(0, 0.52)], query, reference, seed, None)
    assert best.cost_px == expected_px
    assert rival is not None and lead > 0


@pytest.mark.parametrize(("angle_deg", "cost_px", "taken"), [
    (10, 0.34, True), (10, 0.40, False), (2, 0.34, False), (60, 0.90, True), (60, 1.60, False)])
def test_inner_edges_are_asked_where_outlines_are_nearly_alike(
        angle_deg: float, cost_px: float, taken: bool, query: Query, reference: Reference,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges speak for the second pose: near by within a tenth, a rival within a factor, and never for the same one."""
    def support(_gradient: FloatImage, _camera: Camera, _reference: Reference, T_camera_part: FloatArray) -> float:
        return 1.0 if np.allclose(T_camera_part, T_TRUE) else 10.0

    monkeypatch.setattr(choice, "interior_support", support)
    picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    best, _, _ = choose([fit(0, 0.3), fit(angle_deg, cost_px)], query, reference, None, picture)
    assert (best.cost_px == cost_px) is taken


def test_rivals_of_a_pose_that_its_edges_chose_are_looked_at_too(query: Query, reference: Reference,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Near the best outline, and worse by a third, one is not asked at first; but it is a rival of the one chosen."""
    def support(_gradient: FloatImage, _camera: Camera, _reference: Reference, T_camera_part: FloatArray) -> float:
        return 1.0 if np.allclose(T_camera_part, T_TRUE) else 2.0

    monkeypatch.setattr(choice, "interior_support", support)
    picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    best, rival, lead = choose([fit(0, 0.3), fit(-10, 0.32), fit(15, 0.5)], query, reference, None, picture)
    assert best.cost_px == 0.32 and rival is not None and rival.cost_px == 0.5
    assert lead == pytest.approx(0.8 / 0.62 - 1)


def test_a_seed_found_in_the_same_image_is_no_evidence(query: Query, reference: Reference) -> None:
    seed = PoseSeed(turned(0), SeedSource.TRACK, 1.0, 0.002, from_image=True)
    assert choose([fit(10, 0.50), fit(0, 0.52)], query, reference, seed, None)[0].cost_px == 0.50


def test_a_seed_that_claims_to_be_exact_is_not_believed_blindly(query: Query, reference: Reference) -> None:
    seed = PoseSeed(turned(0), SeedSource.TF, 0.0, 0.0)
    assert choose([fit(2, 0.1), fit(0, 3.0)], query, reference, seed, None)[0].cost_px == 0.1


def test_different_takes_neighbours_first_and_then_rivals(reference: Reference) -> None:
    fits = [fit(0, 0.1), fit(2, 0.2), fit(10, 0.3), fit(30, 0.4), fit(36, 0.5), fit(80, 0.6)]
    assert [f.cost_px for f in different(fits, reference, 2, 4)] == [0.1, 0.3, 0.5, 0.6]
    assert [f.cost_px for f in different(fits, reference, 1, 2)] == [0.1, 0.4]
