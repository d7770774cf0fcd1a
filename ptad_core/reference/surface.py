"""Mesh -> Gaussians, ours: one flat Gaussian per cell of a centroidal tessellation of the surface.

mesh2splat lays Gaussians on a fixed raster per triangle: small triangles fall between its samples (holes), disks
overhang edges (a silhouette that is too fat). Here the surface itself is tessellated, whatever its triangles are:

1. spread samples evenly over the area (stratified along the cumulated area, a lattice within triangles);
2. cluster them into about N cells of equal size, in position and normal, so that cells do not reach around creases
   or through thin walls (Lloyd's iterations);
3. give each cell the Gaussian with the cell's own first and second moments, widened by ``WIDENING``.

A cell at an edge ends at the edge, and so does its Gaussian: the 0.5 level of the rendered mask lies within about
0.1 px of the outline, and poses are fitted to the level that lies on it (``rendering.splat.SILHOUETTE``).
``benchmarks/silhouette_bias.py`` measures that against an exact rasteriser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ptad_core.gaussians import MAX_OPACITY, Gaussians
from ptad_core.reference.mesh import PartMesh
from ptad_core.types import FloatArray

SAMPLES_PER_CELL = 24
LLOYD_ITERATIONS = 4
NORMAL_WEIGHT = 1.5
"""Weight of a unit change of the normal against one cell width."""
PLASTIC = 1.324717957244746
"""Root of x³ = x + 1: its powers step through the unit square evenly (the R2 sequence)."""
WIDENING = 1.3
"""Standard deviation of a Gaussian over that of its cell (0.29 of the width): closes the gaps between neighbours."""


def gaussians_from_surface(mesh: PartMesh, count: int, seed: int = 0) -> Gaussians:
    """Return about ``count`` Gaussians that cover the surface of a mesh evenly."""
    points, normals, area = sample_surface(mesh, count * SAMPLES_PER_CELL, seed)
    width = float(np.sqrt(area / count))
    features = np.concatenate([points, normals * (NORMAL_WEIGHT * width)], axis=1)
    centres = features[np.random.default_rng(seed).permutation(len(features))[:count]]
    for _ in range(LLOYD_ITERATIONS):
        cell = np.asarray(cKDTree(centres).query(features)[1], dtype=np.int64)
        centres = _mean_per_cell(features, cell, len(centres))
    cell = np.asarray(cKDTree(centres).query(features)[1], dtype=np.int64)
    return _moment_match(points, normals, cell, width)


def sample_surface(mesh: PartMesh, count: int, seed: int) -> tuple[FloatArray, FloatArray, float]:
    """Return (n, 3) points spread evenly over the surface, their (n, 3) unit normals, and the area in m²."""
    rng = np.random.default_rng(seed)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    areas = 0.5 * np.linalg.norm(cross, axis=1)
    cumulated = np.cumsum(areas)
    total = float(cumulated[-1])
    where = (np.arange(count) + rng.random(count)) * (total / count)
    face = np.minimum(np.searchsorted(cumulated, where, side="right"), len(areas) - 1)
    # Random points would clump on large triangles, and the cells between the clumps would be holes.
    u, v = (np.outer(1 / PLASTIC ** np.array([1, 2]), np.arange(count)) + rng.random((2, 1))) % 1
    u, v = (np.where(u + v > 1, 1 - w, w)[:, None] for w in (u, v))
    points = (1 - u - v) * a[face] + u * b[face] + v * c[face]
    return points, cross[face] / (2 * areas[face])[:, None], total


def _mean_per_cell(values: FloatArray, cell: NDArray[np.int64], cells: int) -> FloatArray:
    """Mean of (n, k) values over each cell; empty cells are dropped."""
    counts = np.bincount(cell, minlength=cells)
    sums = np.stack([np.bincount(cell, values[:, k], cells) for k in range(values.shape[1])], axis=1)
    return np.asarray(sums[counts > 0] / counts[counts > 0, None], dtype=np.float64)


def _moment_match(points: FloatArray, normals: FloatArray, cell: NDArray[np.int64], width: float) -> Gaussians:
    """One Gaussian per cell, from the first and second moments of its samples in the tangent plane."""
    cell = np.asarray(np.unique(cell, return_inverse=True)[1], dtype=np.int64)
    cells = int(cell.max()) + 1
    mean = _mean_per_cell(points, cell, cells)
    normal = _mean_per_cell(normals, cell, cells)
    counts = np.bincount(cell, minlength=cells)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    first = np.zeros(cells, dtype=np.int64)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    normal = np.where(length > 0.1, normal / np.maximum(length, 1e-9), normals[first])
    offset = points - mean[cell]
    outer = np.einsum("ni,nj->nij", offset, offset).reshape(-1, 9)
    sums = np.stack([np.bincount(cell, outer[:, k], cells) for k in range(9)], axis=1).reshape(-1, 3, 3)
    cov = sums / np.maximum(counts, 1)[:, None, None]
    # Project onto the tangent plane, so that the disks are flat whatever the curvature.
    P = np.eye(3) - np.einsum("ni,nj->nij", normal, normal)
    values, vectors = np.linalg.eigh(P @ cov @ P)
    # A cell of few samples underestimates its spread; a floor keeps every disk visible.
    sigma = WIDENING * np.sqrt(np.maximum(values[:, 1:], (0.05 * width) ** 2))
    tangents = vectors[:, :, 1:].transpose(0, 2, 1) * sigma[:, :, None]
    return Gaussians(mean.astype(np.float32), tangents.astype(np.float32), normal.astype(np.float32),
                     np.full(cells, MAX_OPACITY, dtype=np.float32))
