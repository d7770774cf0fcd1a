"""Aligned image -> anomaly map, regions, score: the detector that needs no training."""

from __future__ import annotations

import numpy as np

from ptad_core.config import DetectionConfig
from ptad_core.detection.edge_displacement import displaced_edges
from ptad_core.detection.outline_deviation import outline_deviation
from ptad_core.detection.regions import find_regions
from ptad_core.rendering.view import View
from ptad_core.types import ColorImage, Detection, Reason, RegionKind, Segmentation

MIN_RADIUS_PX = 0.4
"""Thinnest region, relative to ``min_tolerance_px``."""
LEAST_TOLERANCE_PX = 1.5
"""Nothing is judged finer than this in the window, which may be coarser than the image."""
THRESHOLD = 1.0
"""Scores are relative to the tolerance, so the limit is 1 until a calibration says otherwise."""


def detect(image_bgr: ColorImage, segmentation: Segmentation, view: View | None, diameter_m: float,
           config: DetectionConfig) -> Detection:
    """Judge a rectified (H, W, 3) image whose pose is trusted.

    Args:
        image_bgr: the image.
        segmentation: the object's mask in it.
        view: the reference at the aligned pose; None where it is out of view.
        diameter_m: of the part.
        config: what counts as a defect.
    """
    height, width = segmentation.mask.shape
    if view is None:
        return Detection(np.zeros((height, width), np.float32), 0.0, THRESHOLD, (), (Reason.OUT_OF_VIEW,),
                         "the aligned part is not in the image")
    window, rendering = view.window, view.rendering
    seen = window.crop(segmentation.mask.astype(np.float32)) > 0.5
    least_px = max(config.min_tolerance_px * window.scale, LEAST_TOLERANCE_PX)
    deviation = outline_deviation(rendering.mask >= 0.5, rendering.depth, seen, view.camera.fx, window.inside_image())
    coarsest_mm = least_px * float(deviation.mm_per_px[rendering.mask >= 0.5].max())
    if coarsest_mm > config.tolerance_mm:
        return Detection(np.zeros((height, width), np.float32), 0.0, THRESHOLD, (), (Reason.TOO_COARSE,),
                         f"the image shows deviations from {coarsest_mm:.1f} mm on, expected the tolerance of "
                         f"{config.tolerance_mm:g} mm: move the camera closer, or raise detection.tolerance_mm")
    relative = np.zeros_like(deviation.missing)
    regions = []
    for kind, size_mm in ((RegionKind.MISSING, deviation.missing), (RegionKind.SURPLUS, deviation.surplus)):
        of_kind = size_mm / np.float32(config.tolerance_mm)
        regions += find_regions(of_kind, size_mm, kind, view, deviation.surface, config.min_area_mm2,
                                config.min_area_px, MIN_RADIUS_PX * least_px)
        relative = np.maximum(relative, of_kind)
    if config.edges:
        picture = window.crop(image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8)
        tolerance_px = config.tolerance_mm / float(np.median(deviation.mm_per_px[rendering.mask >= 0.5]))
        offset_px = displaced_edges(picture, rendering, seen, diameter_m, config, tolerance_px)
        size_mm = offset_px * deviation.mm_per_px
        of_kind = size_mm / np.float32(config.tolerance_mm)
        regions += find_regions(of_kind, size_mm, RegionKind.DISPLACED, view, deviation.surface, 0.0,
                                config.min_area_px, 0.0)
        relative = np.maximum(relative, of_kind)
    regions.sort(key=lambda r: -r.score)
    score = regions[0].score if regions else 0.0
    return Detection(window.lay_into_image(relative, 0.0, True), score, THRESHOLD, tuple(regions))
