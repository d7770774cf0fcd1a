"""The Triton kernels against the same sums in torch: on a GPU, or on the CPU in Triton's interpreter.

The interpreter is chosen with TRITON_INTERPRET=1, before Triton is imported; without it and without a GPU these tests
are skipped.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from, turned_by_deg

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.frames import rotation_exp
from ptad_core.gaussians import Gaussians
from ptad_core.pose.query import Query, make_query
from ptad_core.reference import reference_from_mesh
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")
if importlib.util.find_spec("triton") is None:
    pytest.skip("needs triton: make gpu", allow_module_level=True)
ON_GPU = torch.cuda.is_available()
if not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)

from ptad_core.gpu import (  # noqa: E402
    contour,
    contour_kernel,
    kernels,
    level_set,
    solver,
    splat_sums,
    step_kernel,
    surface,
    surface_kernel,
)
from ptad_core.gpu.level_set import DeviceQueries  # noqa: E402
from ptad_core.gpu.refine import DeviceRefiner  # noqa: E402
from ptad_core.outline import Outline  # noqa: E402
from ptad_core.rendering.differentiable import camera_rows  # noqa: E402

DEVICE = torch.device("cuda" if ON_GPU else "cpu")
SIZE = 40
T_BRACKET = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)


def gaussians(count: int = 1500) -> Gaussians:
    return gaussians_from_surface(bracket(), count)


def query(T: FloatArray | None = None, size: int = SIZE) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T_BRACKET if T is None else T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, size)


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


@pytest.mark.parametrize("camera", [Camera(110.0, 100.0, 21.5, 18.0, 44, 35), Camera(70.0, 75.0, 12.0, 7.0, 24, 16)])
def test_surfaces(camera: Camera) -> None:
    """Whole, cut by the border, around the camera, and out of view; sizes that tiles divide and do not."""
    beside = T_BRACKET.copy()
    beside[0, 3] += 5.0
    uploaded = splat_sums.DeviceGaussians.upload(gaussians(600), DEVICE)
    for T, seen in ((seen_from(bracket(), (0.5, -0.6, 0.7), 0.3), True),
                    (seen_from(bracket(), (0.1, 0.9, -0.2), 0.2, 0.0, (0.05, 0.02)), True),
                    (seen_from(bracket(), (0.3, 0.1, 0.9), 0.05), True), (beside, False)):
        tiles = surface.into_tiles(uploaded, camera, torch.from_numpy(T[:3]).to(DEVICE))
        ours, expected = (f(tiles, 0.004).cpu() for f in (surface_kernel.composite, surface.composite))
        assert ours.shape == expected.shape == (surface.PLANES, camera.height, camera.width)
        assert bool((expected[surface.WEIGHT] > 0.3).any()) == seen
        off = (ours - expected).abs()
        # A layer on the brink of being another's may fall on either side.
        assert (off.amax(dim=0) < 1e-4).float().mean() > 0.995 and off[surface.THROUGH].max() < 0.005


def test_what_is_not_active_is_not_rendered() -> None:
    camera = Camera(70.0, 75.0, 12.0, 17.0, 37, 41)
    uploaded = splat_sums.DeviceGaussians.upload(gaussians(), DEVICE)
    K, poses = camera_rows([camera] * 2, DEVICE).float(), as_batch([seen_from(bracket(), (0.5, -0.6, 0.7), 0.3)] * 2)
    active = torch.tensor([False, True], device=DEVICE)
    for render in (kernels.splat_sums, splat_sums.splat_sums):
        none, some = render(uploaded, K, poses, 41, 37, active)
        assert not none.any() and some[0].min() < -1


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


def test_the_kernels_together_refine_as_torch_does(reference_config: ReferenceConfig,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images in one batch, padded to a power of two."""
    reference = reference_from_mesh(bracket(), "bracket", replace(reference_config, gaussians=500, views=20))
    expected, found = DeviceRefiner(reference, "cpu"), DeviceRefiner(reference, DEVICE.type)
    if not ON_GPU:
        for name, kernel in (("splat_sums", kernels.splat_sums), ("level_set_sums", kernels.level_set_sums),
                             ("take_steps", step_kernel.solve)):
            monkeypatch.setattr(found, f"_{name}", kernel)
    other = seen_from(bracket(), (-0.3, 0.8, 0.4), 0.35)
    queries = [query(T, 32) for T in (T_BRACKET, other)]
    arguments = (queries, [[near(T_BRACKET, 0)], [near(other, 1)]], 2)
    for fits, wanted in zip(found.refine_all(*arguments), expected.refine_all(*arguments), strict=True):
        assert turned_by_deg(fits[0].T_camera_part, wanted[0].T_camera_part) < 0.05
        assert fits[0].cost_px == pytest.approx(wanted[0].cost_px, abs=0.01)
        assert (fits[0].iterations, fits[0].converged) == (wanted[0].iterations, wanted[0].converged)
        assert fits[0].cost_px < 0.2


def views_of(count: int) -> contour.DeviceViews:
    from ptad_core.reference.views import render_views, sphere_directions
    rendered = render_views(gaussians(), bracket().center_m, bracket().diameter_m, sphere_directions(count))
    return contour.DeviceViews.upload(rendered, DEVICE)


def test_damped_steps() -> None:
    """As the torch loop takes them: poses that step, are damped, converge, are lost at once and on the way."""
    truth = torch.tensor([[0.1, -0.05, 0.6]], dtype=torch.float64, device=DEVICE)
    rng = np.random.default_rng(0)
    J = torch.from_numpy(rng.normal(size=(5, 40, 6)) * np.array([900, 800, 300, 90, 80, 60])).to(DEVICE)
    centre_part = torch.tensor([0.01, 0.02, -0.01], dtype=torch.float64, device=DEVICE)
    R = torch.from_numpy(np.stack([rotation_exp(v) for v in rng.normal(size=(5, 3)) * 0.3])).to(DEVICE)
    wanted = R.clone()
    offset = torch.tensor([[0.004, 0, 0], [0.001, 0.002, 0.02], [0, 0, 0], [0.01, -0.01, 0.03], [0.002, 0, 0]],
                          dtype=torch.float64, device=DEVICE)

    def linearise(poses: torch.Tensor, pivots: torch.Tensor, reach: tuple[float, float, float], active: torch.Tensor,
                  ) -> torch.Tensor:
        """Points on lines, of which each pose has its own; the last pose has none, and one loses them on the way."""
        poses = poses.double()
        turn = poses[:, :, :3] @ wanted.mT
        w = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0],
                         turn[:, 1, 0] - turn[:, 0, 1]], dim=1) / 2
        e = -torch.einsum("bni,bi->bn", J, torch.cat([pivots.double() - truth, w], dim=1))
        e = e + 0.8 * torch.sin(3 * e)  # so that some steps are too long
        weight = (1 - (e.abs() / 50).clamp(max=1) ** 2) ** 2
        H = torch.einsum("bn,bni,bnj->bij", weight, J, J)
        stats = torch.zeros((5, level_set.STATS), dtype=torch.float64, device=DEVICE)
        for n, (i, j) in enumerate(level_set.UPPER):
            stats[:, n] = H[:, i, j]
        stats[:, 21:27] = torch.einsum("bn,bni->bi", weight * e, J)
        stats[:, level_set.WEIGHT], stats[:, level_set.COUNT] = weight.sum(1), 40
        stats[:, level_set.ERROR2] = (weight * e * e).sum(1)
        for column, r in zip((level_set.LOSS, level_set.LOSS_NEXT, level_set.LOSS_FINAL), reach, strict=True):
            stats[:, column] = (1 - (1 - (e / (10 * r)).abs().clamp(max=1) ** 2) ** 3).sum(1)
        stats[4, level_set.COUNT] = 3
        stats[3, level_set.COUNT] = 40 if reach[0] > 4.5 else 0
        return torch.where(active[:, None], stats, torch.zeros_like(stats))

    found, expected = (solve(R, truth + offset, centre_part, 6, 6.0, linearise)
                       for solve in (step_kernel.solve, solver.solve))
    assert found.lost.tolist() == expected.lost.tolist() == [False, False, False, True, True]
    assert found.converged.tolist() == expected.converged.tolist()
    assert found.taken.tolist() == expected.taken.tolist() and len(set(found.taken.tolist())) > 2
    assert expected.converged.any() and not expected.converged.all()
    torch.testing.assert_close(found.R[:3], expected.R[:3], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.centre[:3], expected.centre[:3], atol=1e-6, rtol=0)
    apart_from_gradient = [*range(level_set.H_SIZE), *range(level_set.WEIGHT, level_set.STATS)]  # that is near 0
    torch.testing.assert_close(found.stats[:3, apart_from_gradient], expected.stats[:3, apart_from_gradient], atol=1e-2,
                               rtol=1e-3)
    assert (found.centre - truth)[:3].abs().max() < 5e-4 and (offset[:2].abs().max(dim=1).values > 1e-3).all()
    with pytest.raises(ValueError, match=r"at most 6\.1 px"):
        step_kernel.solve(R, truth + offset, centre_part, 6, 20.0, linearise)
