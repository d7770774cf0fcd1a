"""The rendered silhouette at the true pose, against the exact rasteriser's: neither fat nor thin, and without holes.

``benchmarks/silhouette_bias.py`` measures the same on more parts, in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from core_parts import as_segmentation, box_mm, bracket, exact_mask, join, mesh_of, renderer, seen_from

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.filters import blur
from ptad_core.gaussians import Gaussians
from ptad_core.pose.query import make_query
from ptad_core.pose.refine import refine_mask
from ptad_core.reference import PartMesh, reference_from_mesh
from ptad_core.reference.mesh2splat import gaussians_from_fragments
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.rendering import render_mask
from ptad_core.types import FloatArray

CAMERA = Camera(900.0, 900.0, 127.5, 127.5, 256, 256)
DIRECTIONS = [(0.3, -0.5, 0.8), (-0.9, 0.1, 0.2), (0.1, 0.9, -0.4), (0.02, 0.03, 1.0)]


def fine_torus() -> PartMesh:
    return mesh_of(trimesh.creation.torus(0.04, 0.012, 160, 80))


def comb() -> PartMesh:
    """Fins of 1 mm, 5 mm apart."""
    fins = {f"fin{k}": box_mm((1, 20, 40), (-20 + 5 * k, 0, 24)) for k in range(9)}
    return join(fins | {"bar": box_mm((46, 20, 6), (0, 0, 3))})


@functools.cache
def splats(part: Callable[[], PartMesh]) -> Gaussians:
    return gaussians_from_surface(part(), 20_000)


def grown_by_px(gaussians: Gaussians, mesh: PartMesh, T: FloatArray) -> float:
    """How far the 0.5 level lies outside the true outline on average: difference of the areas over the perimeter."""
    true = renderer(mesh).mask(CAMERA, T, supersample=8)
    fine = cv2.resize(render_mask(gaussians, CAMERA, T), None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    perimeter = np.hypot(*np.gradient(blur(true, 1.0))).sum()
    return float(((fine >= 0.5).sum() / 64 - true.sum()) / perimeter)


@pytest.mark.parametrize("part", [bracket, fine_torus, comb])
def test_the_silhouette_is_neither_fat_nor_thin(part: Callable[[], PartMesh]) -> None:
    offsets = [grown_by_px(splats(part), part(), seen_from(part(), d)) for d in DIRECTIONS]
    assert np.abs(offsets).max() < 0.25
    assert abs(np.mean(offsets)) < 0.2


@pytest.mark.parametrize("part", [bracket, fine_torus, comb])
def test_a_fitted_pose_is_at_the_true_depth(part: Callable[[], PartMesh], tmp_path: Path) -> None:
    """A silhouette 0.1 px too fat puts a part 0.1 % too far away; poses are fitted to the level that is not."""
    mesh = part()
    reference = reference_from_mesh(mesh, "part", ReferenceConfig(views=20, cache_dir=str(tmp_path)))
    off = []
    for direction in DIRECTIONS:
        T = seen_from(mesh, direction)
        mask = exact_mask(mesh, T, CAMERA)
        box = as_segmentation(mask).box_px
        assert box is not None
        fit = refine_mask(make_query(mask, box, CAMERA, 256), reference, T, 12)
        assert fit is not None
        off.append(100 * (fit.pivot[2] / (T[2, :3] @ mesh.center_m + T[2, 3]) - 1))
    assert abs(np.mean(off)) < 0.08


def test_mesh2splat_is_fatter() -> None:
    """What the surface conversion is there for: disks that overhang every edge put a part too far away."""
    T = seen_from(bracket(), DIRECTIONS[0])
    ours = grown_by_px(splats(bracket), bracket(), T)
    theirs = grown_by_px(gaussians_from_fragments(bracket()), bracket(), T)
    assert theirs > 0.2 and theirs > abs(ours) + 0.1


@pytest.mark.parametrize("part", [bracket, fine_torus, comb])
@pytest.mark.parametrize("zoom", [1, 4])
def test_the_inside_has_no_holes(part: Callable[[], PartMesh], zoom: int) -> None:
    camera = CAMERA.scaled(zoom, 256 * zoom, 256 * zoom)
    for direction in DIRECTIONS:
        T = seen_from(part(), direction)
        inner = cv2.erode(exact_mask(part(), T, camera).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert inner.sum() > 2000
        assert (render_mask(splats(part), camera, T)[inner] < 0.5).mean() < 2e-4
