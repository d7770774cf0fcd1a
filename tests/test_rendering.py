"""The fast renderer against the slow one, branch by branch, and its Jacobian against differences of the mask.

Both cut contributions below 1/255, so a pixel may flip across a cut: comparisons are tight where there is none and
leave a bounded share of pixels to the cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from core_parts import bracket

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp, skew
from ptad_core.gaussians import MAX_OPACITY, Gaussians
from ptad_core.outline import find_outline
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.rendering import kernels, render, render_mask, slow
from ptad_core.rendering.splat import FRONT_LAYER_IN_DIAMETERS, mask_jacobian, project, render_mask_flow
from ptad_core.types import FloatArray, MaskImage

CAMERA = Camera(60.0, 56.0, 22.2, 15.7, 45, 32)
ATOL = 2e-5
CUT = 2 * float(kernels.MIN_ALPHA)


def disks(means: FloatArray, normals: FloatArray, sigma: FloatArray, opacity: float = MAX_OPACITY) -> Gaussians:
    """Disks of (n, 2) standard deviations at (n, 3) places, turned about their normals at random."""
    n = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    helper = np.random.default_rng(5).normal(size=n.shape)
    first = np.cross(n, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    tangents = np.stack([first, np.cross(n, first)], axis=1) * sigma[:, :, None]
    return Gaussians(means.astype(np.float32), tangents.astype(np.float32), n.astype(np.float32),
                     np.full(len(n), opacity, np.float32))


def cloud(count: int, seed: int, depth_m: tuple[float, float] = (0.3, 0.6), sigma_m: float = 0.006) -> Gaussians:
    """Disks of all orientations in a cube before the camera, some of them outside the image."""
    rng = np.random.default_rng(seed)
    means = rng.uniform([-0.16, -0.13, depth_m[0]], [0.16, 0.13, depth_m[1]], (count, 3))
    return disks(means, rng.normal(size=(count, 3)), rng.uniform(0.2, 1.0, (count, 2)) * sigma_m,
                 float(rng.uniform(0.3, 1.0)))


def sheet(depth_m: float, seed: int, spacing_m: float = 0.011, opacity: float = MAX_OPACITY,
          normal: tuple[float, float, float] = (0.2, 0.1, -1.0)) -> Gaussians:
    """An even plane of disks that fills the image."""
    at = np.arange(-0.22, 0.22, spacing_m)
    x, y = (a.ravel() for a in np.meshgrid(at, at))
    n = np.array(normal)
    means = np.column_stack([x, y, depth_m - (n[0] * x + n[1] * y) / n[2]])
    means += np.random.default_rng(seed).normal(scale=1e-4, size=means.shape)
    return disks(means, np.tile(n, (len(means), 1)), np.full((len(means), 2), 0.6 * spacing_m), opacity)


def together(*parts: Gaussians) -> Gaussians:
    return Gaussians(*(np.concatenate([getattr(p, name) for p in parts])
                       for name in ("means", "tangents", "normals", "opacities")))


def shuffled(gaussians: Gaussians) -> Gaussians:
    order = np.random.default_rng(0).permutation(len(gaussians))
    return Gaussians(*(getattr(gaussians, name)[order] for name in ("means", "tangents", "normals", "opacities")))


def assert_close(fast: np.ndarray, exact: np.ndarray, flips: float = 0.01) -> None:
    off = np.abs(fast - exact)
    assert (off > ATOL).mean() <= flips
    assert off.max() < CUT


SCENES = {
    "all orientations": (cloud(250, 1), np.eye(4)),
    "from another side": (cloud(250, 2), make_transform(rotation_exp(np.array([0.2, -0.3, 2.0])), np.full(3, 0.03))),
    "some behind the camera": (cloud(250, 3, depth_m=(-0.3, 0.3)), np.eye(4)),
    "hardly before the camera": (cloud(60, 4, depth_m=(-0.004, 0.02)), np.eye(4)),
    "large disks": (cloud(40, 5, sigma_m=0.05), np.eye(4)),
    "tiny far disks": (cloud(400, 6, depth_m=(0.3, 0.6), sigma_m=5e-4), np.eye(4)),
    "off the image": (cloud(250, 7), make_transform(np.eye(3), np.array([0.2, 0.15, 0.0]))),
    "nothing in view": (cloud(50, 8), make_transform(np.eye(3), np.array([3.0, 0.0, 0.0]))),
}


@pytest.mark.parametrize("name", SCENES)
def test_mask_parity(name: str) -> None:
    gaussians, T = SCENES[name]
    fast, exact = render_mask(gaussians, CAMERA, T), slow.render_mask(gaussians, CAMERA, T)
    assert_close(fast, exact)
    assert (exact > CUT).any() != (name == "nothing in view")


def test_which_splats_are_kept() -> None:
    """Behind the camera, out of reach of the image, edge-on or too faint: none of these is drawn."""
    camera = Camera(100.0, 100.0, 31.5, 31.5, 64, 64)
    at = np.array([[0, 0, 0.5], [0, 0, -0.5], [0, 0, 5e-4], [1.0, 0, 0.5], [0, 0, 0.5], [0, 0, 0.5]])
    normals = np.array([[0, 0, 1.0]] * 4 + [[1.0, 0, 0], [0, 0, 1.0]])
    sigma = np.array([[0.01, 0.01]] * 5 + [[2e-5, 2e-5]])
    splats = project(disks(at, normals, sigma), camera, np.eye(4))
    assert splats.source[:splats.count].tolist() == [0]
    assert splats.table[0, [kernels.U, kernels.V, kernels.Z]] == pytest.approx([31.5, 31.5, 0.5])
    assert slow.render_mask(disks(at[1:], normals[1:], sigma[1:]), camera, np.eye(4)).max() == 0


def test_an_edge_on_disk_leaves_nothing_and_a_tilted_one_its_area() -> None:
    """The low-pass widens a narrow splat but keeps opacity times area: parts do not grow fat."""
    camera = Camera(100.0, 100.0, 31.5, 31.5, 64, 64)
    at, sigma = np.array([[0.0, 0.0, 0.5]]), np.array([[0.02, 0.02]])
    for tilt_deg in (0.0, 60.0, 85.0, 89.9):
        a = np.radians(tilt_deg)
        gaussians = disks(at, np.array([[np.sin(a), 0.0, -np.cos(a)]]), sigma, opacity=0.5)
        mass = float(render_mask(gaussians, camera, np.eye(4)).sum())
        area = 2 * np.pi * 4.0 * 4.0 * np.cos(a)  # pixels
        assert mass == pytest.approx(0.5 * area, rel=0.05, abs=0.3)


def test_far_disks_keep_their_mass() -> None:
    """Ten times further away, a sheet of disks covers a hundredth of the pixels, though each disk is far below one."""
    gaussians = sheet(0.0, 9, opacity=0.3, normal=(0.0, 0.0, -1.0))
    camera = Camera(400.0, 400.0, 127.5, 127.5, 256, 256)
    light = [-np.log(1 - render_mask(gaussians, camera, make_transform(np.eye(3), np.array([0, 0, z])))).sum()
             for z in (0.8, 8.0)]
    assert light[1] / light[0] == pytest.approx(0.01, rel=0.12)


def test_order_does_not_matter() -> None:
    gaussians = cloud(250, 1)
    a, b = render(gaussians, CAMERA, np.eye(4)), render(shuffled(gaussians), CAMERA, np.eye(4))
    assert np.allclose(a.mask, b.mask, atol=1e-5)
    assert np.allclose(a.depth, b.depth, atol=1e-5, equal_nan=True)


LAYERS = {
    "one sheet": sheet(0.4, 1),
    "a sheet before another": shuffled(together(sheet(0.4, 1), sheet(0.5, 2, normal=(-0.3, 0.4, -1.0)))),
    "a veil before a sheet": shuffled(together(sheet(0.4, 1, opacity=0.1), sheet(0.5, 2))),
    "sheets that cross": shuffled(together(sheet(0.45, 1, normal=(0.9, 0.0, -1.0)), sheet(0.45, 2))),
    "turned away": sheet(0.4, 1, normal=(0.2, 0.1, 1.0)),
    "nearly edge-on": sheet(0.4, 1, normal=(0.9, 0.0, -0.15)),
    "cloud": cloud(250, 1, sigma_m=0.03),
}


@pytest.mark.parametrize("name", LAYERS)
def test_surface_parity(name: str) -> None:
    gaussians = LAYERS[name]
    layer_m = FRONT_LAYER_IN_DIAMETERS * gaussians.diameter_m
    fast = render(gaussians, CAMERA, np.eye(4))
    depth, normals = slow.render_surface(gaussians, CAMERA, np.eye(4), layer_m)
    assert_close(fast.mask, slow.render_mask(gaussians, CAMERA, np.eye(4)))
    both = np.isfinite(fast.depth) & np.isfinite(depth)
    assert both.mean() > 0.3
    assert (np.isfinite(fast.depth) != np.isfinite(depth)).mean() < 0.005
    assert np.array_equal(np.isfinite(fast.depth), np.isfinite(fast.normals).all(axis=2))
    assert (np.abs(fast.depth - depth)[both] > 2e-5).mean() < 0.02
    assert (np.abs(fast.normals - normals)[both].max(axis=1) > 2e-3).mean() < 0.02
    assert np.abs(np.linalg.norm(fast.normals[both], axis=1) - 1).max() < 1e-4


def test_depth_is_that_of_the_first_surface() -> None:
    """Neither what lies behind nor a veil before it pulls on the depth: both would with alpha blending (Eq. 8)."""
    rows, cols = np.mgrid[0:CAMERA.height, 0:CAMERA.width]
    ray = np.stack([(cols - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(cols.shape)], axis=-1)
    n = np.array([0.2, 0.1, -1.0])
    for name, depth_m in (("one sheet", 0.4), ("a sheet before another", 0.4), ("a veil before a sheet", 0.5)):
        plane = -depth_m / (ray @ n)
        picture = render(LAYERS[name], CAMERA, np.eye(4))
        solid = np.isfinite(picture.depth)
        assert solid.mean() > 0.8
        turned = np.abs(picture.normals - n / np.linalg.norm(n)).max(axis=2)
        # The rest: the second sheet comes near the first in a corner.
        assert np.percentile(np.abs(picture.depth - plane)[solid], 95) < 1e-3, name
        assert np.percentile(turned[solid], 95) < 0.02, name


def test_normals_face_the_camera() -> None:
    for name in ("one sheet", "turned away"):
        normals = render(LAYERS[name], CAMERA, np.eye(4)).normals
        assert np.nanmax(normals[..., 2]) < 0


def test_flow_leaves_the_mask_as_it_is() -> None:
    gaussians = cloud(250, 1)
    mask, _ = render_mask_flow(gaussians, CAMERA, np.eye(4))
    assert np.allclose(mask, render_mask(gaussians, CAMERA, np.eye(4)), atol=1e-6)


@dataclass(frozen=True)
class View:
    """A part in a small picture, with its fast and slow Jacobians (H, W, 6) for twists about the part's centre.

    A rotation about the camera's centre would be mostly a translation.
    """

    gaussians: Gaussians
    camera: Camera
    T: FloatArray
    pivot: FloatArray
    fast: FloatArray
    exact: FloatArray
    outline: MaskImage


@pytest.fixture(scope="module")
def view() -> View:
    gaussians = gaussians_from_surface(bracket(), 800)
    camera = Camera(220.0, 225.0, 40.0, 33.0, 76, 66)
    pivot = np.array([0.005, 0.0, 0.45])
    R = rotation_exp(np.array([0.9, -0.5, 0.4]))
    T = make_transform(R, pivot - R @ bracket().center_m)
    mask, flow = render_mask_flow(gaussians, camera, T)
    rows, cols = (a.ravel() for a in np.mgrid[0:camera.height, 0:camera.width])
    fast = mask_jacobian(flow.reshape(-1, 4), camera, rows, cols).reshape(*mask.shape, 6)
    exact = slow.mask_jacobian(gaussians, camera, T)
    for columns in (fast, exact):
        columns[..., 3:] += columns[..., :3] @ skew(pivot)
    outline = np.zeros(mask.shape, dtype=bool)
    outline[tuple(np.rint(find_outline(mask).points).astype(int)[:, ::-1].T)] = True
    return View(gaussians, camera, T, pivot, fast, exact, outline)


@pytest.mark.parametrize(("column", "limit"), [(0, 1e-3), (1, 1e-3), (2, 0.2), (3, 0.05), (4, 0.05), (5, 0.08)])
def test_jacobian_parity(view: View, column: int, limit: float) -> None:
    """The flow takes a splat's motion for that of the pixel it is seen in: the same but for the splat's own size.

    Least so for a step along the axis, which the flow has better: it also sees the splats grow (next test).
    """
    fast, exact = view.fast[..., column], view.exact[..., column]
    assert np.linalg.norm(fast - exact) < limit * np.linalg.norm(exact)


@pytest.mark.parametrize(("column", "typical", "most"), [
    (0, 0.005, 0.02), (1, 0.005, 0.02), (2, 0.01, 0.03), (3, 0.06, 0.15), (4, 0.06, 0.15), (5, 0.005, 0.02)])
def test_jacobian_against_central_differences(view: View, column: int, typical: float, most: float) -> None:
    """On the outline, against differences of the slow mask, where splats change their shapes as well.

    Tilting the part (columns 3 and 4) foreshortens its splats, which the Jacobian leaves out on purpose. The twentieth
    part that is not compared is where the difference crosses the cut of a splat.
    """
    step = 1e-5 if column < 3 else 1e-4
    sides = []
    for sign in (1, -1):
        twist = np.zeros(6)
        twist[column] = sign * step
        dR = rotation_exp(twist[3:])
        T = make_transform(dR, view.pivot + twist[:3] - dR @ view.pivot) @ view.T
        sides.append(slow.render_mask(view.gaussians, view.camera, T))
    expected = ((sides[0] - sides[1]) / (2 * step))[view.outline]
    error = np.abs(view.fast[view.outline, column] - expected) / np.sqrt(np.mean(expected**2))
    assert np.median(error) < typical
    assert np.percentile(error, 95) < most
