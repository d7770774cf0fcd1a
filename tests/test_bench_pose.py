"""The pose benchmark's own yardstick: errors, conditions, views and headline."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.pose import shapes
from benchmarks.pose.conditions import CAMERA, DEFECTS, Condition, make_scene, noisy, ring_view, sphere_view
from benchmarks.pose.errors import nees, pose_error
from benchmarks.pose.objects import BenchObject, generated
from benchmarks.pose.report import headline_of, write_report
from benchmarks.pose.run import MODES, Row, as_json
from ptad_core.config import ReferenceConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.reference.views import ring_directions
from ptad_core.synthesis.parts import patches
from ptad_core.types import AlignedPose, FloatArray, SeedSource

HEADLINE = {"blind20_intact_success", "blind20_intact_median_deg", "blind20_defect_success", "sphere_intact_success",
            "seeded_success", "flip_rate", "translation_median_pct", "blind_ms", "seeded_ms", "speedup_vs_paper"}


@pytest.fixture(scope="module")
def small(reference_config: ReferenceConfig) -> ReferenceConfig:
    return dataclasses.replace(reference_config, gaussians=1500, views=20)


def turned_about_centre(T: FloatArray, item: BenchObject, axis_part: FloatArray, degrees: float) -> FloatArray:
    centre = item.reference.center_m
    S = rotation_exp(np.radians(degrees) * axis_part / np.linalg.norm(axis_part))
    return T @ make_transform(S, centre - S @ centre)


def test_symmetric_copies_are_no_error_and_others_are(small):
    T = sphere_view(wheel := BenchObject(shapes.wheel(), "axis=z order=5", small), np.random.default_rng(3))
    z, x = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    assert pose_error(turned_about_centre(T, wheel, z, 144), T, wheel).success
    assert pose_error(turned_about_centre(T, wheel, z, 30), T, wheel).rotation_deg == pytest.approx(30)
    bottle = BenchObject(shapes.bottle(), "axis=z order=inf", small)
    T = sphere_view(bottle, np.random.default_rng(4))
    assert pose_error(turned_about_centre(T, bottle, z, 37.3), T, bottle).rotation_deg == pytest.approx(0, abs=1e-4)
    both = turned_about_centre(turned_about_centre(T, bottle, z, 37.3), bottle, x, 12.0)
    assert pose_error(both, T, bottle).rotation_deg == pytest.approx(12)
    assert pose_error(turned_about_centre(T, bottle, x, 180), T, bottle).flipped
    moved = T.copy()
    moved[:3, 3] += 0.06 * bottle.reference.diameter_m * np.array([0, 0, 1])
    assert not pose_error(moved, T, bottle).success


def test_normalised_errors_of_the_stated_scatter_average_to_one(small):
    block = BenchObject(shapes.block(), "axis=z order=2; axis=x order=2", small)
    T = sphere_view(block, np.random.default_rng(5))
    rng = np.random.default_rng(6)
    A = rng.normal(size=(6, 6)) * np.array([1e-4] * 3 + [1e-3] * 3)[:, None]
    scores = []
    for e in rng.multivariate_normal(np.zeros(6), A @ A.T, size=400):
        copy = turned_about_centre(T, block, np.array([1.0, 0, 0]), 180)  # as good; errors are at its own origin
        found = make_transform(rotation_exp(e[3:]) @ copy[:3, :3], copy[:3, 3] + e[:3])
        pose = AlignedPose(found, A @ A.T, 1.0, 0.0, SeedSource.BLIND, np.inf, None, ambiguous=False, converged=True)
        scores.append(nees(pose, T, block))
    assert np.mean(scores) == pytest.approx(1.0, abs=0.12)


def test_objects_are_enough_and_their_symmetries_are_real(small):
    objects = generated(0, small)
    assert len({item.name for item in objects}) >= 10
    assert sum(item.asymmetric for item in objects) >= 8
    for item in objects:
        kinds = [c for c in item.assembly.components if not c.sound]
        assert len(kinds) >= 3, item.name
        if item.asymmetric:
            continue
        T = sphere_view(item, np.random.default_rng(7))
        mask = item.renderer.render(CAMERA, T).mask
        for S in item.reference.symmetries[1:]:
            centre = item.mesh.center_m
            other = item.renderer.render(CAMERA, T @ make_transform(S, centre - S @ centre)).mask
            assert (mask & other).sum() / (mask | other).sum() > 0.985, item.name


@pytest.mark.parametrize("k", range(5))
def test_views_fill_half_to_four_fifths_of_the_image_and_lie_off_the_ring(k, small):
    item = BenchObject(shapes.lamp(), "", small)
    rng = np.random.default_rng(k)
    for draw in (ring_view, sphere_view):
        mask = item.renderer.render(CAMERA, T := draw(item, rng)).mask
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert rows[0] > 2 and cols[0] > 2 and rows[-1] < 253 and cols[-1] < 253
        assert 0.48 < max(np.ptp(rows), np.ptp(cols)) / 256 < 0.82
    T = ring_view(item, rng)
    towards_camera = -T[:3, :3].T @ T[:3, 3] - item.mesh.center_m
    cosines = ring_directions(20) @ towards_camera / np.linalg.norm(towards_camera)
    assert 0.1 < np.degrees(np.arccos(cosines.max())) < 15


def test_conditions_do_what_they_say(small):
    item = BenchObject(shapes.drill(), "", small)
    T = ring_view(item, np.random.default_rng(2))
    intact = make_scene(item, T, Condition.INTACT, np.random.default_rng(0))
    assert intact is not None
    np.testing.assert_array_equal(intact.foreground, item.renderer.render(CAMERA, T).mask)
    for kind in DEFECTS:
        scene = make_scene(item, T, kind, np.random.default_rng(1))
        assert scene is not None and (scene.foreground != intact.foreground).sum() >= 40
    gone = make_scene(item, T, Condition.GONE, np.random.default_rng(1))
    assert gone is not None and not (gone.foreground & ~intact.foreground).any()
    assert gone.foreground.sum() / intact.foreground.sum() == pytest.approx(0.7, abs=0.02)
    noise = noisy(intact.foreground, np.random.default_rng(1))
    assert 0.04 < (intact.foreground & ~noise).sum() / intact.foreground.sum() < 0.25
    again = make_scene(item, T, Condition.NOISE, np.random.default_rng(1))
    once_more = make_scene(item, T, Condition.NOISE, np.random.default_rng(1))
    assert again is not None and once_more is not None
    np.testing.assert_array_equal(again.foreground, once_more.foreground)
    np.testing.assert_array_equal(again.image_bgr, once_more.image_bgr)


def test_a_mesh_without_components_is_divided_into_portions_that_make_it_up():
    whole = shapes.bracket().solid
    mesh = BenchObject(shapes.bracket(), "", ReferenceConfig()).mesh
    parts = patches(mesh, "bracket")
    assert len(parts.components) >= 4 and parts.components[0].sound
    assert len(parts.solid.faces) == len(whole.faces)
    assert {c.on for c in parts.components[1:]} == {parts.components[0].name}


def row(mode: str, condition: str, *, success: bool, pair: int = 0, seconds: float = 0.1) -> Row:
    return Row("lamp", asymmetric=True, pair=pair, condition=condition, mode=mode, success=success,
               rotation_deg=0.2 if success else 170.0, centre_m=0.001, centre_pct_distance=0.1, flipped=not success,
               trusted=True, ambiguous=False, reasons=(), margin=np.inf, mask_iou=0.99, residual_px=0.2, nees=1.0,
               seconds=seconds, cpu_seconds=seconds, T_true=[0.0] * 16, T_found=None)


def test_headline_has_the_agreed_figures_and_the_report_ends_with_them():
    rows = [row(mode.name, c.value, success=k > 0, pair=k) for mode in MODES for c in Condition for k in range(4)]
    rows += [dataclasses.replace(r, seconds=1.0) for r in rows if r.mode == "paper"]
    figures = headline_of(rows)
    assert set(figures) == HEADLINE
    assert figures["blind20_intact_success"] == figures["seeded_success"] == 0.75
    assert figures["flip_rate"] == 0.25 and figures["translation_median_pct"] == 0.1
    last = write_report(rows, figures).splitlines()[-1]
    assert json.loads(last) == {"pose": figures}


def test_figures_of_modes_that_were_not_run_are_null_and_rows_are_json():
    figures = headline_of([row("ring20", "intact", success=True)])
    assert figures["sphere_intact_success"] is None and figures["speedup_vs_paper"] is None
    assert json.loads(json.dumps(as_json(row("ring20", "intact", success=True)), allow_nan=False))["margin"] is None


def test_truth_is_within_ten_degrees_of_the_ring_in_azimuth_and_elevation_and_five_in_roll(small):
    item = BenchObject(shapes.bracket(), "", small)
    for k in range(10):
        T = ring_view(item, np.random.default_rng(k))
        ray = T[:3, :3] @ item.mesh.center_m + T[:3, 3]
        axis = np.cross([0, 0, 1.0], ray)
        towards = rotation_exp(-axis / np.linalg.norm(axis) * np.arctan2(np.linalg.norm(axis), ray[2]))
        upright = towards @ T[:3, :3]  # as seen along the axis
        z = upright @ np.array([0, 0, 1.0])
        assert abs(np.degrees(np.arctan2(z[0], -z[1]))) < 5.0 + 1e-6
        assert abs(np.degrees(np.arcsin(-z[2])) - 20.0) < 10.0 + 1e-6
