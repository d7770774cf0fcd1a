"""What can be seen without learning: the outline against the rendered one, and edges inside it that are displaced."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ptad_core.config import DetectionConfig
from ptad_core.detection.edge_displacement import displaced_edges
from ptad_core.detection.outline_deviation import Deviation, outline_deviation
from ptad_core.detection.regions import find_regions
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, ColorImage, FloatImage, MaskImage, RegionKind

MIN_RADIUS_PX = 0.4
"""Thinnest region, relative to ``min_tolerance_px``."""
LEAST_TOLERANCE_PX = 1.5
"""Nothing is judged finer than this in the window, which may be coarser than the image."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The window of a view, measured.

    Attributes:
        deviation: of the outline.
        seen: (S, S) the object's mask.
        coarsest_mm: the least deviation that the window shows everywhere.
        relative: (S, S) float32, deviation relative to the tolerance; 1 is the limit.
        regions: out of tolerance, unsorted.
        outline_pct: largest deviation of the outline, slivers left out, in percent of the diameter.
        edges_pct: largest displacement of an edge likewise.
    """

    deviation: Deviation
    seen: MaskImage
    coarsest_mm: float
    relative: FloatImage
    regions: list[AnomalyRegion]
    outline_pct: float
    edges_pct: float

    @property
    def score(self) -> float:
        """That of the worst region; 0 where there is none."""
        return max((region.score for region in self.regions), default=0.0)


def measure(image_bgr: ColorImage, mask: MaskImage, view: View, diameter_m: float, config: DetectionConfig) -> Geometry:
    """Compare a rectified (H, W, 3) image and the object's (H, W) mask with the reference at the aligned pose."""
    window, rendering = view.window, view.rendering
    solid = rendering.mask >= 0.5
    seen = window.crop(mask.astype(np.float32)) > 0.5
    least_px = max(config.min_tolerance_px * window.scale, LEAST_TOLERANCE_PX)
    deviation = outline_deviation(solid, rendering.depth, seen, view.camera.fx, window.inside_image())
    tolerance_mm = np.float32(config.tolerance_mm)
    relative, regions = np.zeros_like(deviation.missing), []
    for kind, size_mm in ((RegionKind.MISSING, deviation.missing), (RegionKind.SURPLUS, deviation.surplus)):
        regions += find_regions(size_mm / tolerance_mm, size_mm, kind, view, deviation.surface, config.min_area_mm2,
                                config.min_area_px, MIN_RADIUS_PX * least_px)
        relative = np.maximum(relative, size_mm / tolerance_mm)
    edges_mm = np.zeros_like(deviation.missing)
    if config.edges:
        picture = window.crop(image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8)
        tolerance_px = config.tolerance_mm / float(np.median(deviation.mm_per_px[solid]))
        edges_mm = displaced_edges(picture, rendering, seen, diameter_m, config, tolerance_px) * deviation.mm_per_px
        regions += find_regions(edges_mm / tolerance_mm, edges_mm, RegionKind.DISPLACED, view, deviation.surface, 0.0,
                                config.min_area_px, 0.0)
        relative = np.maximum(relative, edges_mm / tolerance_mm)
    percent = 0.1 / diameter_m  # of a length in millimetres
    thick = np.maximum(*(cv2.morphologyEx(d, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
                         for d in (deviation.missing, deviation.surplus)))
    return Geometry(deviation, seen, least_px * float(deviation.mm_per_px[solid].max()), relative, regions,
                    percent * float(thick.max()), percent * float(edges_mm.max()))
