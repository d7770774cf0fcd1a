"""The outline: sub-pixel on shapes that are known in closed form, holes included, never along the image border."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.outline import Outline, find_outline
from ptad_core.types import FloatImage


def disc(radius: float, centre: tuple[float, float], size: int = 96, supersample: int = 16) -> FloatImage:
    """Coverage of a disc, each pixel averaged over a grid of samples."""
    at = (np.arange(size * supersample) + 0.5) / supersample - 0.5
    inside = (at[None, :] - centre[0]) ** 2 + (at[:, None] - centre[1]) ** 2 <= radius**2
    blocks = inside.reshape(size, supersample, size, supersample)
    return blocks.mean(axis=(1, 3)).astype(np.float32)


@pytest.mark.parametrize("radius", [9.3, 30.0])
@pytest.mark.parametrize("centre", [(47.5, 47.5), (46.8, 48.3)])
def test_points_and_normals_of_a_disc(radius: float, centre: tuple[float, float]) -> None:
    outline = find_outline(disc(radius, centre))
    assert len(outline) > 4 * radius
    offset = outline.points - centre
    distance = np.linalg.norm(offset, axis=1) - radius
    assert abs(distance.mean()) < 0.05
    assert np.abs(distance).max() < 0.2
    along = (offset * outline.normals).sum(axis=1) / np.linalg.norm(offset, axis=1)
    assert np.degrees(np.arccos(along.min())) < 8
    assert np.linalg.norm(outline.normals, axis=1) == pytest.approx(1)


def test_a_hole_is_outline_too_and_its_normals_point_into_it() -> None:
    ring = disc(35.0, (47.5, 47.5)) - disc(15.0, (47.5, 47.5))
    outline = find_outline(ring)
    offset = outline.points - 47.5
    radius = np.linalg.norm(offset, axis=1)
    outwards = (offset * outline.normals).sum(axis=1)
    assert np.all((np.abs(radius - 35) < 0.5) | (np.abs(radius - 15) < 0.5))
    assert (outwards[radius > 25] > 0).all() and (outwards[radius < 25] < 0).all()
    assert (radius < 25).sum() == pytest.approx(len(outline) * 15 / 50, rel=0.15)


def test_the_image_border_is_no_outline() -> None:
    outline = find_outline(disc(30.0, (0.0, 47.5)))
    assert len(outline) > 50
    assert np.abs(np.linalg.norm(outline.points - [0.0, 47.5], axis=1) - 30).max() < 0.5
    assert len(find_outline(np.ones((50, 60), np.float32))) == 0
    assert len(find_outline(np.zeros((50, 60), np.float32))) == 0


def test_a_shift_of_the_mask_is_a_shift_of_the_outline() -> None:
    for x in (48.0, 48.25, 48.5):
        points = find_outline(disc(20.0, (x, 47.9))).points
        # The circle through the points: |p|² = 2 c·p + (r² - |c|²).
        solution = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(axis=1),
                                   rcond=None)[0]
        assert solution[:2] == pytest.approx([x, 47.9], abs=0.02)
        assert np.sqrt(solution[2] + solution[:2] @ solution[:2]) == pytest.approx(20.0, abs=0.03)


def test_every_point_of_a_large_busy_mask_is_kept() -> None:
    """A checkerboard: the longest outline that an image can have."""
    rows, cols = np.mgrid[0:400, 0:500]
    board = ((rows // 2 + cols // 2) % 2).astype(np.float32)
    crossings = int((board[:, 1:] != board[:, :-1]).sum() + (board[1:] != board[:-1]).sum())
    found = find_outline(board)
    assert found.points[:, 1].max() > 397
    assert len(found) > 0.95 * crossings


def test_thinned_points_are_spread_over_all() -> None:
    outline = find_outline(disc(30.0, (47.5, 47.5)))
    few = outline.thinned(16)
    assert len(few) == 16
    angle = np.sort(np.arctan2(*(few.points - 47.5).T))
    assert np.diff(angle).max() < 1.2
    assert np.array_equal(np.sort(outline.thinned(10_000).points, axis=0), np.sort(outline.points, axis=0))
    first = few.thinned(4)
    assert np.array_equal(first.points, few.points[:4]), "the first points alone are spread evenly, too"
    assert len(Outline(np.zeros((0, 2)), np.zeros((0, 2))).thinned(4)) == 0
