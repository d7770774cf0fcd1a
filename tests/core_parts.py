"""Small parts for the tests of the core, in metres: meshes, poses to see them in, masks and pictures of them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import trimesh

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.gaussians import Gaussians
from ptad_core.reference import PartMesh, check_mesh
from ptad_core.reference.views import look_at
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.segmentation.mask import box_of
from ptad_core.types import Box, ColorImage, FloatArray, MaskImage, Segmentation

CAMERA = Camera(800.0, 800.0, 319.5, 239.5, 640, 480)
BACKGROUND_BGR = (150, 152, 148)
PAINT_BGR = (40, 90, 200)
LIGHT = np.array([0.3, -0.5, -0.8])


def box_mm(size: tuple[float, float, float], centre: tuple[float, float, float]) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(np.array(size) / 1000)
    mesh.apply_translation(np.array(centre) / 1000)
    return mesh


PIECES = {
    "plate": box_mm((100, 60, 8), (0, 0, 4)),
    "wall": box_mm((8, 60, 50), (-46, 0, 30)),
    "rib": box_mm((50, 8, 14), (0, 22, 13)),
    "peg": box_mm((14, 14, 40), (36, -18, 26)),
}
"""A bracket without any symmetry."""


def join(pieces: dict[str, trimesh.Trimesh]) -> PartMesh:
    mesh = trimesh.util.concatenate(list(pieces.values()))
    return check_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), "test part")


@functools.cache
def bracket(*, without: str = "") -> PartMesh:
    return join({name: piece for name, piece in PIECES.items() if name != without})


def altered(name: str, piece: trimesh.Trimesh) -> PartMesh:
    """The bracket with one piece exchanged, or one more."""
    return join(PIECES | {name: piece})


def plain_box() -> PartMesh:
    return join({"box": box_mm((90, 60, 30), (0, 0, 0))})


def mesh_of(mesh: trimesh.Trimesh) -> PartMesh:
    return check_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), "test part")


def moved(mesh: PartMesh, offset_m: tuple[float, float, float]) -> PartMesh:
    """The same part with another origin."""
    return check_mesh(mesh.vertices + np.array(offset_m), mesh.faces, "moved part")


def seen_from(mesh: PartMesh, direction: tuple[float, float, float], distance_m: float = 0.5, roll_deg: float = 0.0,
              shift_m: tuple[float, float] = (0.0, 0.0)) -> FloatArray:
    """T_camera_part of a camera that looks from a direction (part frame) at the part's centre."""
    R = rotation_exp(np.array([0.0, 0.0, np.radians(roll_deg)])) @ look_at(np.array(direction, dtype=float))
    return make_transform(R, np.array([*shift_m, distance_m]) - R @ mesh.center_m)


def renderer(mesh: PartMesh) -> ExactRenderer:
    return ExactRenderer(mesh.vertices, mesh.faces)


def exact_mask(mesh: PartMesh, T_camera_part: FloatArray, camera: Camera = CAMERA) -> MaskImage:
    return renderer(mesh).render(camera, T_camera_part).mask


def as_segmentation(mask: MaskImage) -> Segmentation:
    box: Box | None = box_of(mask) if mask.any() else None
    return Segmentation(mask, "test", 1.0, box)


def picture(mesh: PartMesh, T_camera_part: FloatArray, camera: Camera = CAMERA, seed: int = 0,
            paint_bgr: tuple[int, int, int] = PAINT_BGR) -> ColorImage:
    """A painted part before a plain background: one light, noise, soft edges."""
    exact = renderer(mesh)
    normals = np.nan_to_num(exact.render(camera, T_camera_part).normals)
    shade = 0.45 + 0.55 * np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)[..., None]
    coverage = exact.mask(camera, T_camera_part, supersample=3)[..., None]
    image = coverage * shade * np.array(paint_bgr) + (1 - coverage) * np.array(BACKGROUND_BGR)
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def turned_by_deg(T_a: FloatArray, T_b: FloatArray) -> float:
    R = T_a[:3, :3].T @ T_b[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


def assert_flat_disks(gaussians: Gaussians) -> None:
    """Tangents stand on each other and on the normal, as what writes and renders them takes for granted."""
    t, n = gaussians.tangents.astype(float), gaussians.normals.astype(float)
    unit = t / np.linalg.norm(t, axis=2, keepdims=True)
    assert np.abs((unit[:, 0] * unit[:, 1]).sum(1)).max() < 1e-3
    assert np.abs(np.einsum("nki,ni->nk", unit, n)).max() < 1e-3
    assert np.linalg.norm(n, axis=1) == pytest.approx(1, abs=1e-5)
    assert (gaussians.opacities < 1).all() and (gaussians.opacities > 0).all()
    assert all(getattr(gaussians, name).dtype == np.float32 for name in Gaussians.__slots__)
