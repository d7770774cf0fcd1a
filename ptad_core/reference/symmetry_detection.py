"""CAD mesh -> the rotations about its centre that nobody could tell from none, found by trying them.

Points of the surface are rotated and measured against the surface, which stands as many small disks: a sample of the
surface with the normal of its triangle. A disk answers for the surface between it and its neighbours, so that the
distance to it is that to the surface, not to the next sample.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.spatial import cKDTree

from ptad_core.errors import ConfigError
from ptad_core.frames import rotation_exp
from ptad_core.reference.mesh import PartMesh
from ptad_core.reference.surface import sample_surface
from ptad_core.reference.symmetry import AXES, CONTINUOUS_STEPS, parse_symmetry
from ptad_core.types import FloatArray

MAX_OFFSET = 0.005
"""Share of the diameter by which no rotated point may miss the surface: a larger feature breaks a symmetry."""
MAX_OFFSET_OF_MOST = 0.0025
"""The same for all but 2 % of the points: half, as a whole side that is off shows where a small feature would not."""
PRIME_POWERS = (16, 8, 4, 2, 9, 3, 5, 7, 11)
"""Orders to try; an axis that has several of them has their product (4 and 3: 12)."""
CONTINUOUS_DEG = (17.3, 77.7, 133.1)
"""Angles of no small order: what keeps its shape under all of them is round."""
MAX_GROUP = 2 * CONTINUOUS_STEPS
"""Rotations of the largest group that is worth declaring: a cylinder's."""
SAME_AXIS_DEG = 1.0
ACROSS = 1e-6
DISKS, SAMPLES, FIRST_SAMPLES, NEIGHBOURS = 150_000, 4_000, 300, 6
VERTEX_CELL = 0.0075
"""One vertex is tried in each cell of this share of the diameter: small features have few samples, but corners."""


def detect_symmetry(mesh: PartMesh) -> str:
    """Return the symmetries of a mesh as a declaration (see ``parse_symmetry``), '' where it has none.

    Tried are rotations about the centre of the bounding box, which is what a declaration means: about the axes of the
    CAD file and the principal axes of the surface, continuous ones first. Axes elsewhere, such as the diagonals of a
    tilted cube, have to be declared.

    A rotation counts if no point misses the surface by more than 0.5 % of the diameter. That is less than a feature
    of which an outline or an inner edge tells the two poses apart (one pixel where the part fills 200), and more than
    the facets of a cylinder of 32 or more sides (they lie 0.24 % of the width inside it), which nobody sees.
    A part that is round about several axes, as a ball is, gets the one axis and its flip: no finite group that could
    be searched comes near all its rotations, so its pose stays ambiguous.
    """
    surface, axes = _Surface(mesh), _candidate_axes(mesh)
    round_axis = next(filter(surface.is_round, axes), None)
    if round_axis is not None:
        # Beside a round axis only one flip across it adds to a finite group.
        flips = (axis for axis in axes if abs(axis @ round_axis) < ACROSS and surface.has_order(axis, 2))
        found = [(math.inf, round_axis), *((2.0, axis) for axis in itertools.islice(flips, 1))]
    else:
        found = sorted(((surface.order(axis), axis) for axis in axes), key=lambda item: -item[0])
    declaration, members = "", 1
    for order, axis in found:
        longer = f"{declaration}; axis={_axis_text(axis)} order={order:g}".strip("; ")
        try:
            group = len(parse_symmetry(longer, MAX_GROUP))
        except ConfigError:
            continue
        if group > members:
            declaration, members = longer, group
    return declaration


class _Surface:
    """The surface as disks in a tree, and the points that are rotated onto it; all about the centre, diameter 1."""

    def __init__(self, mesh: PartMesh) -> None:
        self._centre, self._diameter = mesh.center_m, mesh.diameter_m
        disks, self._normals, area_m2 = sample_surface(mesh, DISKS, seed=0)
        self._disks = self._scaled(disks)
        self._radius = math.sqrt(area_m2 / DISKS) / self._diameter
        self._tree = cKDTree(self._disks, compact_nodes=False, balanced_tree=False)
        vertices = self._scaled(mesh.vertices)
        cells = np.floor(vertices / VERTEX_CELL).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
        corners = vertices[np.unique(cells, return_index=True)[1]]
        points = np.concatenate([self._disks[::DISKS // SAMPLES], corners])
        self._points = points[np.random.default_rng(2).permutation(len(points))]

    def keeps(self, R: FloatArray) -> bool:
        """Tell whether a (3, 3) rotation about the centre changes nothing; most are told by the first few points."""
        return self._misses_little(self._points[:FIRST_SAMPLES] @ R.T) and self._misses_little(self._points @ R.T)

    def is_round(self, axis: FloatArray) -> bool:
        """Tell whether any rotation about a (3,) unit axis changes nothing."""
        return all(self.keeps(rotation_exp(axis * math.radians(angle))) for angle in CONTINUOUS_DEG)

    def has_order(self, axis: FloatArray, order: int) -> bool:
        """Tell whether every multiple of a part of a turn changes nothing; an 11th nearly is one for twelve sides."""
        return all(self.keeps(rotation_exp(axis * (2 * np.pi * k / order))) for k in range(1, order // 2 + 1))

    def order(self, axis: FloatArray) -> float:
        """Return how many rotations about a (3,) unit axis change nothing: 1 is none but the identity."""
        orders = [power for power in PRIME_POWERS if self.has_order(axis, power)]
        together = math.lcm(*orders)
        return together if together <= CONTINUOUS_STEPS else max(orders)

    def _misses_little(self, points: FloatArray) -> bool:
        near = self._tree.query(points, k=NEIGHBOURS)[1]
        offset = points[:, None] - self._disks[near]
        along = np.einsum("pki,pki->pk", offset, self._normals[near])
        beside_sq = np.maximum(np.einsum("pki,pki->pk", offset, offset) - along ** 2, 0.0)
        beside = np.maximum(np.sqrt(beside_sq) - self._radius, 0.0)
        miss = np.sqrt(np.min(along ** 2 + beside ** 2, axis=1))
        return bool(miss.max() < MAX_OFFSET and np.percentile(miss, 98) < MAX_OFFSET_OF_MOST)

    def _scaled(self, points_m: FloatArray) -> FloatArray:
        return np.asarray((points_m - self._centre) / self._diameter, dtype=np.float64)


def _candidate_axes(mesh: PartMesh) -> list[FloatArray]:
    """The CAD file's axes, and the principal axes of the surface where they are others."""
    axes = [np.array(AXES[name]) for name in "zxy"]
    a, b, c = (mesh.vertices[mesh.faces[:, k]] - mesh.center_m for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    areas /= areas.sum()
    total = a + b + c
    mean = areas @ total / 3
    second = sum((areas[:, None] * p).T @ p for p in (a, b, c, total)) / 12  # of a triangle's area, exactly
    for principal in np.linalg.eigh(second - np.outer(mean, mean))[1].T:
        across = np.where(np.abs(principal) < math.sin(math.radians(SAME_AXIS_DEG)), 0.0, principal)
        axis = across / np.linalg.norm(across)
        if all(abs(axis @ other) < math.cos(math.radians(SAME_AXIS_DEG)) for other in axes):
            axes.append(axis)
    return axes


def _axis_text(axis: FloatArray) -> str:
    for name, known in AXES.items():
        if np.array_equal(axis, known):
            return name
    return ",".join(f"{v:.10g}" for v in axis)
