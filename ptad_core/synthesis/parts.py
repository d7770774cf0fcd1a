"""A user's CAD as an assembly: its groups are the components, or its bodies, or pieces that it is divided into."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from scipy.cluster.vq import kmeans2

from ptad_core.config import UNITS_IN_METRES
from ptad_core.errors import MeshError, UnitError
from ptad_core.reference.mesh import SUFFIXES, PartMesh, load_mesh
from ptad_core.synthesis.assembly import Assembly, Component
from ptad_core.synthesis.cut import cut
from ptad_core.synthesis.shapes import Solid, union

PIECES = 7
"""Pieces that a mesh without components is divided into, to have something that can be missing."""
LEAST_COMPONENTS = 3
SMALL = 0.03
"""Bodies smaller than this, relative to the whole, are taken to their largest: screws and scraps."""
LARGEST_CUT_FACES = 60_000

_LOG = logging.getLogger(__name__)


def load_parts(folder: Path, unit: str) -> list[Assembly]:
    """Return every CAD file below a folder as an assembly; files that cannot be read are left out with a warning.

    Raises:
        UnitError: if the unit is missing or unknown.
        MeshError: if there is no readable CAD file.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    parts = []
    for path in paths:
        try:
            parts.append(load_part(path, unit))
        except UnitError:
            raise
        except MeshError as error:
            _LOG.warning("left out: %s", error)
    if not parts:
        raise MeshError(f"{folder}: expected readable CAD files ({', '.join(SUFFIXES)}), found none")
    return parts


def load_part(path: Path, unit: str) -> Assembly:
    """Return a CAD file as an assembly named after the file; see :func:`as_assembly`.

    Raises:
        UnitError: if the unit is missing or unknown.
        MeshError: if the file is missing, unreadable, too large, or has no surface.
    """
    whole = load_mesh(path, unit)
    groups = _groups(path, UNITS_IN_METRES[unit])
    return _mounted(groups, path.stem) if len(groups) >= LEAST_COMPONENTS else divided(whole, path.stem)


def divided(mesh: PartMesh, name: str) -> Assembly:
    """Make an assembly of the bodies of a mesh, or, where there are too few, of pieces that it is cut into.

    The largest component carries the others and is never missing or moved.

    Raises:
        MeshError: if it has too few triangles.
    """
    solids = _bodies(mesh)
    if len(solids) < LEAST_COMPONENTS:
        try:
            solids = _cut_up(union(*solids))
        except MeshError:  # not closed
            return patches(mesh, name)
    return _mounted({f"body_{k}": solid for k, solid in enumerate(solids)}, name)


def patches(mesh: PartMesh, name: str, seed: int = 0) -> Assembly:
    """Divide a mesh into patches of neighbouring faces; the largest carries the others.

    Raises:
        MeshError: if it has too few triangles for that.
    """
    corners = mesh.vertices[mesh.faces]
    centres = corners.mean(axis=1)
    if len(centres) < 4 * PIECES:
        raise MeshError(f"{name}: expected at least {4 * PIECES} triangles to divide, got {len(centres)}")
    label = kmeans2(centres, PIECES, minit="++", seed=seed)[1]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    areas = np.bincount(label, area, PIECES)
    body = int(np.argmax(areas))
    components = []
    for k in [body, *(k for k in range(PIECES) if k != body and areas[k] > 0)]:
        used, faces = np.unique(mesh.faces[label == k], return_inverse=True)
        components.append(Component(f"portion_{k}", Solid(mesh.vertices[used], faces.reshape(-1, 3)),
                                    "" if k == body else f"portion_{body}", sound=k == body))
    return Assembly(name, tuple(components))


def _groups(path: Path, unit_m: float) -> dict[str, Solid]:
    """Return the groups and objects of an OBJ file or the nodes of a GLB scene, in metres, by their names."""
    options: dict[str, Any] = {"split_groups": True, "split_objects": True} if path.suffix.lower() == ".obj" else {}
    try:
        scene: Any = trimesh.load_scene(path, process=False, **options)
    # Parsers raise anything; a file that can be read as a whole may do without its groups.
    except Exception as error:  # noqa: BLE001
        _LOG.warning("%s: groups cannot be read, %s: %s", path, type(error).__name__, error)
        return {}
    found = {}
    for node in scene.graph.nodes_geometry:
        T_scene_piece, name = scene.graph[node]
        piece = scene.geometry[name]
        if not isinstance(piece, trimesh.Trimesh) or len(piece.faces) == 0:
            continue
        bare = trimesh.Trimesh(np.array(piece.vertices), np.array(piece.faces), process=False)  # without its texture
        bare.merge_vertices()
        vertices = trimesh.transform_points(np.asarray(bare.vertices, np.float64), T_scene_piece) * unit_m
        found[str(node)] = Solid(np.asarray(vertices, np.float64), np.asarray(bare.faces, np.int64))
    return found


def _bodies(mesh: PartMesh) -> list[Solid]:
    """Return what hangs together, with what is very small in one solid with the largest."""
    pieces = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).split(only_watertight=False)
    solids = sorted((Solid(np.asarray(p.vertices), np.asarray(p.faces)) for p in pieces),
                    key=lambda s: -float(np.linalg.norm(s.extent)))
    if not solids:
        return [Solid(mesh.vertices, mesh.faces)]
    large = [s for s in solids if np.linalg.norm(s.extent) > SMALL * mesh.diameter_m]
    return [union(large[0], *solids[len(large):]), *large[1:]] if large else solids


def _cut_up(solid: Solid) -> list[Solid]:
    """Cut a closed solid across its longest pieces, over and over; the pieces are closed."""
    if len(solid.faces) > LARGEST_CUT_FACES:
        raise MeshError(f"expected at most {LARGEST_CUT_FACES} triangles to cut, got {len(solid.faces)}")
    rng = np.random.default_rng(0)
    pieces = [solid]
    while len(pieces) < PIECES:
        pieces.sort(key=lambda s: float(s.extent.max()))
        longest = pieces.pop()
        normal = np.eye(3)[int(np.argmax(longest.extent))] + rng.uniform(-0.15, 0.15, 3)
        normal /= np.linalg.norm(normal)
        point = longest.centre + rng.uniform(-0.12, 0.12, 3) * longest.extent
        pieces += [cut(longest, point, normal), cut(longest, point, -normal)]
    return pieces


def _outwards(solid: Solid) -> Solid:
    """Turn the faces of a solid that is inside out."""
    return Solid(solid.vertices, solid.faces[:, ::-1]) if solid.volume < 0 else solid


def _mounted(solids: dict[str, Solid], name: str) -> Assembly:
    body = max(solids, key=lambda n: float(np.linalg.norm(solids[n].extent)))
    order = [body, *(n for n in solids if n != body)]
    return Assembly(name, tuple(
        Component(n, _outwards(solids[n]), "" if n == body else body, sound=n == body) for n in order))
