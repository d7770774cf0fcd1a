"""Shading normals: round surfaces look round, edges stay sharp."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.synthesis.shapes import Solid
from ptad_core.types import FloatArray


def corner_normals(solid: Solid, crease_deg: float = 35.0) -> FloatArray:
    """Return unit normals (m, 3, 3) at the three corners of each face.

    At a corner, the faces around the vertex are averaged, weighted with their angle there, as far as they are within
    ``crease_deg`` of the corner's own face.
    """
    corners = solid.vertices[solid.faces]
    ahead = np.roll(corners, -1, axis=1) - corners
    behind = np.roll(corners, 1, axis=1) - corners
    normal = np.cross(ahead[:, 0], behind[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    lengths = np.linalg.norm(ahead, axis=2) * np.linalg.norm(behind, axis=2)
    angle = np.arccos(np.clip(np.einsum("ijk,ijk->ij", ahead, behind) / np.maximum(lengths, 1e-30), -1, 1)).ravel()
    vertex = solid.faces.ravel()
    first = np.concatenate([[0], np.cumsum(np.bincount(vertex, minlength=len(solid.vertices)))])
    return _averaged(normal, angle, vertex, np.argsort(vertex, kind="stable"), first, np.cos(np.radians(crease_deg))
                     ).reshape(-1, 3, 3)


@njit(cache=True, nogil=True)
def _averaged(normal: FloatArray, angle: FloatArray, vertex: NDArray[np.int64], order: NDArray[np.int64],
              first: NDArray[np.int64], least_cosine: float) -> FloatArray:
    """Return (3 m, 3) averages; ``order[first[v]:first[v + 1]]`` are the corners that meet at vertex v."""
    out = np.empty((len(vertex), 3))
    for corner in range(len(vertex)):
        own = normal[corner // 3]
        x = y = z = 0.0
        for k in range(first[vertex[corner]], first[vertex[corner] + 1]):
            other = normal[order[k] // 3]
            if own[0] * other[0] + own[1] * other[1] + own[2] * other[2] > least_cosine:
                weight = angle[order[k]]
                x, y, z = x + weight * other[0], y + weight * other[1], z + weight * other[2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 1e-12:
            out[corner, 0], out[corner, 1], out[corner, 2] = x / length, y / length, z / length
        else:
            out[corner] = own
    return out
