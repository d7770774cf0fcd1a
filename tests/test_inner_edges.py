"""Sampling and inner edges, also of a part that is all edges: OpenCV samples no more than 32766 positions in a row."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.filters import blur, sample
from ptad_core.rendering.edges import CLEAR, CREASE_DEG, FAINT, inner_edges
from ptad_core.types import FloatImage, Rendering

MOST_IN_A_ROW = 32766


@pytest.mark.parametrize("count", [1, 4096, 4097, 40_000])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_samples_are_bilinear_however_many(count: int, channels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(count)
    image = rng.random((30, 40, *channels)).astype(np.float32)
    x, y = rng.uniform(0, 38.99, count), rng.uniform(0, 28.99, count)
    x, y = (np.floor(v * 32) / 32 for v in (x, y))  # OpenCV's own steps
    col, row = x.astype(int), y.astype(int)
    a, b = ((v - np.floor(v)).reshape(-1, *(1,) * len(channels)) for v in (x, y))
    expected = ((1 - b) * ((1 - a) * image[row, col] + a * image[row, col + 1])
                + b * ((1 - a) * image[row + 1, col] + a * image[row + 1, col + 1]))
    found = sample(image, x, y)
    assert found.shape == (count, *channels) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if count % 10 == 0:
        np.testing.assert_array_equal(sample(image, x.reshape(-1, 10), y.reshape(-1, 10)),
                                      found.reshape(-1, 10, *channels))


def finned(size: int = 384, period: int = 6) -> Rendering:
    """A part that fills its window, with fins across it."""
    cols = np.arange(size)
    tilt = np.where(cols // period % 2, 0.6, -0.6) * np.ones((size, 1))
    normals = np.stack([np.sin(tilt), np.zeros_like(tilt), -np.cos(tilt)], axis=2).astype(np.float32)
    return Rendering(np.ones((size, size), np.float32), np.ones((size, size), np.float32), normals)


def everywhere(rendering: Rendering) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Strength, and that ahead and behind across the edge, of each pixel: the definition, over the whole picture."""
    n = rendering.normals
    strength = np.zeros(n.shape[:2], np.float32)
    strength[:, 1:-1] = (1 - (n[:, :-2] * n[:, 2:]).sum(-1)) / (1 - np.cos(np.radians(CREASE_DEG)))
    smooth = blur(np.minimum(strength, 3.0), 1.0)
    gy, gx = (np.asarray(g, dtype=np.float32) for g in np.gradient(smooth))
    angle = 0.5 * np.arctan2(2 * blur(gx * gy, 1.5), blur(gx * gx, 1.5) - blur(gy * gy, 1.5))
    y, x = np.mgrid[0:n.shape[0], 0:n.shape[1]]
    dx, dy = np.cos(angle), np.sin(angle)
    return smooth, sample(smooth, x + dx, y + dy), sample(smooth, x - dx, y - dy)


def test_a_part_that_is_all_edges() -> None:
    part = finned()
    smooth, ahead, behind = everywhere(part)
    assert (smooth > FAINT).sum() > MOST_IN_A_ROW
    found = inner_edges(part, diameter_m=0.1)
    ridge = (smooth >= ahead) & (smooth > behind)
    np.testing.assert_array_equal(found.any, ridge & (smooth > FAINT))
    np.testing.assert_array_equal(found.clear, ridge & (smooth > CLEAR))
    assert found.clear.any() and np.abs(np.cos(found.angle[found.clear])).min() > 0.99, "across the fins"
