"""Aligned image -> anomaly map, regions, score: geometry, and a network's opinion where one is at hand."""

from __future__ import annotations

import math
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ptad_core.config import DetectionConfig
from ptad_core.detection.blur import blurred_regions
from ptad_core.detection.faint import faint_regions
from ptad_core.detection.geometry import Geometry, measure
from ptad_core.detection.learned import SAME_PLACE, Examiner, learned_regions, merged, overlap
from ptad_core.detection.occlusion import absences, hidden_regions
from ptad_core.rendering.view import View
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import AnomalyRegion, Box, ColorImage, Detection, Evidence, Reason, Segmentation

if TYPE_CHECKING:  # needs torch, which an inspection by geometry alone does without
    from ptad_core.detection.network.judge import Opinion

THRESHOLD = 1.0
"""Scores are relative to the limit, so it is 1 until a calibration says otherwise."""
LARGEST_LOGIT = 20.0


def detect(image_bgr: ColorImage, segmentation: Segmentation, view: View | None, diameter_m: float,
           config: DetectionConfig, examiner: Examiner | None = None, threshold: float = THRESHOLD,
           asked: Future[Opinion] | None = None) -> Detection:
    """Judge a rectified (H, W, 3) image whose pose is trusted.

    The score is the odds that the part is defective, from the network and the geometry, relative to the limit of the
    network; where a deviation is out of tolerance it is at least that deviation relative to the tolerance. Without a
    network it is the latter alone.

    Args:
        image_bgr: the image.
        segmentation: the object's mask in it.
        view: the reference at the aligned pose; None where it is out of view.
        diameter_m: of the part.
        config: what counts as a defect.
        examiner: the network, where there is one.
        threshold: what the score is held against.
        asked: what the network was asked already of this image at this pose (:meth:`Examiner.begin`); otherwise it is
            asked now.
    """
    try:
        if asked is None and examiner is not None and view is not None:  # a core for each: network and geometry
            asked = examiner.begin(image_bgr, segmentation.mask, view.camera, view.T_camera_part, view.window,
                                   diameter_m)
        return _judged(image_bgr, segmentation, view, diameter_m, config, examiner, threshold, asked)
    finally:
        wait([] if asked is None else [asked])  # nothing of one image goes on beside the next


def _judged(image_bgr: ColorImage, segmentation: Segmentation, view: View | None, diameter_m: float,
            config: DetectionConfig, examiner: Examiner | None, threshold: float,
            asked: Future[Opinion] | None) -> Detection:
    height, width = segmentation.mask.shape
    nothing = np.zeros((height, width), np.float32)
    if view is None:
        return Detection(nothing, 0.0, threshold, (), (Reason.OUT_OF_VIEW,),
                         "the aligned part is not in the image")
    geometry = measure(image_bgr, segmentation.mask, view, diameter_m, config)
    if geometry.coarsest_mm > config.tolerance_mm:
        return Detection(nothing, 0.0, threshold, (), (Reason.TOO_COARSE,),
                         f"the image shows deviations from {geometry.coarsest_mm:.1f} mm on, expected the tolerance of "
                         f"{config.tolerance_mm:g} mm: move the camera closer, or raise detection.tolerance_mm")
    hidden, faint, blurred = _not_judged(image_bgr, view, geometry)
    unknown = [region.box_px for region in (*hidden, *faint, *blurred)]
    score, relative, regions = geometry.score, geometry.relative, _outside(unknown, geometry.regions)
    evidence = Evidence(geometry.score, geometry.outline_pct, geometry.edges_pct)
    if examiner is not None and asked is not None:
        fusion, opinion = examiner.judge.fusion, asked.result()
        logit = fusion.logit(opinion.logit, geometry.outline_pct, geometry.edges_pct)
        evidence = replace(evidence, network_logit=opinion.logit, defect_logit=logit)
        learned_score = math.exp(min(logit - fusion.limit, LARGEST_LOGIT))
        score = max(score, learned_score)
        learned, found = learned_regions(opinion, fusion.cell_limit, learned_score, view, geometry)
        relative = np.maximum(relative, learned)
        if learned_score > threshold:
            regions = merged(regions, _outside(unknown, found))
    regions = sorted(regions, key=lambda r: -r.score)
    if hidden and not regions:
        return Detection(nothing, score, threshold, (), (Reason.OCCLUDED,), "something stands in front of the part: "
                         "where it should be seen, neither the part nor the background is", evidence=evidence)
    if faint and not regions:
        return Detection(nothing, score, threshold, (), (Reason.MASK_UNRELIABLE,), "the mask misses a portion of the "
                         "part whose edge the image shows: part and background look alike there", evidence=evidence)
    if blurred and not regions:
        return Detection(nothing, score, threshold, (), (Reason.MASK_UNRELIABLE,), "the image is blurred: edges are "
                         "wider there than the portion of the part that seems missing", evidence=evidence)
    return Detection(view.window.lay_into_image(relative, 0.0, True), score, threshold, tuple(regions),
                     evidence=evidence)


def _not_judged(image_bgr: ColorImage, view: View, geometry: Geometry,
                ) -> tuple[list[AnomalyRegion], list[AnomalyRegion], list[AnomalyRegion]]:
    """Return the missing regions that something hides, that the background nearly swallows, or that blur may have."""
    missing = absences(view, geometry)
    if not missing:
        return [], [], []
    lab = to_lab(view.window.crop(image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8))
    return (hidden_regions(lab, missing, view, geometry), faint_regions(lab, missing, view),
            blurred_regions(lab, missing, view))


def _outside(unknown: list[Box], regions: list[AnomalyRegion]) -> list[AnomalyRegion]:
    """Return the regions that lie elsewhere than what is not judged."""
    return [r for r in regions if not any(overlap(r.box_px, box) >= SAME_PLACE for box in unknown)]
