"""Breaking a solid: what a plane leaves of it, closed again where it was cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptad_core.errors import MeshError
from ptad_core.synthesis.shapes import Solid
from ptad_core.synthesis.triangulate import contains, signed_area, triangulate
from ptad_core.types import FloatArray


def cut(solid: Solid, point: FloatArray, normal: FloatArray) -> Solid:
    """Return the piece of a solid behind the plane through ``point`` (against its unit ``normal``), capped.

    Raises:
        MeshError: if the plane leaves everything or nothing, or the mesh is not closed.
    """
    height = (solid.vertices - point) @ normal
    # a vertex in the plane would make open edges of zero length: it counts as kept
    height[np.abs(height) < 1e-7 * float(np.ptp(height))] = -1e-7 * float(np.ptp(height))
    kept = height < 0
    if kept.all() or not kept.any():
        raise MeshError("expected a plane that cuts the solid, got one beside it")
    corners_kept = kept[solid.faces]
    whole = solid.faces[corners_kept.all(axis=1)]
    split = solid.faces[corners_kept.any(axis=1) & ~corners_kept.all(axis=1)]
    one_kept = kept[split].sum(axis=1) == 1
    # turn each split triangle until its odd corner (the only one kept, or the only one cut off) comes first
    odd = np.where(one_kept, np.argmax(kept[split], axis=1), np.argmin(kept[split], axis=1))
    a, b, c = (split[np.arange(len(split)), (odd + k) % 3] for k in range(3))
    ab, ac, made = _edge_points(solid.vertices, height, a, b, c)
    ab, ac = ab + len(solid.vertices), ac + len(solid.vertices)
    one, two = one_kept, ~one_kept
    pieces = [whole, np.stack([a[one], ab[one], ac[one]], axis=1),
              np.stack([ab[two], b[two], c[two]], axis=1), np.stack([ab[two], c[two], ac[two]], axis=1)]
    # seen from the kept side the cut runs ab -> ac for a lone kept corner, ac -> ab otherwise; the cap runs back
    start, end = np.where(one, ac, ab), np.where(one, ab, ac)
    vertices = np.concatenate([solid.vertices, made])
    faces = np.concatenate([*pieces, _cap(vertices, start, end, normal)])
    used, faces = np.unique(faces, return_inverse=True)
    return Solid(vertices[used], faces.reshape(-1, 3))


def _edge_points(vertices: FloatArray, height: FloatArray, a: NDArray[np.int64], b: NDArray[np.int64],
                 c: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return indices of the cut points on edges ab and ac, shared between triangles, and the points."""
    edges = np.sort(np.concatenate([np.stack([a, b], axis=1), np.stack([a, c], axis=1)]), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    index = index.reshape(-1)
    h0, h1 = height[unique[:, 0]], height[unique[:, 1]]
    t = (h0 / (h0 - h1))[:, None]
    return index[:len(a)], index[len(a):], vertices[unique[:, 0]] * (1 - t) + vertices[unique[:, 1]] * t


def _cap(vertices: FloatArray, start: NDArray[np.int64], end: NDArray[np.int64], normal: FloatArray,
         ) -> NDArray[np.int64]:
    """Close the cut whose border runs from each ``start`` to its ``end``; faces look along ``normal``."""
    follow = dict(zip(start.tolist(), end.tolist(), strict=True))
    if len(follow) != len(start) or set(follow) != set(follow.values()):
        raise MeshError("expected a closed mesh in which two faces meet at each edge, the cut's border is open")
    loops: list[list[int]] = []
    while follow:
        first, following = follow.popitem()
        loop = [first]
        while following != first:
            loop.append(following)
            following = follow.pop(following)
        loops.append(loop)
    x_axis = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    x_axis /= np.linalg.norm(x_axis)
    flat = [vertices[loop] @ np.stack([x_axis, np.cross(normal, x_axis)], axis=1) for loop in loops]
    areas = [signed_area(ring) for ring in flat]
    outer = [k for k, area in enumerate(areas) if area > 0]
    holes: dict[int, list[int]] = {k: [] for k in outer}
    for k, area in enumerate(areas):
        if area <= 0:
            around = [o for o in outer if contains(flat[o], flat[k][0])]
            if around:
                holes[min(around, key=lambda o: areas[o])].append(k)
    faces = []
    for o, inner in holes.items():
        order = np.concatenate([loops[o], *(loops[k] for k in inner)]).astype(np.int64)
        faces.append(order[triangulate(flat[o], [flat[k] for k in inner])])
    if not faces:
        raise MeshError("expected a cut with an inside, all its borders run the wrong way round")
    return np.concatenate(faces)
