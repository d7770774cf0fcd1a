"""The recorded dragon's CAD, altered: what the intact part then lacks, has more of, or has elsewhere.

Without the CAD's tail the real tail is surplus material, and a block that only the CAD has is missing on the real part.
Two alterations lie inside the outline, as the recording's camera sees it: they are told by what the surface looks like
or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import trimesh

from ptad_core.reference import PartMesh, check_mesh
from ptad_core.types import FloatArray

BLOCK_SIZE_M = 0.015
BLOCK_CENTER_M = (0.018, 0.0345, -0.005)
"""On the ridge of the back, sunk in by 1 mm to 3 mm: it stands out of the outline seen from any side."""
FLANK_BLOCK_SIZE_M = 0.010
FLANK_BLOCK_CENTER_M = (0.012, 0.0235, 0.001)
"""On the flank of the arch of the back, half sunk in."""
HIP_M = (0.020, -0.006, 0.004)
HIP_RADIUS_M = 0.014
HIP_SHIFT_M = (0.005, 0.0, 0.001)
"""The curled hip is drawn along the part, across the camera's view, least at its rim."""


@dataclass(frozen=True, slots=True)
class Alteration:
    """A CAD that differs from the recorded part, and where.

    Attributes:
        mesh: the altered CAD.
        place_m: (n, 3) points of the material that was added, moved or taken away, part frame; None: nothing was.
    """

    mesh: PartMesh
    place_m: FloatArray | None


def cut_tail(mesh: PartMesh) -> Alteration:
    """Take the frayed tip of the dragon's tail away, about 14 mm of it."""
    corners = mesh.vertices[mesh.faces]
    in_tail = ((corners[..., 0] > 0.0385) & (corners[..., 1] > 0.010)).all(1)
    tail = np.unique(mesh.faces[in_tail])
    return Alteration(check_mesh(mesh.vertices, mesh.faces[~in_tail], "dragon without tail"), mesh.vertices[tail])


def add_block(mesh: PartMesh) -> Alteration:
    """Put a block of 15 mm on the ridge of the dragon's back."""
    return _with_block(mesh, BLOCK_SIZE_M, BLOCK_CENTER_M)


def add_block_inside(mesh: PartMesh) -> Alteration:
    """Put a block of 10 mm on the dragon's flank, inside its outline."""
    return _with_block(mesh, FLANK_BLOCK_SIZE_M, FLANK_BLOCK_CENTER_M)


def move_hip(mesh: PartMesh) -> Alteration:
    """Shift the dragon's hip by 5 mm, inside its outline."""
    distance = np.linalg.norm(mesh.vertices - HIP_M, axis=1)
    share = np.maximum(1 - (distance / HIP_RADIUS_M) ** 2, 0.0) ** 2
    moved = mesh.vertices + share[:, None] * np.array(HIP_SHIFT_M)
    return Alteration(check_mesh(moved, mesh.faces, "dragon with its hip moved"), moved[share > 0.1])


def _with_block(mesh: PartMesh, size_m: float, center_m: tuple[float, float, float]) -> Alteration:
    block = trimesh.creation.box((size_m,) * 3)
    corners = np.asarray(block.vertices, dtype=np.float64) + center_m
    vertices = np.vstack([mesh.vertices, corners])
    faces = np.vstack([mesh.faces, np.asarray(block.faces, dtype=np.int64) + len(mesh.vertices)])
    return Alteration(check_mesh(vertices, faces, "dragon with block"), corners)


ALTERATIONS: Mapping[str, Callable[[PartMesh], Alteration]] = {
    "tail_cut": cut_tail, "block": add_block, "block_inside": add_block_inside, "hip_moved": move_hip}
"""By the name under which results are reported."""
