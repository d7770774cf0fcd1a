"""Bulges and dents: a surface pressed out or in around a point, its triangles made small enough for it first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptad_core.synthesis.shapes import Solid
from ptad_core.types import FloatArray

EDGES_PER_RADIUS = 5


def bump(solid: Solid, point: FloatArray, normal: FloatArray, radius: float, height: float) -> Solid:
    """Move what lies within ``radius`` of a point along its unit normal, by ``height`` at the point (< 0: a dent).

    The shift falls off as ``(1 - (d / radius)^2)^2``. Its steepest slope is 1.54 ``height / radius``; below 0.65 of the
    radius the surface cannot fold over. Where a wall is thinner than the radius, both of its sides move, as sheet does.
    """
    fine = refined(solid, point, radius, radius / EDGES_PER_RADIUS)
    share = np.linalg.norm(fine.vertices - point, axis=1, keepdims=True) / radius
    return Solid(fine.vertices + height * np.clip(1 - share ** 2, 0, None) ** 2 * normal, fine.faces)


def refined(solid: Solid, point: FloatArray, radius: float, edge: float) -> Solid:
    """Halve edges longer than ``edge`` of all faces within a radius of a point, until there are none; stays closed."""
    vertices, faces = solid.vertices, solid.faces
    while True:
        corners = vertices[faces]
        low, high = corners.min(axis=1), corners.max(axis=1)
        near = np.flatnonzero((np.maximum(np.maximum(low - point, point - high), 0) ** 2).sum(axis=1) < radius ** 2)
        long = np.zeros(faces.shape, bool)
        long[near] = np.linalg.norm(np.roll(corners[near], -1, axis=1) - corners[near], axis=2) > edge
        if not long.any():
            return Solid(vertices, faces)
        vertices, faces = _halved(vertices, faces, long)


def _halved(vertices: FloatArray, faces: NDArray[np.int64], wanted: NDArray[np.bool_],
            ) -> tuple[FloatArray, NDArray[np.int64]]:
    """Halve the edges (m, 3) that faces want halved, in both faces of each; edge k runs from corner k to the next."""
    after = np.roll(faces, -1, axis=1)
    edge = np.minimum(faces, after) * len(vertices) + np.maximum(faces, after)
    halved = np.unique(edge[wanted])
    place = np.minimum(np.searchsorted(halved, edge), len(halved) - 1)
    middle = np.where(halved[place] == edge, len(vertices) + place, -1)
    made = 0.5 * (vertices[halved // len(vertices)] + vertices[halved % len(vertices)])
    count = (middle >= 0).sum(axis=1)
    # turn each face until a lone halved edge, or the edge after a lone whole one, comes first
    turn = np.where(count == 2, (np.argmin(middle >= 0, axis=1) + 1) % 3, np.argmax(middle >= 0, axis=1))
    turns = (turn[:, None] + np.arange(3)) % 3
    (a, b, c), (ab, bc, ca) = (np.take_along_axis(k, turns, axis=1).T for k in (faces, middle))
    pieces = [faces[count == 0]]
    for number_halved, triangles in ((1, ((a, ab, c), (ab, b, c))), (2, ((ab, b, bc), (a, ab, bc), (a, bc, c))),
                                     (3, ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)))):
        pieces += [np.stack(t, axis=1)[count == number_halved] for t in triangles]
    return np.concatenate([vertices, made]), np.concatenate(pieces)
