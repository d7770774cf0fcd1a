"""Turns that the outline does not see: a knob whose pointer lies inside its outline."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, join, picture, seen_from, turned_by_deg

from ptad_core.config import PoseConfig, ReferenceConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose import align
from ptad_core.pose.blind_turns import blind_turns
from ptad_core.pose.interior import Interior, edges_seen
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import FINAL_REACH_PX, MaskFit, refine_mask
from ptad_core.reference import PartMesh, Reference, reference_from_mesh
from ptad_core.types import FloatArray, PoseSeed, SeedSource

SPIN_DEG = 10.0


def knob() -> PartMesh:
    disc = trimesh.creation.cylinder(radius=0.05, height=0.02, sections=180)
    pointer = trimesh.creation.box((0.07, 0.014, 0.012))
    pointer.apply_translation((0.005, 0.0, 0.016))
    return join({"disc": disc, "pointer": pointer})


T_TRUE = seen_from(knob(), (0.5, -0.3, 0.8), 0.4)


def spun(T: FloatArray, mesh: PartMesh, angle_deg: float) -> FloatArray:
    """A pose, turned about the part's z axis."""
    S = rotation_exp(np.radians([0.0, 0.0, angle_deg]))
    return T @ make_transform(S, mesh.center_m - S @ mesh.center_m)


def query_of(mesh: PartMesh, T: FloatArray) -> Query:
    segmentation = as_segmentation(exact_mask(mesh, T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)


def fitted(query: Query, reference: Reference, T: FloatArray) -> MaskFit:
    fit = refine_mask(query, reference, T, 12, FINAL_REACH_PX)
    assert fit is not None
    return fit


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(knob(), "knob", reference_config)


def test_the_outline_alone_leaves_the_knob_where_it_was_put(reference: Reference) -> None:
    """What the other tests rest on."""
    fit = fitted(query_of(knob(), T_TRUE), reference, spun(T_TRUE, knob(), SPIN_DEG))
    assert fit.converged and turned_by_deg(fit.T_camera_part, T_TRUE) > SPIN_DEG / 2


@pytest.mark.parametrize("spin_deg", [-SPIN_DEG, SPIN_DEG])
def test_inner_edges_tell_how_the_knob_is_turned(reference: Reference, spin_deg: float) -> None:
    query = query_of(knob(), T_TRUE)
    fit = fitted(query, reference, spun(T_TRUE, knob(), spin_deg))
    interior = Interior(query, picture(knob(), T_TRUE))
    turned = blind_turns(fit, interior, reference)
    assert np.array_equal(turned[0], fit.T_camera_part) and len(turned) > 1
    drawn = [refine_mask(query, reference, T, 12, FINAL_REACH_PX, interior) for T in turned]
    assert min(turned_by_deg(f.T_camera_part, T_TRUE) for f in drawn if f is not None) < 1


def test_the_knob_is_found_turned_as_it_is(reference: Reference) -> None:
    segmentation = as_segmentation(exact_mask(knob(), T_TRUE))
    seed = PoseSeed(spun(T_TRUE, knob(), SPIN_DEG), SeedSource.TF, SPIN_DEG, 0.01)
    with_picture, without = (align(segmentation, CAMERA, reference, PoseConfig(), (seed,), image).pose
                             for image in (picture(knob(), T_TRUE), None))
    assert with_picture is not None and without is not None
    assert turned_by_deg(with_picture.T_camera_part, T_TRUE) < 3
    assert turned_by_deg(without.T_camera_part, T_TRUE) > 3


def test_a_plain_picture_turns_nothing(reference: Reference) -> None:
    segmentation = as_segmentation(exact_mask(knob(), T_TRUE))
    seed = PoseSeed(T_TRUE, SeedSource.TF, 5.0, 0.01)
    flat = np.full((CAMERA.height, CAMERA.width, 3), 128, np.uint8)
    with_picture, without = (align(segmentation, CAMERA, reference, PoseConfig(), (seed,), image).pose
                             for image in (flat, None))
    assert with_picture is not None and without is not None
    assert np.array_equal(with_picture.T_camera_part, without.T_camera_part)


def test_an_outline_that_sees_every_turn_is_enough(reference_config: ReferenceConfig) -> None:
    T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.4)
    query = query_of(bracket(), T)
    reference = reference_from_mesh(bracket(), "bracket", reference_config)
    assert blind_turns(fitted(query, reference, T), Interior(query, picture(bracket(), T)), reference) == []


def test_what_both_poses_show_alike_tells_nothing(reference: Reference) -> None:
    """The disc's upper rim, when it turns; the pointer's edges are elsewhere then."""
    camera = query_of(knob(), T_TRUE).camera
    T = spun(T_TRUE, knob(), 30.0)
    here, there = edges_seen(reference, camera, T_TRUE), edges_seen(reference, camera, T)
    unlike = here.unlike(camera, T_TRUE, there, T)
    rim, off_rim = (np.hypot(*points.points_m[:, :2].T) > 0.046 for points in (here, unlike))
    assert rim.mean() > 0.3 and off_rim.mean() < 0.1 and len(unlike) > 50
    assert len(here.unlike(camera, T_TRUE, here, T_TRUE)) == 0
