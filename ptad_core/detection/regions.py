"""Deviation maps -> regions: in the image, and on the part in 3D."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.filters import distance_to
from ptad_core.frames import invert, transform_points
from ptad_core.types import AnomalyRegion, Box, FloatArray, FloatImage, MaskImage, RegionKind, Rendering

GROW = 0.5
"""A region reaches out to where the deviation is this share of its limit."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the image that the detector works in.

    Attributes:
        camera: of the window.
        scale: window pixels per image pixel.
        origin: (2,) image position of the window's corner, pixels.
        image_shape: (height, width) of the image.
        rendering: the reference in this window.
        T_camera_part: the aligned pose.
    """

    camera: Camera
    scale: float
    origin: FloatArray
    image_shape: tuple[int, int]
    rendering: Rendering
    T_camera_part: FloatArray


def find_regions(relative: FloatImage, size_mm: FloatImage, kind: RegionKind, window: Window,
                 surface: NDArray[np.int64], min_area_mm2: float, min_area_px: int, min_radius_px: float,
                 ) -> list[AnomalyRegion]:
    """Return the regions of one kind, unsorted.

    Args:
        relative: (H, W) deviation relative to its limit; 1 is the limit.
        size_mm: (H, W) the same in millimetres.
        kind: what the regions are.
        window: where this is.
        surface: (H, W) flat index of the rendered pixel that stands for each pixel in 3D.
        min_area_mm2: regions of less area, seen square on, are dropped.
        min_area_px: regions of fewer image pixels are dropped.
        min_radius_px: regions that hold no disk of this radius are dropped (hair-thin slivers along an outline).
    """
    grown = (relative > GROW).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    thickness = distance_to(grown == 0)
    found = []
    for label in range(1, count):
        x, y, w, h, _ = stats[label]
        inside = np.zeros(labels.shape, dtype=bool)
        inside[y:y + h, x:x + w] = labels[y:y + h, x:x + w] == label
        if relative[inside].max() <= 1.0 or thickness[inside].max() < min_radius_px:
            continue
        region = _region(inside, relative, size_mm, kind, window, surface)
        pixel_mm2 = (np.nanmean(window.rendering.depth.reshape(-1)[surface[inside]]) * 1000 / window.camera.fx) ** 2
        if region.area_px >= min_area_px and inside.sum() * pixel_mm2 >= min_area_mm2:
            found.append(region)
    return found


def _region(inside: MaskImage, relative: FloatImage, size_mm: FloatImage, kind: RegionKind, window: Window,
            surface: NDArray[np.int64]) -> AnomalyRegion:
    rows, cols = np.nonzero(inside)
    camera = window.camera
    at = surface[inside]
    depth = window.rendering.depth.reshape(-1)[at].astype(np.float64)
    normals = window.rendering.normals.reshape(-1, 3)[at].astype(np.float64)
    points = np.column_stack([(cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(len(rows))])
    T_part_camera = invert(window.T_camera_part)
    on_part = transform_points(T_part_camera, points * depth[:, None])
    normal = T_part_camera[:3, :3] @ np.nan_to_num(normals).sum(0)
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        normal = T_part_camera[:3, 2] * -1
        length = 1.0
    return AnomalyRegion(
        box_px=_image_box(rows, cols, window), kind=kind, score=float(relative[inside].max()),
        size_mm=float(size_mm[inside].max()), area_px=round(float(inside.sum()) / window.scale**2),
        centroid_part_m=on_part.mean(0), extent_part_m=np.ptp(on_part, axis=0), normal_part=normal / length)


def _image_box(rows: NDArray[np.int64], cols: NDArray[np.int64], window: Window) -> Box:
    """The box in pixels of the original image, clipped to it."""
    height, width = window.image_shape
    x0 = int(np.clip(np.floor(window.origin[0] + cols.min() / window.scale), 0, width - 1))
    y0 = int(np.clip(np.floor(window.origin[1] + rows.min() / window.scale), 0, height - 1))
    x1 = int(np.clip(np.ceil(window.origin[0] + (cols.max() + 1) / window.scale), x0 + 1, width))
    y1 = int(np.clip(np.ceil(window.origin[1] + (rows.max() + 1) / window.scale), y0 + 1, height))
    return Box(x0, y0, x1 - x0, y1 - y0)
