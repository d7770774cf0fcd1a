"""Aligned image -> anomaly map, regions, score: the detector that needs no training."""

from __future__ import annotations

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import DetectionConfig
from ptad_core.detection.edge_displacement import displaced_edges
from ptad_core.detection.outline_deviation import outline_deviation
from ptad_core.detection.regions import Window, find_regions
from ptad_core.pose.query import crop_window, resample
from ptad_core.reference.build import Reference
from ptad_core.rendering import render
from ptad_core.segmentation.mask import box_of
from ptad_core.types import (
    AlignedPose,
    ColorImage,
    Detection,
    FloatImage,
    Reason,
    RegionKind,
    Segmentation,
)

WINDOW_PX = 384
"""Largest side of the window that is judged. Larger objects are scaled down: the splats cover it without gaps."""
MIN_RADIUS_PX = 0.4
"""Thinnest region, relative to ``min_tolerance_px``."""
THRESHOLD = 1.0
"""Scores are relative to the tolerance, so the limit is 1 until a calibration says otherwise."""


def detect(image_bgr: ColorImage, camera: Camera, segmentation: Segmentation, pose: AlignedPose,
           reference: Reference, config: DetectionConfig) -> Detection:
    """Judge a rectified (H, W, 3) image whose pose is trusted."""
    empty = np.zeros((camera.height, camera.width), dtype=np.float32)
    window = _window(camera, segmentation, pose, reference)
    if window is None or segmentation.box_px is None:
        return Detection(empty, 0.0, THRESHOLD, (), (Reason.OUT_OF_VIEW,), "the aligned part is not in the image")
    size = window.camera.width
    x, y = float(window.origin[0]), float(window.origin[1])
    rendered = window.rendering.mask >= 0.5
    seen = resample(segmentation.mask.astype(np.float32), x, y, window.scale, size) > 0.5
    inside_image = resample(np.ones((camera.height, camera.width), np.float32), x, y, window.scale, size) > 0.5
    # Judged at the window's resolution, which may be coarser than the image's.
    least_px = max(config.min_tolerance_px * window.scale, 1.5)
    deviation = outline_deviation(rendered, window.rendering.depth, seen, window.camera.fx, config.tolerance_mm,
                                  least_px, inside_image)
    coarsest_mm = float(deviation.tolerance_mm[rendered].max())
    if config.max_tolerance_mm and coarsest_mm > config.max_tolerance_mm:
        return Detection(empty, 0.0, THRESHOLD, (), (Reason.TOO_COARSE,),
                         f"the image can show deviations from {coarsest_mm:.1f} mm on, expected "
                         f"{config.max_tolerance_mm:g} mm: move the camera closer or raise max_tolerance_mm")
    limits = (config.min_area_mm2, config.min_area_px, MIN_RADIUS_PX * least_px)
    relative = np.zeros_like(deviation.missing)
    regions = []
    for kind, size_mm in ((RegionKind.MISSING, deviation.missing), (RegionKind.SURPLUS, deviation.surplus)):
        of_kind = size_mm / deviation.tolerance_mm
        regions += find_regions(of_kind, size_mm, kind, window, deviation.surface, *limits)
        relative = np.maximum(relative, of_kind)
    if config.edges:
        picture = _crop_colour(image_bgr, window)
        moved = displaced_edges(picture, window.rendering, seen, reference.diameter_m, config, least_px)
        regions += find_regions(moved.relative, moved.offset_px * (deviation.tolerance_mm / least_px),
                                RegionKind.DISPLACED, window, deviation.surface, 0.0, config.min_area_px, 0.0)
        relative = np.maximum(relative, moved.relative)
    regions.sort(key=lambda r: -r.score)
    score = regions[0].score if regions else 0.0
    return Detection(_to_image(relative, window, camera), score, THRESHOLD, tuple(regions))


def _window(camera: Camera, segmentation: Segmentation, pose: AlignedPose, reference: Reference) -> Window | None:
    """A square around what is seen and what is rendered, with the reference in it; None where that is nothing."""
    corners = reference.gaussians.means.astype(np.float64) @ pose.T_camera_part[:3, :3].T + pose.T_camera_part[:3, 3]
    if (corners[:, 2] <= 0).any():
        return None
    pixels = np.rint(camera.project(corners)).astype(np.int64)
    both = segmentation.mask.copy()
    low, high = pixels.min(0), pixels.max(0)
    both[max(low[1], 0):max(high[1] + 1, 0), max(low[0], 0):max(high[0] + 1, 0)] = True
    if not both.any():
        return None
    x, y, side = crop_window(box_of(both), margin=0.05)
    scale = min(1.0, WINDOW_PX / side)
    size = round(side * scale)
    view = camera.cropped(x, y, round(side), round(side)).scaled(scale, size, size)
    rendering = render(reference.gaussians, view, pose.T_camera_part)
    if not np.isfinite(rendering.depth).any():
        return None
    return Window(view, scale, np.array([x, y]), (camera.height, camera.width), rendering, pose.T_camera_part)


def _crop_colour(image_bgr: ColorImage, window: Window) -> ColorImage:
    x, y = window.origin
    channels = [resample(image_bgr[..., k].astype(np.float32), x, y, window.scale, window.camera.width)
                for k in range(3)]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def _to_image(relative: FloatImage, window: Window, camera: Camera) -> FloatImage:
    """Lay a (S, S) map back into the image; 0 outside the window."""
    s = window.scale
    to_window = np.array([[s, 0, (0.5 - window.origin[0]) * s - 0.5], [0, s, (0.5 - window.origin[1]) * s - 0.5]])
    return np.asarray(cv2.warpAffine(relative, to_window, (camera.width, camera.height),
                                     flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0), dtype=np.float32)
