"""The paper's alignment: its distances, its motion, its gradient, and that it converges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from core_parts import as_segmentation, bracket, exact_mask

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.frames import invert, is_rigid, make_transform, rotation_angle_deg, rotation_exp, skew
from ptad_core.pose import paper
from ptad_core.pose.query import make_query
from ptad_core.reference.build import Reference, reference_from_mesh
from ptad_core.reference.views import ring_directions
from ptad_core.types import FloatArray, Segmentation

CAMERA = Camera(355.0, 355.0, 127.5, 127.5, 256, 256)
T_TRUE = make_transform(rotation_exp(np.radians([112.0, 6.0, -9.0])), np.array([0.006, 0.012, 0.24]))


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    finer = dataclasses.replace(reference_config, gaussians=12_000, views=20)  # the paper has views of its own
    return reference_from_mesh(bracket(), "bracket", finer)


@pytest.fixture(scope="module")
def segmentation() -> Segmentation:
    return as_segmentation(exact_mask(bracket(), T_TRUE, CAMERA))


def turned(T: FloatArray, reference: Reference, degrees: float) -> FloatArray:
    """The pose turned about the part's centre."""
    axis = np.array([0.5, -0.7, 0.5]) / np.linalg.norm([0.5, -0.7, 0.5])
    R = rotation_exp(np.radians(degrees) * axis) @ T[:3, :3]
    centre = T[:3, :3] @ reference.center_m + T[:3, 3]
    return make_transform(R, centre - R @ reference.center_m)


def test_chamfer_is_the_papers_eq_3():
    rng = np.random.default_rng(0)
    a, b = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32)
    a[tuple(rng.integers(0, 40, (2, 60)))] = 1
    b[tuple(rng.integers(5, 30, (2, 50)))] = 1
    pixels_a, pixels_b = np.argwhere(a), np.argwhere(b)
    apart = np.linalg.norm(pixels_a[:, None] - pixels_b[None], axis=2)
    expected = apart.min(axis=1).mean() + apart.min(axis=0).mean()
    assert paper.mask_chamfer(a, b) == pytest.approx(expected, abs=1e-3)
    assert paper.mask_chamfer(a, a) == 0.0
    assert paper.mask_chamfer(a, np.zeros_like(a)) == np.inf


def test_motion_is_the_papers_eq_4_to_6_for_a_unit_axis_and_rigid_for_any():
    w, v, angle = np.array([0.36, 0.48, 0.8]), np.array([0.2, -0.5, 0.7]), 0.9
    W = skew(w)
    F = np.eye(3) * angle + (1 - np.cos(angle)) * W + (angle - np.sin(angle)) * W @ W
    R = np.eye(3) + np.sin(angle) * W + (1 - np.cos(angle)) * W @ W
    motion = paper.screw_motion(torch.tensor([*w, *v, angle], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(motion, make_transform(R, F @ v), atol=1e-12)
    assert is_rigid(paper.screw_motion(torch.tensor([2.0, -1.0, 0.4, *v, angle], dtype=torch.float64)).numpy())


P = np.array([0.3, -0.2, 0.9, 0.04, 0.02, -0.03, 0.05])
"""Screw parameters at which every one of them matters."""


def central_difference(function: Callable[[FloatArray], Any], h: float) -> FloatArray:
    return np.array([(function(P + h * e) - function(P - h * e)) / (2 * h) for e in np.eye(7)])


def test_chain_from_twist_to_screw_parameters_is_exact(reference, segmentation):
    query = make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)
    T_start = turned(T_TRUE, reference, 5.0)
    frame = paper.part_frame(reference)
    T, _, found = paper.evaluate(query, reference, T_start, torch.from_numpy(P))
    _, by_twist = paper.loss_by_twist(query, reference, T)

    def twist_at(p: FloatArray) -> FloatArray:
        motion = T_start @ frame @ paper.screw_motion(torch.from_numpy(p)).numpy() @ np.linalg.inv(frame)
        motion = motion @ invert(T)
        return np.array([*motion[:3, 3], motion[2, 1], motion[0, 2], motion[1, 0]])

    np.testing.assert_allclose(found.numpy(), central_difference(twist_at, 1e-5) @ by_twist, rtol=1e-5, atol=1e-8)


def test_gradient_of_the_screw_parameters_against_central_differences_of_the_loss(reference, segmentation):
    query = make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)
    T_start = turned(T_TRUE, reference, 5.0)
    found = paper.evaluate(query, reference, T_start, torch.from_numpy(P))[2].numpy()
    expected = central_difference(lambda p: paper.evaluate(query, reference, T_start, torch.from_numpy(p))[1], 2e-3)
    assert np.linalg.norm(expected) > 1e-2
    # The renderer's Jacobian moves splats and leaves their shapes. That is right on the outline; inside of it a turn
    # also changes the little that shows through between splats, which is all of the difference.
    np.testing.assert_allclose(found, expected, atol=0.25 * np.linalg.norm(expected))
    assert found @ expected > 0.97 * np.linalg.norm(found) * np.linalg.norm(expected)


def test_converges_from_3_degrees(reference, segmentation):
    query = make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)
    T, loss = paper.descend(query, reference, turned(T_TRUE, reference, 3.0), paper.PaperSettings())
    assert rotation_angle_deg(T[:3, :3], T_TRUE[:3, :3]) < 0.5
    off = T[:3, :3] @ reference.center_m + T[:3, 3] - (T_TRUE[:3, :3] @ reference.center_m + T_TRUE[:3, 3])
    assert np.linalg.norm(off) < 0.005 * 0.24
    assert loss == pytest.approx(paper.loss_by_twist(query, reference, T_TRUE)[0], rel=0.1)


def test_starts_from_the_ring_and_lays_the_view_over_the_query(reference, segmentation):
    fit = paper.PaperBaseline(reference, paper.PaperSettings(steps=1)).align(segmentation, CAMERA)
    rows, cols = np.nonzero(segmentation.mask)
    seen_rows, seen_cols = np.nonzero(exact_mask(bracket(), fit.T_start, CAMERA))
    np.testing.assert_allclose([seen_cols.min(), seen_rows.min(), seen_cols.max(), seen_rows.max()],
                               [cols.min(), rows.min(), cols.max(), rows.max()], atol=12)
    to_camera = -fit.T_start[:3, :3].T @ fit.T_start[:3, 3] - reference.center_m
    assert np.max(ring_directions(20) @ to_camera) > (1 - 1e-9) * np.linalg.norm(to_camera)


def test_without_a_mask_there_is_no_pose(reference):
    assert paper.PaperBaseline(reference).align(as_segmentation(np.zeros((256, 256), bool)), CAMERA) is None
