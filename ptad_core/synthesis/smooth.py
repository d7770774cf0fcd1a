"""Shading normals: round surfaces look round, edges stay sharp."""

from __future__ import annotations

import numpy as np

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
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(solid.vertices))
    first = np.cumsum(count) - count
    # all pairs (corner, other corner) at the same vertex
    repeats = count[vertex]
    corner = np.repeat(np.arange(len(vertex)), repeats)
    within = np.arange(len(corner)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    other = order[first[vertex[corner]] + within]
    close = np.einsum("ij,ij->i", normal[corner // 3], normal[other // 3]) > np.cos(np.radians(crease_deg))
    corner, other = corner[close], other[close]
    weighted = normal[other // 3] * angle[other, None]
    total = np.stack([np.bincount(corner, weighted[:, k], minlength=len(vertex)) for k in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 1e-12, total / np.maximum(length, 1e-30), np.repeat(normal, 3, axis=0))
    return np.asarray(total.reshape(-1, 3, 3))
