"""Candidate views: what the reference's outline looks like from all around, as points on the part.

For each direction of view the Gaussians are rendered once, and points on the outline are lifted to the surface by
the rendered depth. The search compares the 2D outlines, and the contour fit moves the 3D points: neither renders
anything while a query is being solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.frames import make_transform
from ptad_core.gaussians import Gaussians
from ptad_core.outline import find_outline
from ptad_core.rendering.splat import render
from ptad_core.types import FloatArray

POINTS = 192
SIZE_PX = 160
DISTANCE_IN_DIAMETERS = 3.0


@dataclass(frozen=True, slots=True)
class Views:
    """V candidate views of a part, ``n`` outline points each (``POINTS``; short outlines repeat points).

    Attributes:
        directions: (V, 3) unit vectors from the part's centre to the camera, part frame.
        R_camera_part: (V, 3, 3) rotation of the part as seen in the view.
        outlines: (V, n, 2) outline in the image plane, seen from the distance, in part diameters, centred on the
            ray to the part's centre.
        points: (V, n, 3) the same points on the part's surface, relative to its centre, metres, part frame.
        normals: (V, n, 3) unit outward normals of the outline in the view's image plane, part frame.
        reach_m: (V,) how far to either side the outline goes on where a point stands for it: half its length over n.
    """

    directions: FloatArray
    R_camera_part: FloatArray
    outlines: FloatArray
    points: FloatArray
    normals: FloatArray
    reach_m: FloatArray


def sphere_directions(count: int) -> FloatArray:
    """Return (count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    azimuth = np.pi * (1 + np.sqrt(5)) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(azimuth), r * np.sin(azimuth), z], axis=1)


def ring_directions(count: int = 20, elevation_deg: float = 20.0, up: int = 2) -> FloatArray:
    """Return the (count, 3) directions of the paper's ring: evenly spaced azimuths at one elevation."""
    azimuth = 2 * np.pi * np.arange(count) / count
    e = np.radians(elevation_deg)
    ring = np.stack([np.cos(e) * np.cos(azimuth), np.cos(e) * np.sin(azimuth), np.full(count, np.sin(e))], axis=1)
    return np.roll(ring, up - 2, axis=1)


def look_at(direction: FloatArray) -> FloatArray:
    """Return the (3, 3) R_camera_part of a camera that looks from ``direction`` at the part, part-z up where it can."""
    forward = -direction / np.linalg.norm(direction)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def render_views(gaussians: Gaussians, center_m: FloatArray, diameter_m: float, directions: FloatArray) -> Views:
    """Render the part from each of (V, 3) directions and keep its outline."""
    distance = DISTANCE_IN_DIAMETERS * diameter_m
    focal = SIZE_PX * DISTANCE_IN_DIAMETERS * 0.9
    middle = (SIZE_PX - 1) / 2
    camera = Camera(focal, focal, middle, middle, SIZE_PX, SIZE_PX)
    rotations = np.stack([look_at(d) for d in directions])
    count = len(directions)
    reach = np.zeros(count)
    outlines, points, normals = (np.zeros((count, POINTS, k)) for k in (2, 3, 3))
    for k, R in enumerate(rotations):
        T = make_transform(R, np.array([0.0, 0.0, distance]) - R @ center_m)
        picture = render(gaussians, camera, T)
        outline = find_outline(picture.mask)
        if len(outline) == 0:
            continue
        few = outline.thinned(POINTS)
        reach[k] = outline.length_px / (2 * len(few)) * distance / focal
        again = np.arange(POINTS) % len(few)
        pixels, out = few.points[again], few.normals[again]
        rays = np.column_stack([(pixels - middle) / focal, np.ones(POINTS)])
        depth = _depth_inside(picture.depth, pixels, out, distance)
        outlines[k] = rays[:, :2] * DISTANCE_IN_DIAMETERS
        points[k] = (rays * depth[:, None] - [0.0, 0.0, distance]) @ R
        normals[k] = np.column_stack([out, np.zeros(POINTS)]) @ R
    # Rounded as the cache stores them, so that a first run and a later one see the same numbers.
    fields = (directions, rotations, outlines, points, normals, reach)
    rounded = (a.astype(np.float32).astype(np.float64) for a in fields)
    return Views(*rounded)


def _depth_inside(depth: NDArray[np.float32], pixels: FloatArray, out: FloatArray, fallback: float) -> FloatArray:
    """Depth of the surface just inside each outline point: the outermost pixel on the way in that has one."""
    found = np.full(len(pixels), np.nan)
    for step in (0.0, 0.7, 1.4, 2.1):
        x, y = np.rint(pixels - step * out).astype(np.int64).clip(0, SIZE_PX - 1).T
        found = np.where(np.isnan(found), depth[y, x], found)
    return np.where(np.isnan(found), fallback, found)
