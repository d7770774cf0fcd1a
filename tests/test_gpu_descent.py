"""The paper's descent by the device's renderers, on the CPU: against the CPU's own, and what gsplat is asked for.

gsplat itself needs a GPU: ``gsplat_standin`` takes its place, unless there is one.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import gsplat_standin
import numpy as np
import pytest
from core_parts import as_segmentation, bracket, exact_mask, seen_from, turned_by_deg

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.errors import DeviceError
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.reference import Reference, reference_from_mesh
from ptad_core.rendering import kernels
from ptad_core.rendering.splat import project, render_mask
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu.gsplat_masks import GsplatMasks  # noqa: E402 - torch first
from ptad_core.gpu.masks import device_masks  # noqa: E402
from ptad_core.gpu.splat_sums import DeviceGaussians, mask_and_flow, splat_sums  # noqa: E402
from ptad_core.pose.descent import mask_loss  # noqa: E402
from ptad_core.pose.paper import PaperBaseline, PaperSettings  # noqa: E402
from ptad_core.pose.query import Query, make_query  # noqa: E402
from ptad_core.rendering.differentiable import MaskRenderer, camera_rows, cpu_masks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
CAMERAS = [Camera(160.0, 150.0, 30.5, 25.2, 60, 48), Camera(110.0, 120.0, 24.0, 28.7, 60, 48)]
POSES = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.3), seen_from(bracket(), (-0.2, 0.9, -0.3), 0.25, 40.0, (0.02, 0.0))]
VIEW = Camera(355.0, 355.0, 127.5, 127.5, 256, 256)


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", ReferenceConfig(gaussians=500, views=20,
                                                                     cache_dir=reference_config.cache_dir))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The place of gsplat is taken; what it was asked for, call by call."""
    calls: list[dict[str, Any]] = []

    def rasterization(*arguments: Any, **settings: Any) -> Any:
        names = rasterization_names[:len(arguments)]
        calls.append(dict(zip(names, arguments, strict=True)) | settings)
        return gsplat_standin.rasterization(*arguments, **settings)

    rasterization_names = list(inspect.signature(gsplat_standin.rasterization).parameters)
    take_gsplats_place(monkeypatch, rasterization)
    return calls


def take_gsplats_place(monkeypatch: pytest.MonkeyPatch, rasterization: Callable[..., Any]) -> None:
    module = types.ModuleType("gsplat")
    module.__spec__ = types.SimpleNamespace(name="gsplat")  # type: ignore[assignment]
    module.rasterization = rasterization  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", module)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.stack(POSES)), camera_rows(CAMERAS, CPU)


def test_gsplat_is_asked_for_all_poses_and_cameras_in_one_call(reference: Reference,
                                                               asked: list[dict[str, Any]]) -> None:
    renderer = GsplatMasks(reference.gaussians, "cpu")
    asked.clear()
    poses, cameras = batch()
    masks, depths = renderer.render(poses, cameras, 48, 60, "ED")
    assert masks.shape == depths.shape == (2, 48, 60) and len(asked) == 1
    call = asked[0]
    np.testing.assert_array_equal(call["viewmats"].numpy(), np.stack(POSES).astype(np.float32))
    expected = [[[c.fx, 0, c.cx + 0.5], [0, c.fy, c.cy + 0.5], [0, 0, 1]] for c in CAMERAS]
    np.testing.assert_allclose(call["Ks"].numpy(), expected, rtol=1e-6)
    assert (call["width"], call["height"], call["render_mode"]) == (60, 48, "ED")
    assert call["packed"] is False and call["rasterize_mode"] == "antialiased" and "sh_degree" not in call
    assert (call["eps2d"], call["near_plane"]) == (0.06, 1e-3)
    assert call["colors"].shape == (len(reference.gaussians), 1)
    # Disks: the covariances are those of the tangents, and nothing across.
    axes = gsplat_standin.rotations(call["quats"]) * call["scales"][:, None, :]
    tangents = torch.from_numpy(reference.gaussians.tangents)
    torch.testing.assert_close(axes @ axes.mT, tangents.mT @ tangents, rtol=1e-4, atol=1e-11)


def test_its_masks_are_the_cpus_to_the_pixel(reference: Reference, asked: list[dict[str, Any]]) -> None:
    """Blended front to back or multiplied, a mask is the same; half a pixel off, it is not."""
    masks = GsplatMasks(reference.gaussians, "cpu")(*batch(), 48, 60)
    assert asked
    for mask, camera, T in zip(masks.numpy(), CAMERAS, POSES, strict=True):
        expected = render_mask(reference.gaussians, camera, T)
        assert (expected > 0.5).mean() > 0.05
        assert np.abs(mask - expected).max() < 0.005
        beside = Camera(camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5, 60, 48)
        assert np.abs(mask - render_mask(reference.gaussians, beside, T)).max() > 0.2


def blended_depth(reference: Reference, camera: Camera, T: FloatArray) -> FloatArray:
    """Eq. 8 on the CPU's splats, every one at every pixel: Σ z α Π(1 - α of those in front)."""
    splats = project(reference.gaussians, camera, T)
    table = splats.table[:splats.count].astype(np.float64)
    table = table[np.argsort(table[:, kernels.Z], kind="stable")]
    u, v, z, a, b, c, alpha = (table[:, k, None] for k in (kernels.U, kernels.V, kernels.Z, kernels.CA, kernels.CB,
                                                           kernels.CC, kernels.ALPHA))
    rows, cols = (n.reshape(1, -1) for n in np.indices((camera.height, camera.width)))
    du, dv = cols - u, rows - v
    alpha = alpha * np.exp(-0.5 * (a * du * du + c * dv * dv) - b * du * dv)
    alpha[alpha < kernels.MIN_ALPHA] = 0
    in_front = np.cumprod(np.vstack([np.ones((1, alpha.shape[1])), 1 - alpha[:-1]]), axis=0)
    return (z * alpha * in_front).sum(axis=0).reshape(camera.height, camera.width)


def test_its_depths_are_the_papers_eq_8(reference: Reference, asked: list[dict[str, Any]]) -> None:
    """D fades to nothing where the mask does; ED is a depth there, too."""
    renderer = GsplatMasks(reference.gaussians, "cpu")
    masks, accumulated = renderer.render(*batch(), 48, 60)
    expected_depths = renderer.render(*batch(), 48, 60, "ED")[1]
    assert asked
    torch.testing.assert_close(accumulated, expected_depths * masks, atol=1e-5, rtol=1e-4)
    for mask, depth, expected, camera, T in zip(masks.numpy(), accumulated.numpy(), expected_depths.numpy(), CAMERAS,
                                                POSES, strict=True):
        off_m = np.abs(depth - blended_depth(reference, camera, T))
        assert off_m.max() < 0.01 and np.quantile(off_m, 0.99) < 1e-4 and depth.max() > 0.2
        assert (np.abs(expected[mask > 0.1] - np.linalg.norm(T[:3, 3])) < 0.1).all()


def sums_masks(reference: Reference) -> MaskRenderer:
    """The device's sums in torch, differentiated by autograd: splats move, turn and change their shapes."""
    gaussians = DeviceGaussians.upload(reference.gaussians, CPU)

    class SumsMasks:
        device = CPU

        def __call__(self, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int) -> torch.Tensor:
            return mask_and_flow(splat_sums(gaussians, cameras, poses[:, :3], height, width))[0]

    return SumsMasks()


def query_at(T: FloatArray) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T, VIEW))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, VIEW, 64)


def off(T: FloatArray, reference: Reference, angle_deg: float) -> FloatArray:
    centre = T[:3, :3] @ reference.center_m + T[:3, 3]
    R = rotation_exp(np.radians(angle_deg) * np.array([0.6, -0.48, 0.64])) @ T[:3, :3]
    return make_transform(R, centre - R @ reference.center_m)


def gradients(render: MaskRenderer, queries: list[Query], starts: list[FloatArray]) -> FloatArray:
    """(B, 6) of the loss by a twist (v, w) from the left about the camera's centre."""
    poses = torch.from_numpy(np.stack(starts)).to(render.device).requires_grad_()
    targets = torch.from_numpy(np.stack([q.mask for q in queries])).to(render.device)
    loss = mask_loss(render(poses, camera_rows([q.camera for q in queries], render.device), 64, 64), targets).sum()
    by_pose = torch.autograd.grad(loss, poses)[0].cpu() @ torch.from_numpy(np.stack(starts)).mT
    return np.stack([by_pose[:, 0, 3], by_pose[:, 1, 3], by_pose[:, 2, 3], by_pose[:, 2, 1] - by_pose[:, 1, 2],
                     by_pose[:, 0, 2] - by_pose[:, 2, 0], by_pose[:, 1, 0] - by_pose[:, 0, 1]], axis=1)


def unit(rows: FloatArray) -> FloatArray:
    """Metres and radians apart: each column by its size over all rows."""
    scaled = rows / np.abs(rows).max(axis=0)
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def test_gradients_of_all_renderers_agree(reference: Reference, asked: list[dict[str, Any]]) -> None:
    """Closed forms agree to rounding; autograd also counts how splats change their shapes, which is little."""
    truths = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.25), seen_from(bracket(), (-0.3, 0.8, 0.4), 0.3)]
    queries, starts = [query_at(T) for T in truths], [off(T, reference, 5.0) for T in truths]
    expected = gradients(cpu_masks(reference.gaussians), queries, starts)
    ours = gradients(device_masks(reference.gaussians, "cpu"), queries, starts)
    size = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(ours / size, expected / size, atol=0.01)
    by_sums = gradients(sums_masks(reference), queries, starts)
    by_gsplat = gradients(GsplatMasks(reference.gaussians, "cpu"), queries, starts)
    assert asked
    np.testing.assert_allclose(by_gsplat / size, by_sums / size, atol=0.02)
    assert (np.sum(unit(by_sums) * unit(expected), axis=1) > 0.95).all()


@pytest.mark.parametrize("which", ["sums of the device", "gsplat"])
def test_the_descent_finds_the_poses_that_the_cpus_finds(reference: Reference, asked: list[dict[str, Any]], which: str,
                                                         ) -> None:
    """Two images in one batch. Adam's steps have a length of their own, so that paths part: poses meet to 1 degree."""
    settings = PaperSettings(steps=40, work_size_px=64, learning_rate=0.02)
    truths = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.25), seen_from(bracket(), (-0.3, 0.8, 0.4), 0.3)]
    queries, starts = [query_at(T) for T in truths], [off(T, reference, 5.0) for T in truths]
    render = (GsplatMasks if which == "gsplat" else device_masks)(reference.gaussians, "cpu")
    found = PaperBaseline(reference, settings, render).descend_from(queries, starts)
    expected = PaperBaseline(reference, settings).descend_from(queries, starts)
    assert bool(asked) == (which == "gsplat")
    for (T, loss), (T_cpu, loss_cpu), T_true in zip(found, expected, truths, strict=True):
        assert turned_by_deg(T, T_cpu) < 1.0 and turned_by_deg(T, T_true) < 2.0
        centre, centre_cpu = (t[:3, :3] @ reference.center_m + t[:3, 3] for t in (T, T_cpu))
        assert np.linalg.norm(centre - centre_cpu) < 0.005 * np.linalg.norm(centre_cpu)
        assert loss == pytest.approx(loss_cpu, rel=0.1)


def test_without_gsplat_there_is_a_clear_error(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(DeviceError, match="gsplat"):
        GsplatMasks(reference.gaussians, "cpu")


@pytest.mark.parametrize("error", [AttributeError("'NoneType' object has no attribute 'projection_ewa_3dgs_fused_fwd'"),
                                   RuntimeError("Error building extension 'gsplat_cuda'\nninja: ..."),
                                   ImportError("No module named 'rich'")])
def test_a_gsplat_that_cannot_render_is_a_clear_error(reference: Reference, monkeypatch: pytest.MonkeyPatch,
                                                      error: Exception) -> None:
    """No compiler, a build that fails, a package that lacks: gsplat says so at its first call."""
    def fails(*_: object, **__: object) -> None:
        raise error

    take_gsplats_place(monkeypatch, fails)
    with pytest.raises(DeviceError, match=r"expected it to render on cpu, it fails: \w+: ") as found:
        GsplatMasks(reference.gaussians, "cpu")
    assert "ninja" not in str(found.value)


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="needs an NVIDIA GPU with gsplat")
def test_on_a_gpu_gsplat_gives_the_cpus_masks_and_gradients(reference: Reference) -> None:
    pytest.importorskip("gsplat")
    renderer = GsplatMasks(reference.gaussians, "cuda")
    poses, cameras = (t.cuda() for t in batch())
    for mask, camera, T in zip(renderer(poses, cameras, 48, 60).cpu().numpy(), CAMERAS, POSES, strict=True):
        assert np.abs(mask - render_mask(reference.gaussians, camera, T)).max() < 0.01
    truths = [seen_from(bracket(), (0.5, -0.6, 0.7), 0.25), seen_from(bracket(), (-0.3, 0.8, 0.4), 0.3)]
    queries, starts = [query_at(T) for T in truths], [off(T, reference, 5.0) for T in truths]
    by_gsplat, by_sums = (gradients(r, queries, starts) for r in (renderer, sums_masks(reference)))
    size = np.abs(by_sums).max(axis=0)
    np.testing.assert_allclose(by_gsplat / size, by_sums / size, atol=0.05)
