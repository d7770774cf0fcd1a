"""Inspection results made by hand, 64 x 48 pixels."""

from __future__ import annotations

import math

import numpy as np

from ptad_core.frames import make_transform, rotation_exp
from ptad_core.types import (
    AlignedPose,
    Alignment,
    AnomalyRegion,
    Box,
    Detection,
    InspectionResult,
    Reason,
    RegionKind,
    Rendering,
    SeedSource,
    Segmentation,
    StageTime,
    Verdict,
)

HEIGHT, WIDTH = 48, 64
PART_BOX = Box(20, 16, 14, 12)
T_CAMERA_PART = make_transform(rotation_exp(np.array([0.3, -1.2, 0.4])), np.array([0.0123456789, -0.02, 0.4]))


def failed() -> InspectionResult:
    """Return a FAIL with everything in it: surplus material beside the part."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[16:28, 20:34] = True
    inside = mask[..., None]
    depth = np.where(mask, 0.4, np.nan).astype(np.float32)
    depth[20, 25] = 0.41
    normals = np.where(inside, np.array([0, 0, -1]), np.nan).astype(np.float32)
    anomaly = np.zeros((HEIGHT, WIDTH), np.float32)
    anomaly[20:26, 30:38] = 2.5
    region = AnomalyRegion(Box(30, 20, 8, 6), RegionKind.SURPLUS, 2.5, 7.5, 40, np.array([0.01, 0.02, 0.03]),
                           np.array([0.004, 0.005, 0.006]), np.array([0.0, 0.0, 1.0]))
    pose = AlignedPose(T_CAMERA_PART, np.diag([1e-8, 2e-8, 3e-7, 1e-6, 2e-6, 3e-6]), 0.93, 0.8, SeedSource.TRACK,
                       math.inf, None, ambiguous=False, converged=True)
    return InspectionResult(
        Verdict.FAIL, (Reason.MATERIAL_SURPLUS,), "1 region out of tolerance", "bracket", "0123456789abcdef",
        Segmentation(mask, "threshold", 0.9, PART_BOX), Alignment(pose),
        Rendering(mask.astype(np.float32), depth, normals),
        Detection(anomaly, 2.5, 1.0, (region,)), (StageTime("segment", 3.0), StageTime("align", 50.0)))


def passed() -> InspectionResult:
    """Return a PASS: the same without the region."""
    result = failed()
    detection = Detection(np.zeros((HEIGHT, WIDTH), np.float32), 0.0, 1.0, ())
    return InspectionResult(Verdict.PASS, (), "", result.part_id, result.reference_hash, result.segmentation,
                            result.alignment, result.rendering, detection, result.times)


def not_inspected() -> InspectionResult:
    """Return a CANNOT_INSPECT of an image that never reached the inspector."""
    return InspectionResult(Verdict.CANNOT_INSPECT, (Reason.TF_MISSING,), "no transform <to> the part", "bracket",
                            "0123456789abcdef")
