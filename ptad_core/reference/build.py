"""Part -> reference bundle: mesh, Gaussians and candidate views, built once and cached by content."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.gaussians import Gaussians
from ptad_core.reference.mesh import PartMesh, load_mesh
from ptad_core.reference.mesh2splat import gaussians_from_fragments
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.reference.symmetry import parse_symmetry
from ptad_core.reference.symmetry_detection import detect_symmetry
from ptad_core.reference.views import Views, render_views, sphere_directions
from ptad_core.types import FloatArray

FORMAT = 4
"""Raise this whenever the meaning of a bundle's content changes: older caches are then built anew."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """What every inspection of one part shares.

    Attributes:
        part_id: name of the part.
        hash: hex digest of the geometry and of how it was converted; results carry it.
        mesh: the checked CAD mesh in metres, part frame.
        gaussians: the part as Gaussians.
        views: candidate views over the whole sphere.
        symmetries: (k, 3, 3) rotations about the centre that change nothing, declared or detected.
        center_m: (3,) centre of the bounding box, part frame.
        diameter_m: diagonal of the bounding box.
        warnings: what the preflight doubts, and which symmetry was detected.
    """

    part_id: str
    hash: str
    mesh: PartMesh
    gaussians: Gaussians
    views: Views
    symmetries: FloatArray
    center_m: FloatArray
    diameter_m: float
    warnings: tuple[str, ...]


def build_reference(part: PartConfig, config: ReferenceConfig) -> Reference:
    """Load a CAD file and make a reference of it, or take it from the cache.

    Raises:
        UnitError, MeshError: if the CAD file is not usable.
        ConfigError: if the declared symmetry cannot be read.
    """
    path = Path(part.cad).expanduser()
    return reference_from_mesh(load_mesh(path, part.unit), part.id or path.stem, config, part.symmetry)


def reference_from_mesh(mesh: PartMesh, part_id: str, config: ReferenceConfig, symmetry: str = "") -> Reference:
    """Make a reference of a mesh that is already in memory, or take it from the cache.

    Args:
        mesh: checked, in metres.
        part_id: its name.
        config: how it is converted.
        symmetry: a declaration, ``auto``, or '' for none.

    Raises:
        ConfigError: if the symmetry cannot be read.
    """
    declaration = detect_symmetry(mesh) if symmetry.strip() == "auto" else symmetry
    key = f"{FORMAT} {mesh.digest()} {config.conversion} {config.gaussians} {config.views}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    symmetries = parse_symmetry(declaration)
    cached = cache_folder(config) / f"{digest}.npz"
    bundle = _load(cached)
    if bundle is None:
        gaussians = convert(mesh, config)
        views = render_views(gaussians, mesh.center_m, mesh.diameter_m, sphere_directions(config.views))
        bundle = gaussians, views
        _save(cached, gaussians, views)
    detected = () if declaration == symmetry else tell_of_symmetry(declaration)
    return Reference(part_id, digest, mesh, *bundle, symmetries, mesh.center_m, mesh.diameter_m,
                     (*mesh.warnings, *detected))


def tell_of_symmetry(detected: str) -> tuple[str, ...]:
    """Return in words what a detected symmetry means, nothing where there is none."""
    if not detected:
        return ()
    return ((f"detected symmetry: {detected}; poses that differ by it count as equal, set part.symmetry to 'none' if "
            "something that the file lacks tells them apart"),)


def convert(mesh: PartMesh, config: ReferenceConfig) -> Gaussians:
    """Return the mesh as Gaussians, by the configured conversion."""
    if config.conversion == "mesh2splat":
        return gaussians_from_fragments(mesh)
    return gaussians_from_surface(mesh, config.gaussians)


def cache_folder(config: ReferenceConfig) -> Path:
    """Return the folder that keeps built references."""
    if config.cache_dir:
        return Path(config.cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "ptad" / "references"


GAUSSIAN_FIELDS = ("means", "tangents", "normals", "opacities")
VIEW_FIELDS = ("directions", "R_camera_part", "outlines", "points", "normals", "reach_m")


def _save(path: Path, gaussians: Gaussians, views: Views) -> None:
    """Write a bundle in one step, so that a reader never sees half of one; a full disk only costs the cache."""
    arrays = {f"gaussians_{name}": getattr(gaussians, name) for name in GAUSSIAN_FIELDS}
    arrays |= {f"views_{name}": getattr(views, name).astype(np.float32) for name in VIEW_FIELDS}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            half = Path(folder) / path.name
            np.savez(half, allow_pickle=False, **arrays)
            half.replace(path)
    except OSError as error:
        logger.warning("the reference could not be cached in %s: %s", path.parent, error)


def _load(path: Path) -> tuple[Gaussians, Views] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            gaussians = Gaussians(*(file[f"gaussians_{name}"] for name in GAUSSIAN_FIELDS))
            views = Views(*(file[f"views_{name}"].astype(np.float64) for name in VIEW_FIELDS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.warning("the cached reference %s is damaged and is built anew: %s", path.name, error)
        return None
    return gaussians, views
