"""Where cameras stand."""

from __future__ import annotations

import numpy as np

from ptad_core.camera import Camera
from ptad_core.frames import invert, make_transform
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.types import FloatArray


def looking_at(eye: FloatArray, target: FloatArray) -> FloatArray:
    """Return T_camera_cell of an upright camera (x right, y down, z forward) at ``eye`` that looks at ``target``."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return invert(make_transform(np.stack([right, np.cross(forward, right), forward], axis=1), eye))


def around(target: FloatArray, distance_m: float, azimuth: float, elevation: float) -> FloatArray:
    """Return T_camera_cell of a camera at a distance from its target; angles in radians, elevation from the table."""
    flat = np.cos(elevation)
    offset = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    return looking_at(target + distance_m * offset, target)


def rolled(T_camera_cell: FloatArray, angle: float) -> FloatArray:
    """Turn a camera about its optical axis; the picture turns clockwise by the angle, in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return make_transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.zeros(3)) @ T_camera_cell


def turned_aside(T_camera_cell: FloatArray, degrees: float) -> FloatArray:
    """Turn a camera about its own vertical axis, to the right."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return make_transform(np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]), np.zeros(3)) @ T_camera_cell


def share_outside(renderer: ExactRenderer, camera: Camera, T_camera_part: FloatArray) -> float:
    """Return the share 0..1 of a part's silhouette that the borders of the image cut off."""
    w, h = camera.width, camera.height
    wide = renderer.mask(camera.cropped(-w, -h, 3 * w, 3 * h), T_camera_part)
    return 1.0 - float(wide[h:2 * h, w:2 * w].sum() / max(wide.sum(), 1.0))


def aside_for_share(renderer: ExactRenderer, camera: Camera, T_camera_cell: FloatArray, T_cell_part: FloatArray,
                    share: float) -> float:
    """Return by how many degrees to turn the camera aside so that ``share`` of the silhouette is cut off."""
    low, high = 0.0, 60.0
    for _ in range(12):
        middle = 0.5 * (low + high)
        outside = share_outside(renderer, camera, turned_aside(T_camera_cell, middle) @ T_cell_part)
        low, high = (middle, high) if outside < share else (low, middle)
    return 0.5 * (low + high)
