"""CAD file -> triangle mesh in metres, with a preflight: the errors and doubts that CAD files really bring."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from ptad_core.config import UNITS_IN_METRES
from ptad_core.errors import MeshError, UnitError
from ptad_core.types import FloatArray

SUFFIXES = (".stl", ".obj", ".ply", ".glb")
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_FACES = 5_000_000
SUSPICIOUSLY_LARGE_M = 10.0
LEAST_SIZE_M = 1e-5
SUSPICIOUSLY_SMALL_M = 0.002
FAR_ORIGIN_IN_DIAMETERS = 5.0


@dataclass(frozen=True, slots=True)
class PartMesh:
    """A checked triangle mesh.

    Attributes:
        vertices: (n, 3) float64 in metres, part frame (the CAD file's own axes and origin).
        faces: (m, 3) int64.
        warnings: what the preflight doubts, in words with the remedy.
    """

    vertices: FloatArray
    faces: NDArray[np.int64]
    warnings: tuple[str, ...] = ()

    @property
    def center_m(self) -> FloatArray:
        """(3,) centre of the bounding box."""
        return np.asarray((self.vertices.min(0) + self.vertices.max(0)) / 2, dtype=np.float64)

    @property
    def diameter_m(self) -> float:
        """Diagonal of the bounding box."""
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def digest(self) -> str:
        """Return a hex hash of the geometry in metres."""
        h = hashlib.sha256()
        h.update(np.ascontiguousarray(self.vertices).tobytes())
        h.update(np.ascontiguousarray(self.faces).tobytes())
        return h.hexdigest()


def load_mesh(path: Path, unit: str) -> PartMesh:
    """Read STL, OBJ, PLY or GLB and scale it to metres.

    Args:
        path: the CAD file.
        unit: what one unit of the file is (``m``, ``mm``, ...). There is no default: millimetres taken for metres
            are the most reported mistake in this field.

    Raises:
        UnitError: if the unit is missing or unknown.
        MeshError: if the file is missing, unreadable, too large, or has no surface.
    """
    path = Path(path)
    if not unit:
        raise UnitError(f"{path.name}: expected the unit of the CAD file (one of {', '.join(UNITS_IN_METRES)}), "
                        "got none; CAD files do not say it reliably, so it has to be given")
    if unit not in UNITS_IN_METRES:
        raise UnitError(f"{path.name}: expected a unit out of {', '.join(UNITS_IN_METRES)}, got {unit!r}")
    vertices, faces = _read(path)
    return check_mesh(vertices * UNITS_IN_METRES[unit], faces, path.name, unit)


def check_mesh(vertices_m: FloatArray, faces: NDArray[np.int64], name: str = "mesh", unit: str = "m") -> PartMesh:
    """Return a mesh without degenerate triangles, with the preflight's warnings.

    Raises:
        MeshError: if nothing with an area is left, or a vertex is not finite.
    """
    if len(vertices_m) == 0 or len(faces) == 0:
        raise MeshError(f"{name}: expected a triangle mesh, got {len(vertices_m)} vertices and {len(faces)} triangles")
    if faces.min() < 0 or faces.max() >= len(vertices_m):
        raise MeshError(f"{name}: expected faces that index {len(vertices_m)} vertices, got indices "
                        f"{faces.min()}..{faces.max()}")
    if len(faces) > MAX_FACES:
        raise MeshError(f"{name}: expected at most {MAX_FACES} triangles, got {len(faces)}; decimate the mesh")
    used = vertices_m[np.unique(faces)]
    if not np.isfinite(used).all():
        raise MeshError(f"{name}: expected finite vertices, got {int((~np.isfinite(used)).any(1).sum())} that are not")
    size = np.ptp(used, axis=0)
    diameter = float(np.linalg.norm(size))
    if diameter < LEAST_SIZE_M:
        raise MeshError(f"{name}: expected a part of at least {1000 * LEAST_SIZE_M:g} mm, read with unit {unit} it "
                        f"measures {1000 * diameter:.3g} mm: check the unit")
    a, b, c = (vertices_m[faces[:, k]] for k in range(3))
    areas = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    kept = areas > 1e-12 * diameter * diameter
    if not kept.any():
        raise MeshError(f"{name}: expected triangles with an area, got {len(faces)} degenerate ones")
    mesh = trimesh.Trimesh(vertices_m, faces[kept], process=False)
    mesh.remove_unreferenced_vertices()
    mesh.merge_vertices()
    warnings = _doubts(mesh, name, unit, int((~kept).sum()))
    return PartMesh(np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64), warnings)


def _doubts(mesh: trimesh.Trimesh, name: str, unit: str, dropped: int) -> tuple[str, ...]:
    size = np.ptp(mesh.vertices, axis=0)
    diameter, largest = float(np.linalg.norm(size)), float(size.max())
    measures = " x ".join(f"{s:.4g}" for s in size) + " m"
    doubts = []
    if largest > SUSPICIOUSLY_LARGE_M:
        hint = "; if the file is in millimetres, say unit mm" if unit == "m" else ""
        doubts.append(f"{name}: read with unit {unit}, the part measures {measures}, which is very large{hint}")
    if largest < SUSPICIOUSLY_SMALL_M:
        hint = "; if the file is in metres, say unit m" if unit != "m" else ""
        doubts.append(f"{name}: read with unit {unit}, the part measures {measures}, which is very small{hint}")
    offset = float(np.linalg.norm((mesh.vertices.min(0) + mesh.vertices.max(0)) / 2))
    if offset > FAR_ORIGIN_IN_DIAMETERS * diameter:
        doubts.append(f"{name}: the origin lies {offset:.3g} m from the part's centre ({offset / diameter:.0f} times "
                      "its size); rotations about it move the part far, so export it near its own origin")
    if dropped:
        doubts.append(f"{name}: {dropped} degenerate triangles were dropped")
    if not mesh.is_watertight:
        doubts.append(f"{name}: the surface is not closed; edges of open surfaces are taken as real edges")
    elif mesh.volume < 0:
        doubts.append(f"{name}: the triangles face inwards (negative volume); normals are turned where needed")
    return tuple(doubts)


def _read(path: Path) -> tuple[FloatArray, NDArray[np.int64]]:
    if path.suffix.lower() not in SUFFIXES:
        raise MeshError(f"{path}: expected a CAD file ending in {', '.join(SUFFIXES)}, got {path.suffix or 'none'!r}")
    if not path.is_file():
        raise MeshError(f"{path}: expected a CAD file, but there is none")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise MeshError(f"{path}: expected at most {MAX_FILE_BYTES >> 20} MiB, got {path.stat().st_size} bytes")
    if path.suffix.lower() == ".stl":
        _require_whole_stl(path)
    try:
        scene: Any = trimesh.load_scene(_source(path), file_type=path.suffix[1:].lower(), process=False)
        pieces = [_placed(scene, node) for node in scene.graph.nodes_geometry]
    # Parsers of damaged files raise anything from struct.error to KeyError; all mean the same to the user.
    except Exception as error:
        raise MeshError(f"{path}: expected a readable {path.suffix} mesh: {type(error).__name__}: {error}") from error
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in pieces])
    vertices = np.concatenate([v for v, _ in pieces]) if pieces else np.zeros((0, 3))
    faces = [f + offset for (_, f), offset in zip(pieces, offsets, strict=False)]
    return vertices, np.concatenate(faces) if faces else np.zeros((0, 3), dtype=np.int64)


def _require_whole_stl(path: Path) -> None:
    """Say of a binary STL file that it is cut: a reader that takes it for text instead says anything."""
    with path.open("rb") as file:
        head = file.read(84)
    if len(head) < 84 or b"\0" not in head:
        return  # text, which states no length
    triangles = int.from_bytes(head[80:], "little")
    expected, size = 84 + 50 * triangles, path.stat().st_size
    if size != expected:
        raise MeshError(f"{path}: expected {expected} bytes for the {triangles} triangles that it states, got {size}; "
                        "the file is cut or damaged")


def _source(path: Path) -> Path | BytesIO:
    """Return what to read a file from: text that is not UTF-8 (a name with an umlaut) is taken for Latin-1."""
    if path.suffix.lower() not in (".obj", ".stl"):
        return path
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return BytesIO(data if b"\0" in data else data.decode("latin-1").encode("utf-8"))
    return path


def _placed(scene: Any, node: str) -> tuple[FloatArray, NDArray[np.int64]]:
    """One mesh of a scene, at its place; colours and textures are left where they are."""
    T_scene_piece, name = scene.graph[node]
    piece = scene.geometry[name]
    if not isinstance(piece, trimesh.Trimesh):
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    vertices = trimesh.transform_points(np.array(piece.vertices, dtype=np.float64), T_scene_piece)
    return np.asarray(vertices, dtype=np.float64), np.array(piece.faces, dtype=np.int64)
