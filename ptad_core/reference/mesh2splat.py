"""Mesh -> Gaussians as mesh2splat does it, at the paper's preset: the baseline that ``surface`` is measured against.

Every triangle is drawn, without culling or depth test, into an R x R raster over the scene's bounding box, seen along
the coordinate axis nearest to its normal. Each fragment becomes one flat Gaussian at its point of the triangle. With
J = dP/d(uv) of the triangle its scales are |J_u| and |J_v| times ``SCALE / R``, and its first axis is the triangle's
longest edge. Faithful means with the faults: triangles that hold no fragment's centre emit nothing, so finely
triangulated or thin parts get holes; the scales belong to J_u and J_v but are laid along other axes; and disks
overhang every edge.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.errors import MeshError
from ptad_core.gaussians import MAX_OPACITY, Gaussians
from ptad_core.reference.mesh import PartMesh
from ptad_core.types import FloatArray

SCALE = 0.65
DENSITY = 0.5
"""The paper's preset (Sec. 4.1)."""
LEAST_RESOLUTION, MORE_RESOLUTION = 16, 1008
OTHER_AXES = np.array([[1, 2], [0, 2], [0, 1]])
"""The two axes of the plane that is seen along x, y and z."""


def gaussians_from_fragments(mesh: PartMesh, scale: float = SCALE, density: float = DENSITY) -> Gaussians:
    """Return one Gaussian for each fragment of the rasterised mesh.

    Raises:
        MeshError: if no triangle is large enough to hold a fragment's centre.
    """
    resolution = int(LEAST_RESOLUTION + density * MORE_RESOLUTION)
    corners = mesh.vertices[mesh.faces]
    normals, first_axis = _frames(corners)
    along = _dominant_axis(normals)
    plane = OTHER_AXES[along]
    low = mesh.vertices.min(axis=0)
    side = np.ptp(mesh.vertices, axis=0)[plane].max(axis=1)
    uv = (np.take_along_axis(corners, plane[:, None, :], axis=2) - low[plane][:, None, :]) / side[:, None, None]
    triangle, fragment_uv = _fragments(uv, resolution)
    if len(triangle) == 0:
        raise MeshError(f"expected triangles larger than a fragment ({resolution} across the part), got "
                        f"{len(mesh.faces)} smaller ones: convert the surface instead")
    J = _jacobians(normals, along, plane, side)
    means = corners[triangle, 0] + np.einsum("nkj,nk->nj", J[triangle], fragment_uv - uv[triangle, 0])
    sigma = np.linalg.norm(J, axis=2) * (scale / resolution)
    tangents = np.stack([first_axis, np.cross(normals, first_axis)], axis=1) * sigma[:, :, None]
    return Gaussians(means.astype(np.float32), tangents[triangle].astype(np.float32),
                     normals[triangle].astype(np.float32), np.full(len(triangle), MAX_OPACITY, dtype=np.float32))


def _frames(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(m, 3) unit normals and (m, 3) unit directions of the longest edges of (m, 3, 3) triangles."""
    edges = corners[:, [1, 2, 2]] - corners[:, [0, 0, 1]]
    longest = np.argmax(np.linalg.norm(edges, axis=2), axis=1)
    first = edges[np.arange(len(edges)), longest]
    normals = np.cross(edges[:, 0], edges[:, 1])
    unit_normals, unit_first = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (normals, first))
    return unit_normals, unit_first


def _dominant_axis(normals: FloatArray) -> NDArray[np.int64]:
    """The axis nearest to each normal; of equal ones the later."""
    x, y, z = np.abs(normals).T
    return np.where((x > y) & (x > z), 0, np.where(y > z, 1, 2))


def _jacobians(normals: FloatArray, along: NDArray[np.int64], plane: NDArray[np.int64], side: FloatArray,
               ) -> FloatArray:
    """(m, 2, 3) dP/du and dP/dv: a step in the plane, and along the third axis as far as the triangle rises."""
    m = np.arange(len(normals))
    J = np.zeros((len(normals), 2, 3))
    for k in range(2):
        J[m, k, plane[:, k]] = side
        J[m, k, along] = -side * normals[m, plane[:, k]] / normals[m, along]
    return J


def _fragments(uv: FloatArray, resolution: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Rasterise (m, 3, 2) triangles of the unit square: (n,) triangle and (n, 2) centre of each fragment."""
    nothing = np.empty(0, dtype=np.int64), np.empty((0, 2))
    count = _rasterise(uv, resolution, *nothing)
    triangle, centre = np.empty(count, dtype=np.int64), np.empty((count, 2))
    _rasterise(uv, resolution, triangle, centre)
    return triangle, centre


@njit(cache=True, nogil=True)
def _rasterise(uv: FloatArray, resolution: int, triangle: NDArray[np.int64], centre: FloatArray) -> int:
    """Return how many fragments there are, and write as many as the arrays hold."""
    n = 0
    for t in range(uv.shape[0]):
        a, b, c = uv[t, 0], uv[t, 1], uv[t, 2]
        if (b[0] - a[0]) * (c[1] - a[1]) < (b[1] - a[1]) * (c[0] - a[0]):
            b, c = c, b
        left, right = min(a[0], b[0], c[0]), max(a[0], b[0], c[0])
        low, high = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
        for row in range(max(0, int(low * resolution - 0.5)), min(resolution, int(high * resolution + 1.5))):
            v = (row + 0.5) / resolution
            for col in range(max(0, int(left * resolution - 0.5)), min(resolution, int(right * resolution + 1.5))):
                u = (col + 0.5) / resolution
                if _left_of(a, b, u, v) and _left_of(b, c, u, v) and _left_of(c, a, u, v):
                    if n < triangle.shape[0]:
                        triangle[n], centre[n, 0], centre[n, 1] = t, u, v
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _left_of(a: FloatArray, b: FloatArray, u: float, v: float) -> bool:
    """Which side of an edge: a point on it belongs to exactly one of the two triangles that share it."""
    if a[0] < b[0] or (a[0] == b[0] and a[1] < b[1]):
        return bool((b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0]) >= 0)
    return bool((a[0] - b[0]) * (v - b[1]) - (a[1] - b[1]) * (u - b[0]) < 0)
