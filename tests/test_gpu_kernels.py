"""The Triton kernels against the same sums in torch: on a GPU, or on the CPU in Triton's interpreter.

The interpreter is chosen with TRITON_INTERPRET=1, before Triton is imported; without it and without a GPU these tests
are skipped.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from

from ptad_core.camera import Camera
from ptad_core.frames import rotation_exp
from ptad_core.gaussians import Gaussians
from ptad_core.pose.query import Query, make_query
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")
if importlib.util.find_spec("triton") is None:
    pytest.skip("needs triton: make gpu", allow_module_level=True)
ON_GPU = torch.cuda.is_available()
if not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)

from ptad_core.gpu import contour, contour_kernel, kernels, level_set, splat_sums  # noqa: E402 - where Triton can run
from ptad_core.gpu.level_set import DeviceQueries  # noqa: E402
from ptad_core.outline import Outline  # noqa: E402
from ptad_core.rendering.differentiable import camera_rows  # noqa: E402

DEVICE = torch.device("cuda" if ON_GPU else "cpu")
SIZE = 40
T_BRACKET = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)


def gaussians(count: int = 1500) -> Gaussians:
    return gaussians_from_surface(bracket(), count)


def query() -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T_BRACKET))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, SIZE)


def near(T: FloatArray, k: int) -> FloatArray:
    rng = np.random.default_rng(k)
    moved = T.copy()
    moved[:3, :3] = rotation_exp(rng.normal(size=3) * 0.03) @ T[:3, :3]
    moved[:3, 3] += rng.normal(size=3) * 0.002
    return moved


def as_batch(poses: list[FloatArray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(poses)[:, :3].astype(np.float32)).to(DEVICE)


def both(camera: Camera, poses: list[FloatArray], count: int = 1500) -> tuple[torch.Tensor, torch.Tensor]:
    uploaded = splat_sums.DeviceGaussians.upload(gaussians(count), DEVICE)
    batch, K = as_batch(poses), camera_rows([camera] * len(poses), DEVICE).float()
    ours = kernels.splat_sums(uploaded, K, batch, camera.height, camera.width)
    expected = splat_sums.splat_sums(uploaded, K.double(), batch.double(), camera.height, camera.width)
    return ours.cpu().double(), expected.cpu()


@pytest.mark.parametrize("camera", [Camera(110.0, 100.0, 31.5, 20.0, 64, 48), Camera(70.0, 75.0, 12.0, 17.0, 37, 41)])
def test_splat_sums(camera: Camera) -> None:
    """Whole, cut by the border, around the camera, and out of view; sizes that no block divides."""
    beside = T_BRACKET.copy()
    beside[0, 3] += 5.0
    poses = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.3),
             seen_from(bracket(), (0.1, 0.9, -0.2), 0.2, 0.0, (0.05, 0.02)),
             seen_from(bracket(), (0.3, 0.1, 0.9), 0.05), beside]
    ours, expected = both(camera, poses)
    assert ours.shape == expected.shape == (4, 5, camera.height, camera.width)
    assert expected[:3, 0].amin(dim=(1, 2)).max() < -1 and not expected[3].any() and not ours[3].any()
    for k in range(3):
        scale = expected[k].abs().amax(dim=(1, 2), keepdim=True)
        off = (ours[k] - expected[k]).abs() / scale
        # A splat whose edge (1/255) meets a pixel's centre may count there in one precision and not in the other.
        assert off.max() < 0.02 and off.flatten().quantile(0.995) < 1e-3


def test_splat_sums_of_several_cameras() -> None:
    cameras = [Camera(110.0, 100.0, 20.0, 18.0, 40, 36), Camera(70.0, 75.0, 12.0, 17.0, 40, 36)]
    poses = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.3)] * 2
    uploaded = splat_sums.DeviceGaussians.upload(gaussians(), DEVICE)
    K = camera_rows(cameras, DEVICE).float()
    together = kernels.splat_sums(uploaded, K, as_batch(poses), 36, 40).cpu()
    for k, camera in enumerate(cameras):
        alone = both(camera, poses[:1])[0][0]
        assert (together[k] - alone).abs().max() < 1e-3 * alone.abs().max()
    assert (together[0] - together[1]).abs().max() > 1


def test_level_set_sums() -> None:
    """Of two queries, one of them with few points: each image is held against its own."""
    q = query()
    poses = [near(T_BRACKET, k) for k in range(2)]
    sums = both(q.camera, poses)[1].float().to(DEVICE)
    K = camera_rows([q.camera] * 2, DEVICE).float()
    part = Outline(q.outline.points[20:], q.outline.normals[20:])
    seen = q.seen.copy()
    seen[:, :14] = False
    pivots = as_batch(poses) @ torch.tensor([*bracket().center_m, 1.0], dtype=torch.float32, device=DEVICE)
    for reaches, visible in (((6.0, 4.2, 3.0), seen), ((3.0, 3.0, 3.0), q.seen)):
        on_device = DeviceQueries.of_queries([(q.outline, visible), (part, q.seen)], [1, 0], DEVICE)
        ours = kernels.level_set_sums(sums, on_device, K, pivots, reaches).cpu()
        expected = level_set.level_set_sums(sums, on_device, K, pivots, reaches).double().cpu()
        assert (expected[:, level_set.COUNT] > 30).all()
        H = [expected[:, level_set.UPPER.index((i, i))] for i in range(6)]
        size = expected.abs().clamp(min=1e-3)
        for n, (i, j) in enumerate(level_set.UPPER):
            size[:, n] = (H[i] * H[j]).sqrt()
        for i in range(6):
            size[:, level_set.H_SIZE + i] = (H[i] * expected[:, level_set.ERROR2]).sqrt()
        assert ((ours - expected).abs() / size).max() < 1e-3


def test_an_empty_image_and_an_empty_query() -> None:
    q = query()
    K = camera_rows([q.camera], DEVICE).float()
    pivots = torch.zeros((1, 3), device=DEVICE)
    full = both(q.camera, [T_BRACKET])[1].float().to(DEVICE)
    on_device = DeviceQueries.of_queries([(q.outline, q.seen)], [0], DEVICE)
    assert not kernels.level_set_sums(torch.zeros_like(full), on_device, K, pivots, (3.0, 3.0, 3.0)).any()
    nothing = DeviceQueries.of_queries([(Outline(np.empty((0, 2)), np.empty((0, 2))), q.seen)], [0], DEVICE)
    stats = kernels.level_set_sums(full, nothing, K, pivots, (3.0, 3.0, 3.0)).cpu()[0]
    assert stats[level_set.WEIGHT] == 0 and stats[level_set.COUNT] > 30
    assert stats[level_set.LOSS] == stats[level_set.COUNT]


@pytest.mark.parametrize(("start_reach", "steps", "stride"), [(20.0, 4, 2), (8.0, 3, 1)])
def test_contour_fits(start_reach: float, steps: int, stride: int) -> None:
    """As the torch function fits them, a pose around the camera included; sizes that no block divides."""
    rng = np.random.default_rng(0)
    views = views_of(30)
    q = query().few
    count = 75 // stride
    table = torch.from_numpy(np.column_stack([q.points, q.normals])[:count].astype(np.float32)).to(DEVICE)
    camera = query().camera
    K = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy, 0.8], dtype=torch.float32, device=DEVICE)
    along = np.arange(steps + 1) / max(steps - 3, 1)
    reaches = torch.tensor(np.maximum(4.0, start_reach * (4.0 / start_reach) ** along), dtype=torch.float32).to(DEVICE)
    T = np.stack([near(T_BRACKET, k) for k in range(2)] + [T_BRACKET])[:, :3]
    T[:, :, 3] += T[:, :, :3] @ bracket().center_m + rng.normal(size=(3, 3)) * 0.002
    T[2, 2, 3] = 0.01
    poses = torch.from_numpy(T.astype(np.float32)).to(DEVICE)
    found, costs = (t.cpu().double() for t in contour_kernel.fit_contours(views, poses, K, table, reaches, stride))
    expected, wanted = (t.cpu().double() for t in contour.fit_contours(views, poses, K, table, reaches, stride))
    assert torch.isinf(costs[2]) and torch.isinf(wanted[2]) and (wanted[:2] < 4).all()
    assert (costs - wanted)[:2].abs().max() < 0.01
    assert (found - expected)[:2, :, :3].abs().max() < 2e-3 and (found - expected)[:2, :, 3].abs().max() < 2e-4
    moved = (expected - poses.cpu().double())[:2].abs().amax(dim=(1, 2))
    assert (moved > 5e-3).all()


def views_of(count: int) -> contour.DeviceViews:
    from ptad_core.reference.views import render_views, sphere_directions
    rendered = render_views(gaussians(), bracket().center_m, bracket().diameter_m, sphere_directions(count))
    return contour.DeviceViews.upload(rendered, DEVICE)
