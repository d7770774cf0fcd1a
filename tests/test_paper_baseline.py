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
from ptad_core.pose import descent, paper
from ptad_core.pose.query import Query, make_query
from ptad_core.reference.build import Reference, reference_from_mesh
from ptad_core.reference.views import ring_directions
from ptad_core.rendering.differentiable import camera_rows, cpu_masks
from ptad_core.rendering.splat import mask_jacobian, render_mask_flow
from ptad_core.types import FloatArray, Segmentation

pytestmark = pytest.mark.usefixtures("one_thread")
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
    np.testing.assert_allclose(motion(np.array([*w, *v, angle])), make_transform(R, F @ v), atol=1e-12)
    assert is_rigid(motion(np.array([2.0, -1.0, 0.4, *v, angle])))


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 0.11, 0.9, 3.0])
def test_motion_and_its_derivative_are_the_exponentials_at_any_angle(scale: float):
    """Series and closed forms, on both sides of where they meet, and at no turn at all."""
    parameters = torch.tensor([[0.36 * scale, 0.48 * scale, 0.8 * scale, 0.2, -0.5, 0.7, 0.9]], dtype=torch.float64)

    def exponential(p: torch.Tensor) -> torch.Tensor:
        w, v, zero = p[0, :3], p[0, 3:6], torch.zeros((), dtype=p.dtype)
        S = torch.stack([torch.stack([zero, -w[2], w[1], v[0]]), torch.stack([w[2], zero, -w[0], v[1]]),
                         torch.stack([-w[1], w[0], zero, v[2]]), torch.stack([zero, zero, zero, zero])])
        return torch.linalg.matrix_exp(S * p[0, 6])[:3]

    def ours(p: torch.Tensor) -> torch.Tensor:
        R, t = descent.screw_motion(p)
        return torch.cat([R[0], t[0, :, None]], dim=1)

    torch.testing.assert_close(ours(parameters), exponential(parameters), atol=1e-13, rtol=0)
    found, expected = (torch.autograd.functional.jacobian(f, parameters) for f in (ours, exponential))
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=0)


def motion(parameters: FloatArray) -> FloatArray:
    R, t = descent.screw_motion(torch.from_numpy(parameters)[None])
    return make_transform(R[0].numpy(), t[0].numpy())


P = np.array([0.3, -0.2, 0.9, 0.04, 0.02, -0.03, 0.05])
"""Screw parameters at which every one of them matters."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Poses and losses as a function of the parameters, from one start."""

    query: Query
    reference: Reference
    T_start: FloatArray

    def pose(self, p: torch.Tensor) -> torch.Tensor:
        centre = torch.from_numpy(self.reference.center_m)
        return descent.moved(torch.from_numpy(self.T_start)[None], centre, self.reference.diameter_m, p[None])

    def loss_at(self, poses: torch.Tensor) -> torch.Tensor:
        masks = cpu_masks(self.reference.gaussians)(poses, camera_rows([self.query.camera], torch.device("cpu")),
                                                    *self.query.mask.shape)
        return descent.mask_loss(masks, torch.from_numpy(self.query.mask))[0]

    def loss(self, p: FloatArray) -> float:
        return float(self.loss_at(self.pose(torch.from_numpy(p))))

    def gradient(self, p: FloatArray) -> FloatArray:
        parameters = torch.from_numpy(p).requires_grad_()
        return torch.autograd.grad(self.loss_at(self.pose(parameters)), parameters)[0].numpy()

    def by_twist(self, T: FloatArray) -> FloatArray:
        """The closed form, pixel by pixel, of the loss's derivative by a left twist about the camera's centre."""
        mask, flow = render_mask_flow(self.reference.gaussians, self.query.camera, T)
        rows, cols = (a.ravel().astype(float) for a in np.indices(mask.shape))
        J = mask_jacobian(flow.reshape(-1, 4), self.query.camera, rows, cols)
        return np.sign(mask - self.query.mask).ravel() @ J / mask.size


@pytest.fixture(scope="module")
def evaluation(reference, segmentation) -> Evaluation:
    query = make_query(segmentation.mask, segmentation.box_px, CAMERA, 256)
    return Evaluation(query, reference, turned(T_TRUE, reference, 5.0))


def central_difference(function: Callable[[FloatArray], Any], h: float) -> FloatArray:
    return np.array([(function(P + h * e) - function(P - h * e)) / (2 * h) for e in np.eye(7)])


def test_the_motion_acts_about_the_centre_in_diameters(evaluation):
    frame = np.diag([evaluation.reference.diameter_m] * 3 + [1.0])
    frame[:3, 3] = evaluation.reference.center_m
    expected = evaluation.T_start @ frame @ motion(P) @ np.linalg.inv(frame)
    np.testing.assert_allclose(evaluation.pose(torch.from_numpy(P))[0].numpy(), expected, atol=1e-12)


def test_chain_from_twist_to_screw_parameters_is_exact(evaluation):
    T = evaluation.pose(torch.from_numpy(P))[0].numpy()

    def twist_at(p: FloatArray) -> FloatArray:
        step = evaluation.pose(torch.from_numpy(p))[0].numpy() @ invert(T)
        return np.array([*step[:3, 3], step[2, 1], step[0, 2], step[1, 0]])

    expected = central_difference(twist_at, 1e-5) @ evaluation.by_twist(T)
    np.testing.assert_allclose(evaluation.gradient(P), expected, rtol=1e-4, atol=1e-6)


def test_gradient_of_the_screw_parameters_against_central_differences_of_the_loss(evaluation):
    found, expected = evaluation.gradient(P), central_difference(evaluation.loss, 2e-3)
    assert np.linalg.norm(expected) > 1e-2
    # The renderer's Jacobian moves splats and leaves their shapes. That is right on the outline; inside of it a turn
    # also changes the little that shows through between splats, which is all of the difference.
    np.testing.assert_allclose(found, expected, atol=0.25 * np.linalg.norm(expected))
    assert found @ expected > 0.97 * np.linalg.norm(found) * np.linalg.norm(expected)


def test_converges_from_3_degrees(reference, evaluation):
    ((T, loss),) = paper.PaperBaseline(reference).descend_from([evaluation.query], [turned(T_TRUE, reference, 3.0)])
    assert rotation_angle_deg(T[:3, :3], T_TRUE[:3, :3]) < 0.5
    off = T[:3, :3] @ reference.center_m + T[:3, 3] - (T_TRUE[:3, :3] @ reference.center_m + T_TRUE[:3, 3])
    assert np.linalg.norm(off) < 0.005 * 0.24
    assert loss == pytest.approx(float(evaluation.loss_at(torch.from_numpy(T_TRUE)[None])), rel=0.1)


def test_a_batch_is_descended_as_each_alone(reference, evaluation):
    """A few steps: Adam starts by the gradient's signs, and rounding grows from step to step."""
    baseline = paper.PaperBaseline(reference, paper.PaperSettings(steps=6))
    starts = [turned(T_TRUE, reference, 3.0), turned(T_TRUE, reference, -6.0)]
    for (T, loss), start in zip(baseline.descend_from([evaluation.query] * 2, starts), starts, strict=True):
        ((alone, loss_alone),) = baseline.descend_from([evaluation.query], [start])
        np.testing.assert_allclose(T, alone, atol=1e-5)
        assert loss == pytest.approx(loss_alone, rel=1e-4) and not np.allclose(T, start, atol=1e-3)


def test_starts_from_the_ring_and_lays_the_view_over_the_query(reference, segmentation):
    fit = paper.PaperBaseline(reference, paper.PaperSettings(steps=1)).align(segmentation, CAMERA)
    rows, cols = np.nonzero(segmentation.mask)
    seen_rows, seen_cols = np.nonzero(exact_mask(bracket(), fit.T_start, CAMERA))
    np.testing.assert_allclose([seen_cols.min(), seen_rows.min(), seen_cols.max(), seen_rows.max()],
                               [cols.min(), rows.min(), cols.max(), rows.max()], atol=12)
    to_camera = -fit.T_start[:3, :3].T @ fit.T_start[:3, 3] - reference.center_m
    assert np.max(ring_directions(20) @ to_camera) > (1 - 1e-9) * np.linalg.norm(to_camera)


def test_without_a_mask_there_is_no_pose(reference, segmentation):
    empty = as_segmentation(np.zeros((256, 256), bool))
    assert paper.PaperBaseline(reference).align(empty, CAMERA) is None
    found = paper.PaperBaseline(reference, paper.PaperSettings(steps=1)).align_all([empty, segmentation], [CAMERA] * 2)
    assert found[0] is None and found[1] is not None
