"""Mask, depth and normals as a device renders them, in torch on the CPU, against the CPU's own renderer."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from core_parts import CAMERA, bracket, exact_mask, seen_from

from ptad_core.camera import Camera
from ptad_core.gaussians import Gaussians
from ptad_core.reference import Reference
from ptad_core.rendering.splat import render
from ptad_core.rendering.view import look
from ptad_core.types import FloatArray, Rendering

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu import surface  # noqa: E402 - torch first
from ptad_core.gpu.renderer import DeviceRenderer  # noqa: E402
from ptad_core.gpu.surface import TILE_PX, Tiles  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL = Camera(260.0, 250.0, 67.5, 50.2, 133, 107)
POSES = {"whole": seen_from(bracket(), (0.5, -0.6, 0.7), 0.3),
         "from behind": seen_from(bracket(), (-0.4, 0.3, -0.8), 0.3, 65.0),
         "cut by the border": seen_from(bracket(), (-0.2, 0.9, -0.3), 0.2, 40.0, (0.05, 0.0)),
         "around the camera": seen_from(bracket(), (0.3, 0.1, 0.9), 0.04),
         "far away": seen_from(bracket(), (0.3, 0.1, 0.9), 2.5)}


def assert_same(found: Rendering, expected: Rendering, diameter_m: float) -> None:
    """To the last bits; but a splat that is cut at 1/255, or a layer on the brink, may count on one side only."""
    assert found.mask.shape == expected.mask.shape and found.mask.dtype == np.float32
    assert found.normals.shape == expected.normals.shape and found.depth.dtype == np.float32
    assert np.abs(found.mask - expected.mask).max() < 0.01
    assert (np.abs(found.mask - expected.mask) < 1e-5).mean() > 0.99
    solid = np.isfinite(expected.depth)
    same = np.isclose(found.depth, expected.depth, rtol=3e-6, atol=1e-5 * diameter_m, equal_nan=True)
    same &= np.isclose(found.normals, expected.normals, rtol=0, atol=1e-4, equal_nan=True).all(2)
    assert (~same).sum() <= 0.002 * solid.sum()


@pytest.fixture(scope="module")
def renderer(reference: Reference) -> DeviceRenderer:
    return DeviceRenderer(reference.gaussians, DEVICE)


@pytest.mark.parametrize("pose", POSES)
def test_it_renders_as_the_cpu_does(reference: Reference, renderer: DeviceRenderer, pose: str) -> None:
    found, expected = renderer(SMALL, POSES[pose]), render(reference.gaussians, SMALL, POSES[pose])
    assert found is not None and np.isfinite(expected.depth).any()
    assert_same(found, expected, reference.diameter_m)


def test_out_of_view_there_is_nothing(reference: Reference, renderer: DeviceRenderer) -> None:
    for shift in ((5.0, 0.0, 0.0), (0.0, 0.0, -3.0)):
        T = POSES["whole"].copy()
        T[:3, 3] += shift
        found, expected = renderer(SMALL, T), render(reference.gaussians, SMALL, T)
        assert found is not None and not found.mask.any() and not expected.mask.any()
        assert np.isnan(found.depth).all() and np.isnan(found.normals).all()


def sheets(depths_m: list[float], opacities: list[float], facing: float = -1.0) -> Gaussians:
    """Square sheets of disks across the camera's axis, one behind the other; a bar far away keeps the diameter."""
    side = np.arange(-0.05, 0.05, 0.004)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    means = np.concatenate([np.column_stack([x, y, np.full_like(x, z)]) for z in depths_m]).astype(np.float32)
    n = len(means)
    tangents = np.tile(np.array([[0.003, 0, 0], [0, 0.003, 0]], np.float32), (n, 1, 1))
    normals = np.tile(np.array([0, 0, facing], np.float32), (n, 1))
    return Gaussians(means, tangents, normals, np.repeat(np.array(opacities, np.float32), len(x)))


@pytest.mark.parametrize(("depths_m", "opacities", "front_m"), [
    ([0.5, 0.6], [0.9, 0.9], 0.5),  # what lies behind a surface is left out
    ([0.5, 0.6], [0.02, 0.9], 0.6),  # and so is a veil before it
    ([0.5, 0.503], [0.5, 0.9], None),  # one layer is blended
    ([0.6, 0.5, 0.55], [0.9, 0.03, 0.9], 0.55)])
def test_layers(depths_m: list[float], opacities: list[float], front_m: float | None) -> None:
    gaussians, camera = sheets(depths_m, opacities), Camera(300.0, 310.0, 23.5, 20.0, 47, 41)
    found, expected = DeviceRenderer(gaussians, DEVICE)(camera, np.eye(4)), render(gaussians, camera, np.eye(4))
    assert found is not None
    assert_same(found, expected, gaussians.diameter_m)
    middle = float(found.depth[20, 23])
    assert middle == pytest.approx(front_m, abs=1e-4) if front_m is not None else 0.5 < middle < 0.503


def test_normals_are_turned_towards_the_camera() -> None:
    camera = Camera(300.0, 310.0, 23.5, 20.0, 47, 41)
    for facing in (-1.0, 1.0):
        found = DeviceRenderer(sheets([0.5], [0.9], facing), DEVICE)(camera, np.eye(4))
        assert found is not None
        np.testing.assert_allclose(found.normals[20, 23], (0, 0, -1), atol=1e-6)


def test_a_tile_lists_what_reaches_into_it_nearest_first(renderer: DeviceRenderer) -> None:
    T = torch.from_numpy(POSES["whole"][:3].copy()).to(DEVICE)
    tiles = surface.into_tiles(renderer._uploaded, SMALL, T)
    down, across = tiles.shape
    starts, splats, table = tiles.starts.cpu().numpy(), tiles.splats.cpu().numpy(), tiles.table.cpu().numpy()
    assert (down, across) == (14, 17) and len(starts) == down * across + 1 and starts[-1] == len(splats)
    assert (np.diff(table[:, surface.Z]) >= 0).all()
    u, v, reach = table[:, surface.U], table[:, surface.V], table[:, surface.REACH]
    a, b, c = (table[:, k] for k in (surface.CA, surface.CB, surface.CC))
    rx, ry = (np.sqrt(reach * diagonal / (a * c - b * b)) for diagonal in (c, a))
    listed = 0
    for k in range(down * across):
        own = splats[starts[k]:starts[k + 1]]
        left, top = (k % across) * TILE_PX, (k // across) * TILE_PX
        assert (np.diff(own) > 0).all()
        inside = (u + rx > left) & (u - rx < left + TILE_PX - 1) & (v + ry > top) & (v - ry < top + TILE_PX - 1)
        inside &= table[:, surface.ALPHA] > 1.001 / 255
        assert set(np.flatnonzero(inside)) <= set(own)
        listed += len(own)
    assert listed == len(splats) > 1000


def test_the_aligned_part_is_looked_at_on_the_device(reference: Reference, renderer: DeviceRenderer) -> None:
    T, calls = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5), []

    def device(camera: Camera, T: FloatArray) -> Rendering | None:
        calls.append(camera)
        return renderer(camera, T)

    seen = exact_mask(bracket(), T)
    found, expected = (look(reference.gaussians, CAMERA, T, seen, on) for on in (device, None))
    assert found is not None and expected is not None and calls == [expected.camera]
    assert found.window == expected.window
    assert_same(found.rendering, expected.rendering, reference.diameter_m)


def test_out_of_memory_leaves_the_rendering_to_the_cpu(reference: Reference, monkeypatch: pytest.MonkeyPatch,
                                                       caplog: pytest.LogCaptureFixture) -> None:
    renderer, T = DeviceRenderer(reference.gaussians, DEVICE), POSES["whole"]

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    expected = look(reference.gaussians, SMALL, T)
    monkeypatch.setattr(renderer, "_composite", fail)
    with caplog.at_level(logging.WARNING):
        found = look(reference.gaussians, SMALL, T, None, renderer)
    assert found is not None and expected is not None and "the CPU takes over for this image" in caplog.text
    np.testing.assert_array_equal(found.rendering.depth, expected.rendering.depth)


@pytest.mark.parametrize(("plane", "words"), [
    (surface.THROUGH, "its mask of the surface differs"), (surface.DEPTH, "its depth differs"),
    (3, "its normal differs")])
def test_a_device_that_renders_something_else_is_told(reference: Reference, monkeypatch: pytest.MonkeyPatch, plane: int,
                                                      words: str) -> None:
    renderer = DeviceRenderer(reference.gaussians, DEVICE)
    assert renderer.difference_to_cpu(SMALL, POSES["whole"]) == ""
    right = renderer._composite

    def wrong(tiles: Tiles, layer_m: float) -> torch.Tensor:
        planes = right(tiles, layer_m)
        planes[plane] *= 1.03
        return planes

    monkeypatch.setattr(renderer, "_composite", wrong)
    assert words in renderer.difference_to_cpu(SMALL, POSES["whole"])
