"""Closed solids to build assemblies from: prisms with holes, turned bodies, swept pipes.

They stand on z = 0 about the z axis and have the unit of their arguments; the families build in millimetres and scale
once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ptad_core.frames import make_transform, transform_points
from ptad_core.synthesis.triangulate import signed_area, triangulate
from ptad_core.types import FloatArray

SEGMENTS = 48
"""Sides of a full circle."""


@dataclass(frozen=True, slots=True)
class Solid:
    """A closed triangle mesh: (n, 3) vertices, (m, 3) faces that are counter-clockwise from outside."""

    vertices: FloatArray
    faces: NDArray[np.int64]

    @property
    def volume(self) -> float:
        """Enclosed volume; negative where the faces look inwards."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)

    @property
    def centre(self) -> FloatArray:
        """(3,) centre of the bounding box."""
        return np.asarray(0.5 * (self.vertices.min(axis=0) + self.vertices.max(axis=0)))

    @property
    def extent(self) -> FloatArray:
        """(3,) size of the bounding box."""
        return np.asarray(np.ptp(self.vertices, axis=0))

    def transformed(self, T: FloatArray) -> Solid:
        """Return the solid moved by a (4, 4) rigid transform."""
        return Solid(transform_points(T, self.vertices), self.faces)

    def at(self, x: float, y: float, z: float) -> Solid:
        """Return the solid shifted."""
        return Solid(self.vertices + np.array([x, y, z]), self.faces)

    def turned(self, axis: str, degrees: float) -> Solid:
        """Return the solid turned about one of the coordinate axes through the origin."""
        R = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
        return self.transformed(make_transform(R, np.zeros(3)))

    def lying(self) -> Solid:
        """Return the solid with its height along x: what was drawn in x and y stands upright in y and z."""
        return Solid(self.vertices[:, [2, 0, 1]], self.faces)

    def scaled(self, factor: FloatArray | float) -> Solid:
        """Return the solid scaled by a positive factor, or by (3,) factors, about the origin."""
        return Solid(self.vertices * factor, self.faces)


def union(*solids: Solid) -> Solid:
    """Put solids into one mesh; where they overlap the inner walls stay, which no ray from outside can see."""
    offsets = np.cumsum([0, *(len(s.vertices) for s in solids)])
    return Solid(np.concatenate([s.vertices for s in solids]),
                 np.concatenate([s.faces + offset for s, offset in zip(solids, offsets, strict=False)]))


def circle(radius: float, x: float = 0.0, y: float = 0.0, segments: int = SEGMENTS) -> FloatArray:
    """Return the (n, 2) outline of a circle."""
    angle = 2 * np.pi * np.arange(segments) / segments
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def rectangle(width: float, depth: float, corner: float = 0.0, x: float = 0.0, y: float = 0.0) -> FloatArray:
    """Return the outline of a rectangle about (x, y), with corners rounded to a radius."""
    if corner <= 0:
        half = np.array([width, depth]) / 2
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + [x, y]
    arc = np.linspace(0, np.pi / 2, 7)
    quarters = []
    for k, (sx, sy) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        angle = arc + k * np.pi / 2
        middle = [sx * (width / 2 - corner) + x, sy * (depth / 2 - corner) + y]
        quarters.append(np.stack([np.cos(angle), np.sin(angle)], axis=1) * corner + middle)
    return np.concatenate(quarters)


def gear_outline(teeth: int, root: float, tip: float) -> FloatArray:
    """Return the outline of a spur gear with straight flanks."""
    pitch = 2 * np.pi / teeth
    angle = (pitch * (np.arange(teeth)[:, None] + np.array([0.0, 0.3, 0.45, 0.85]))).ravel()
    radius = np.tile([root, root, tip, tip], teeth)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def prism(outline: FloatArray, height: float, holes: Sequence[FloatArray] = (), bevel: float = 0.0) -> Solid:
    """Raise an (n, 2) outline with holes from z = 0 to ``height``; its rims may be bevelled at 45 degrees."""
    rings = [_directed(outline, True), *(_directed(hole, False) for hole in holes)]
    inset = [_inset(ring, bevel) for ring in rings] if bevel > 0 else rings
    caps = triangulate(inset[0], inset[1:])
    flat, inner = np.concatenate(rings), np.concatenate(inset)
    n = len(flat)
    layers = [(inner, 0.0), (flat, bevel), (flat, height - bevel), (inner, height)] if bevel > 0 else [
        (flat, 0.0), (flat, height)]
    vertices = np.concatenate([np.column_stack([xy, np.full(n, z)]) for xy, z in layers])
    here = np.arange(n)
    after = np.concatenate([start + np.roll(np.arange(len(r)), -1) for start, r in
                            zip(np.cumsum([0, *(len(r) for r in rings)]), rings, strict=False)])
    walls = [_quads(here + k * n, after + k * n, after + (k + 1) * n, here + (k + 1) * n)
             for k in range(len(layers) - 1)]
    return Solid(vertices, np.concatenate([caps[:, ::-1], *walls, caps + (len(layers) - 1) * n]))


def box(x: float, y: float, z: float, corner: float = 0.0, bevel: float = 0.0) -> Solid:
    """Return a block, its upright edges rounded and its rims bevelled."""
    return prism(rectangle(x, y, corner), z, bevel=bevel)


def lathe(profile: Sequence[tuple[float, float]], segments: int = SEGMENTS) -> Solid:
    """Turn a profile of (radius, z) about z, travelled from below outside to above.

    Where both ends lie on the axis (radius 0) the body is full, otherwise the profile is closed to a ring.
    """
    r, z = np.array(profile, dtype=np.float64).T
    angle = 2 * np.pi * np.arange(segments) / segments
    full = r[0] == 0 and r[-1] == 0
    rings = np.arange(1, len(r) - 1) if full else np.arange(len(r))
    vertices = np.stack([np.outer(r[rings], np.cos(angle)), np.outer(r[rings], np.sin(angle)),
                         np.repeat(z[rings, None], segments, axis=1)], axis=-1).reshape(-1, 3)
    here, after = np.arange(segments), np.roll(np.arange(segments), -1)
    last = len(rings) if not full else len(rings) - 1
    faces = [_quads(here + k * segments, after + k * segments, after + (k + 1) % len(rings) * segments,
                    here + (k + 1) % len(rings) * segments) for k in range(last)]
    if full:
        bottom, top = len(vertices), len(vertices) + 1
        vertices = np.vstack([vertices, [0, 0, z[0]], [0, 0, z[-1]]])
        end = (len(rings) - 1) * segments
        faces.append(np.stack([np.full(segments, bottom), after, here], axis=1))
        faces.append(np.stack([np.full(segments, top), here + end, after + end], axis=1))
    return Solid(vertices, np.concatenate(faces))


def cylinder(radius: float, height: float, bevel: float = 0.0, segments: int = SEGMENTS) -> Solid:
    """Return an upright cylinder."""
    if bevel <= 0:
        return lathe([(0, 0), (radius, 0), (radius, height), (0, height)], segments)
    return lathe([(0, 0), (radius - bevel, 0), (radius, bevel), (radius, height - bevel), (radius - bevel, height),
                  (0, height)], segments)


def tube(outer: float, inner: float, height: float, segments: int = SEGMENTS) -> Solid:
    """Return an upright tube."""
    return lathe([(inner, 0), (outer, 0), (outer, height), (inner, height)], segments)


def ball(radius: float, segments: int = SEGMENTS) -> Solid:
    """Return a sphere standing on z = 0."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    profile = list(zip(radius * np.cos(angle), radius * (1 + np.sin(angle)), strict=True))
    return lathe([(0.0, 0.0), *profile[1:-1], (0.0, 2 * radius)], segments)


def sweep(path: FloatArray, radius: float, segments: int = 20) -> Solid:
    """Return a round bar along a (k, 3) path, its section carried along without twist."""
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], np.eye(3)[np.argmin(np.abs(tangents[0]))])
    angle = 2 * np.pi * np.arange(segments) / segments
    rings = []
    for point, tangent in zip(path, tangents, strict=True):
        side = side - (side @ tangent) * tangent
        side /= np.linalg.norm(side)
        up = np.cross(tangent, side)
        rings.append(point + radius * (np.outer(np.cos(angle), side) + np.outer(np.sin(angle), up)))
    here, after = np.arange(segments), np.roll(np.arange(segments), -1)
    faces = [_quads(here + k * segments, after + k * segments, after + (k + 1) * segments, here + (k + 1) * segments)
             for k in range(len(path) - 1)]
    cap = triangulate(circle(1.0, segments=segments))
    return Solid(np.concatenate(rings), np.concatenate([cap[:, ::-1], *faces, cap + (len(path) - 1) * segments]))


def loft(sections: FloatArray) -> Solid:
    """Return the closed body through (k, n, 3) convex sections, each of n points around it in the same sense."""
    sections = np.asarray(sections, dtype=np.float64)
    many, around = sections.shape[:2]
    here, after = np.arange(around), np.roll(np.arange(around), -1)
    faces = [_quads(here + k * around, after + k * around, after + (k + 1) * around, here + (k + 1) * around)
             for k in range(many - 1)]
    cap = triangulate(circle(1.0, segments=around))
    solid = Solid(sections.reshape(-1, 3), np.concatenate([cap[:, ::-1], *faces, cap + (many - 1) * around]))
    return solid if solid.volume > 0 else Solid(solid.vertices, solid.faces[:, ::-1])


def ovals(stations: FloatArray, power: float = 2.0, segments: int = 28) -> Solid:
    """Return a body along x through ovals, one per row: x, centre y and z, half width, half height.

    ``power`` 2 makes ellipses, more makes them squarer.
    """
    angle = 2 * np.pi * (np.arange(segments) + 0.5) / segments
    c, s = np.cos(angle), np.sin(angle)
    across, up = (np.sign(t) * np.abs(t) ** (2 / power) for t in (c, s))
    x, y, z, wide, high = np.asarray(stations, dtype=np.float64).T[..., None]
    return loft(np.stack([np.broadcast_to(x, (len(x), segments)), y + wide * across, z + high * up], axis=-1))


def helix(radius: float, pitch: float, turns: float, bar: float) -> Solid:
    """Return a spring of a round bar, its axis along z."""
    t = np.linspace(0, 2 * np.pi * turns, max(int(18 * turns), 8))
    return sweep(np.stack([radius * np.cos(t), radius * np.sin(t), pitch * t / (2 * np.pi)], axis=1), bar, 10)


def rounded_path(corners: FloatArray, radius: float, steps: int = 8) -> FloatArray:
    """Return a (k, 3) path through (n, 3) corners, each corner replaced by an arc-like curve of about ``radius``."""
    path = [corners[:1]]
    t = np.linspace(0, 1, steps)[:, None]
    for before, corner, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        start = corner + (before - corner) / np.linalg.norm(before - corner) * radius
        end = corner + (after - corner) / np.linalg.norm(after - corner) * radius
        path.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t ** 2 * end)
    return np.concatenate([*path, corners[-1:]])


def _quads(a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64], d: NDArray[np.int64],
           ) -> NDArray[np.int64]:
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _directed(outline: FloatArray, counter_clockwise: bool) -> FloatArray:
    return np.asarray(outline if (signed_area(outline) > 0) == counter_clockwise else outline[::-1], dtype=np.float64)


def _inset(ring: FloatArray, distance: float) -> FloatArray:
    """Move a ring into the material (to its left) by a distance, mitred at the corners."""
    ahead = np.roll(ring, -1, axis=0) - ring
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    behind = np.roll(ahead, 1, axis=0)
    left = np.stack([-ahead[:, 1] - behind[:, 1], ahead[:, 0] + behind[:, 0]], axis=1)
    return np.asarray(ring + distance * 2 * left / np.maximum((left ** 2).sum(axis=1, keepdims=True), 0.5))
