"""Deviation maps -> regions: in the image, and on the part in 3D."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.filters import distance_to
from ptad_core.frames import invert, transform_points
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, FloatImage, MaskImage, RegionKind

GROW = 0.5
"""A region reaches out to where the deviation is this share of its limit."""


def find_regions(relative: FloatImage, size_mm: FloatImage, kind: RegionKind, view: View,
                 surface: NDArray[np.int64], min_area_mm2: float, min_area_px: int, min_radius_px: float,
                 ) -> list[AnomalyRegion]:
    """Return the regions of one kind, unsorted.

    Args:
        relative: (H, W) deviation relative to its limit; 1 is the limit.
        size_mm: (H, W) the same in millimetres.
        kind: what the regions are.
        view: where this is, with the reference in it.
        surface: (H, W) flat index of the rendered pixel that stands for each pixel in 3D.
        min_area_mm2: regions of less area, seen square on, are dropped.
        min_area_px: regions of fewer image pixels are dropped.
        min_radius_px: regions that hold no disk of this radius are dropped (hair-thin slivers along an outline).
    """
    if not (relative > 1.0).any():
        return []
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
        region = region_of(inside, relative, size_mm, kind, view, surface)
        pixel_mm2 = (np.nanmean(view.rendering.depth.reshape(-1)[surface[inside]]) * 1000 / view.camera.fx) ** 2
        if region.area_px >= min_area_px and inside.sum() * pixel_mm2 >= min_area_mm2:
            found.append(region)
    return found


def region_of(inside: MaskImage, relative: FloatImage, size_mm: FloatImage, kind: RegionKind, view: View,
              surface: NDArray[np.int64]) -> AnomalyRegion:
    """Return the region that consists of the pixels ``inside`` (H, W); the rest as in :func:`find_regions`."""
    rows, cols = np.nonzero(inside)
    camera = view.camera
    at = surface[inside]
    depth = view.rendering.depth.reshape(-1)[at].astype(np.float64)
    normals = view.rendering.normals.reshape(-1, 3)[at].astype(np.float64)
    points = np.column_stack([(cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(len(rows))])
    T_part_camera = invert(view.T_camera_part)
    on_part = transform_points(T_part_camera, points * depth[:, None])
    normal = T_part_camera[:3, :3] @ np.nan_to_num(normals).sum(0)
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        normal = T_part_camera[:3, 2] * -1
        length = 1.0
    return AnomalyRegion(
        box_px=view.window.box_in_image(rows, cols), kind=kind, score=float(relative[inside].max()),
        size_mm=float(size_mm[inside].max()), area_px=round(float(inside.sum()) / view.window.scale**2),
        centroid_part_m=on_part.mean(0), extent_part_m=np.ptp(on_part, axis=0), normal_part=normal / length)
