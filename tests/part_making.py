"""A small bracket and pictures of it, made with the exact renderer: real enough for the inspector, and fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict, merge
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.types import ColorImage, FloatArray, PoseSeed, SeedSource

CAMERA = Camera(620.0, 620.0, 159.5, 119.5, 320, 240)
BACKGROUND_BGR = (196, 200, 204)
PAINT_BGR = (60, 110, 190)


def box(size_mm: tuple[float, float, float], center_mm: tuple[float, float, float]) -> trimesh.Trimesh:
    return trimesh.creation.box(size_mm).apply_translation(center_mm)


def bracket(peg: bool = True) -> trimesh.Trimesh:
    """Return a bracket in millimetres: a plate, a wall along one edge, and a peg that may be missing."""
    solids = [box((80, 50, 8), (0, 0, 4)), box((8, 50, 40), (-36, 0, 20)), box((30, 10, 20), (10, 20, 16))]
    if peg:
        solids.append(box((12, 12, 34), (30, -16, 20)))
    return trimesh.util.concatenate(solids)


def wheel() -> trimesh.Trimesh:
    """Return a quite different part, in millimetres."""
    return trimesh.creation.annulus(20, 45, 15)


def save(mesh: trimesh.Trimesh, path: Path) -> Path:
    mesh.export(path)
    return path


def pose(turn_deg: float = 0.0, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> FloatArray:
    """Return T_camera_part: seen from above at a slant, 0.45 m away."""
    slant = rotation_exp(np.radians([125.0, 0.0, 0.0]))
    turned = slant @ rotation_exp(np.radians([0.0, 0.0, 25.0 + turn_deg]))
    return make_transform(turned, np.array([0.0, 0.005, 0.45]) + np.array(shift_mm) / 1e3)


def picture(mesh_mm: trimesh.Trimesh, T_camera_part: FloatArray, camera: Camera = CAMERA, seed: int = 0) -> ColorImage:
    """Return a picture of a painted part on a plain table, with noise."""
    renderer = ExactRenderer(np.asarray(mesh_mm.vertices) / 1e3, np.asarray(mesh_mm.faces))
    facing = -renderer.render(camera, T_camera_part).normals @ np.array([0.3, -0.4, 0.85])
    light = 0.45 + 0.55 * np.clip(np.nan_to_num(facing), 0, 1)[..., None]
    coverage = renderer.mask(camera, T_camera_part, supersample=3)[..., None]
    image = coverage * light * np.array(PAINT_BGR) + (1 - coverage) * np.array(BACKGROUND_BGR)
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def empty_table(camera: Camera = CAMERA, seed: int = 0) -> ColorImage:
    noise = np.random.default_rng(seed).normal(0, 2, (camera.height, camera.width, 3))
    return np.clip(noise + np.array(BACKGROUND_BGR), 0, 255).astype(np.uint8)


def seed_at(T_camera_part: FloatArray, off_deg: float = 2.0, off_mm: float = 2.0) -> PoseSeed:
    """Return a TF seed that is a little off."""
    off = make_transform(rotation_exp(np.radians([off_deg, 0.0, 0.0])), np.array([off_mm / 1e3, 0.0, 0.0]))
    return PoseSeed(T_camera_part @ off, SeedSource.TF)


def config(cad: Path, unit: str = "mm", **sections: Any) -> CellConfig:
    """Return a configuration for quick tests: few Gaussians, few views, no cache shared with anyone."""
    values = {"part": {"cad": str(cad), "unit": unit},
              "reference": {"gaussians": 4000, "views": 200, "cache_dir": str(cad.parent / "cache")}}
    return from_dict(CellConfig, merge(values, sections))
