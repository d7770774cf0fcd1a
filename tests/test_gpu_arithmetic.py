"""The device's arithmetic, in torch on the CPU, against the CPU's own renderer and refinement."""

from __future__ import annotations

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from, turned_by_deg

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import FINAL_REACH_PX, refine_mask
from ptad_core.reference import Reference
from ptad_core.rendering.splat import render_mask_flow
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu import level_set, solver  # noqa: E402 - torch first
from ptad_core.gpu.level_set import DeviceQueries  # noqa: E402
from ptad_core.gpu.refine import DeviceRefiner  # noqa: E402
from ptad_core.gpu.splat_sums import DeviceGaussians, mask_and_flow, splat_sums  # noqa: E402
from ptad_core.rendering.differentiable import camera_rows  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
SMALL = Camera(160.0, 150.0, 47.5, 40.2, 96, 80)
POSES = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.3), seen_from(bracket(), (-0.2, 0.9, -0.3), 0.2, 40.0, (0.05, 0.0)),
         seen_from(bracket(), (0.3, 0.1, 0.9), 0.04)]
"""One all in the image, one that the border cuts, one that reaches behind the camera."""


def as_batch(poses: list[FloatArray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(poses)[:, :3].astype(np.float32))


def sums_of(reference: Reference, camera: Camera, poses: list[FloatArray]) -> torch.Tensor:
    return splat_sums(DeviceGaussians.upload(reference.gaussians, CPU), camera_rows([camera] * len(poses), CPU).float(),
                      as_batch(poses), camera.height, camera.width)


def test_masks_and_flow_are_those_of_the_renderer(reference: Reference) -> None:
    """Splats that are cut at 1/255 may be cut on one side only: a pixel then differs by as much, rarely."""
    masks, flows = mask_and_flow(sums_of(reference, SMALL, POSES))
    for k, T in enumerate(POSES):
        mask, flow = render_mask_flow(reference.gaussians, SMALL, T)
        assert (mask > 0.5).mean() > 0.02
        difference = np.abs(masks[k].numpy() - mask)
        assert difference.max() < 0.005 and np.quantile(difference, 0.99) < 1e-4
        scale = np.abs(flow).max(axis=(0, 1))
        relative = np.abs(np.moveaxis(flows[k].numpy(), 0, 2) - flow) / scale
        assert relative.max() < 0.02 and np.quantile(relative, 0.99) < 1e-3


def test_nothing_in_view_is_an_empty_mask(reference: Reference) -> None:
    behind = make_transform(np.eye(3), np.array([0.0, 0.0, -1.0]))
    beside = make_transform(np.eye(3), np.array([5.0, 0.0, 1.0]))
    sums = sums_of(reference, SMALL, [behind, beside])
    assert sums.shape == (2, 5, 80, 96) and not sums.any()


def test_systems_are_solved_as_numpy_does() -> None:
    rng = np.random.default_rng(0)
    J = rng.normal(size=(5, 40, 6)) * np.array([1e3, 2e3, 500, 3, 8, 20])
    A, b = np.einsum("bni,bnj->bij", J, J), rng.normal(size=(5, 6))
    x = solver.solve6(torch.from_numpy(A), torch.from_numpy(b)).numpy()
    assert x == pytest.approx(np.linalg.solve(A, b[..., None])[..., 0], rel=1e-9)


def test_rotations_are_those_of_the_frames() -> None:
    w = np.array([[0.0, 0.0, 0.0], [1e-9, 0.0, 2e-9], [0.3, -0.2, 0.5], [2.0, 1.0, -1.5]])
    expected = np.stack([rotation_exp(v) for v in w])
    assert solver.rotation(torch.from_numpy(w)).numpy() == pytest.approx(expected, abs=1e-12)


def query_at(T: FloatArray, size: int = 128) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, size)


def off(T: FloatArray, angle_deg: float, shift_m: tuple[float, float, float]) -> FloatArray:
    centre = T[:3, :3] @ bracket().center_m + T[:3, 3]
    R = rotation_exp(np.radians(angle_deg) * np.array([0.6, -0.48, 0.64])) @ T[:3, :3]
    return make_transform(R, centre + np.array(shift_m) - R @ bracket().center_m)


def test_a_batch_is_refined_as_the_cpu_refines_each(reference: Reference) -> None:
    T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)
    query = query_at(T)
    starts = [off(T, 2.0, (0.002, -0.001, 0.004)), off(T, -4.0, (-0.003, 0.002, 0.0)), off(T, 0.2, (0.0, 0.0, 0.0))]
    batch = DeviceRefiner(reference, "cpu").refine(query, starts, 12)
    assert len(batch) == len(starts)
    for start, fit in zip(starts, batch, strict=True):
        alone = refine_mask(query, reference, start, 12)
        assert alone is not None and fit.converged == alone.converged
        assert turned_by_deg(fit.T_camera_part, alone.T_camera_part) < 0.15
        assert np.linalg.norm(fit.pivot - alone.pivot) < 1e-3 * np.linalg.norm(alone.pivot)
        assert fit.cost_px == pytest.approx(alone.cost_px, abs=0.05)
        assert fit.residual_px == pytest.approx(alone.residual_px, abs=0.05)
        there = refine_mask(query, reference, fit.T_camera_part, 12, FINAL_REACH_PX)
        assert there is not None and there.iterations == 0
        assert np.diag(fit.normal_matrix) == pytest.approx(np.diag(there.normal_matrix), rel=0.01)


def test_images_of_several_cameras_are_refined_in_one_batch_as_each_alone(reference: Reference) -> None:
    """Queries of different outlines, cameras and numbers of poses, one with none and one with a pose that is lost."""
    refiner = DeviceRefiner(reference, "cpu")
    views = (((0.5, -0.6, 0.7), 0.5), ((-0.3, 0.8, 0.4), 0.35), ((0.0, 0.0, 1.0), 0.6))
    truths = [seen_from(bracket(), direction, distance_m) for direction, distance_m in views]
    queries = [query_at(T) for T in truths]
    lost = make_transform(truths[1][:3, :3], truths[1][:3, 3] + [0.3, 0.0, 0.0])
    starts = [[off(truths[0], 2.0, (0.002, -0.001, 0.004))], [lost, off(truths[1], -2.0, (0.0, 0.001, 0.0))], []]
    found = refiner.refine_all(queries, starts, 8)
    assert [len(fits) for fits in found] == [1, 1, 0]
    for query, own, fits, T in zip(queries, starts, found, truths, strict=True):
        for fit, alone in zip(fits, refiner.refine(query, own, 8), strict=True):
            assert turned_by_deg(fit.T_camera_part, T) < 1.0
            np.testing.assert_allclose(fit.T_camera_part, alone.T_camera_part, atol=1e-6)
            assert fit.cost_px == pytest.approx(alone.cost_px, abs=1e-4) and len(fit.outline) == len(alone.outline)


def test_poses_that_never_meet_the_outline_are_left_out(reference: Reference) -> None:
    T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)
    away = make_transform(T[:3, :3], T[:3, 3] + [0.3, 0.0, 0.0])
    fits = DeviceRefiner(reference, "cpu").refine(query_at(T), [away, off(T, 1.0, (0.0, 0.0, 0.0))], 6)
    assert len(fits) == 1 and turned_by_deg(fits[0].T_camera_part, T) < 1.0
    assert DeviceRefiner(reference, "cpu").refine(query_at(T), [], 6) == []


def test_what_lies_outside_the_image_does_not_count(reference: Reference) -> None:
    T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)
    query = query_at(T)
    seen = query.seen.copy()
    seen[:, :64] = False
    camera, poses = camera_rows([query.camera], CPU).float(), as_batch([T])
    sums = sums_of(reference, query.camera, [T])
    pivot = torch.from_numpy((T[:3, :3] @ bracket().center_m + T[:3, 3])[None].astype(np.float32))
    counts = [level_set.level_set_sums(sums, DeviceQueries.of_queries([(query.outline, s)], [0], CPU), camera, pivot,
                                       (3.0, 3.0, 3.0))[0, level_set.COUNT] for s in (query.seen, seen)]
    assert 0 < counts[1] < 0.8 * counts[0] and poses.dtype == torch.float32


def test_a_reach_that_no_loss_is_kept_for_is_refused(reference: Reference) -> None:
    T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)
    with pytest.raises(ValueError, match=r"at most 6\.1 px, got 20"):
        DeviceRefiner(reference, "cpu").refine(query_at(T), [T], 4, start_reach_px=20.0)
