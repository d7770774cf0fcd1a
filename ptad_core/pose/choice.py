"""Which hypotheses differ, and which of those that converged is the pose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ptad_core.filters import colour_gradient
from ptad_core.pose.contour_fit import ContourFit
from ptad_core.pose.interior import interior_support
from ptad_core.pose.query import Query
from ptad_core.pose.refine import MaskFit
from ptad_core.pose.trust import NOISE_PX
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import ColorImage, FloatArray, PoseSeed

SAME_POSE_DEG = 4.0
SAME_POSE_DIAMETERS = 0.04
OTHER_POSE_DEG = 20.0
"""Poses further apart than this are rivals; closer ones are the same answer, more or less exactly."""
OTHER_POSE_DIAMETERS = 0.25
CLEAR_LEAD = 2.0
NEAR_LEAD = 0.1
"""A rival, or another pose near by, whose outline is this much worse needs no look inside: what is near shows nearly
the same edges, and says less by them."""
SEED_FREEDOM = 4.0
SEED_WEIGHT = 0.5
"""A seed's uncertainty is a claim, so it is taken for that of a heavy-tailed distribution (Student's, of so many
degrees of freedom), and weighs as this many of the outline's about ten independent stretches."""
LEAST_SIGMA_DEG = 0.5
LEAST_SIGMA_DIAMETERS = 0.005
"""No outline tells poses apart that are closer than this."""

Fit = TypeVar("Fit", ContourFit, MaskFit)


def choose(fits: Sequence[MaskFit], query: Query, reference: Reference, seed: PoseSeed | None,
           image_bgr: ColorImage | None) -> tuple[MaskFit, MaskFit | None, float]:
    """Return the best fit, its best rival, and by how much it leads.

    The outline decides, and how far the seed lies. Outlines of opposite views are alike, and that of a round part
    changes little as it turns: so poses whose outlines are nearly as good as the best one's are also judged by their
    inner edges.

    Args:
        fits: best outline first.
        query: what they were fitted to.
        reference: the part.
        seed: where the part was expected, if it was.
        image_bgr: (H, W, 3) rectified; without it nothing is known of the inside.
    """
    outline = [(fit.cost_px + NOISE_PX) * _distrust(fit.T_camera_part, seed, reference) for fit in fits]
    cost, first = list(outline), int(np.argmin(outline))
    looked: list[int] = []
    while image_bgr is not None:
        # Whoever is first is held against all that are close to it: costs without a look inside are no match for it.
        close = [k for k, fit in enumerate(fits) if k == first or (
            outline[k] < (1 + (CLEAR_LEAD if _rivals(fits[first], fit, reference) else NEAR_LEAD)) * min(outline)
            and not same_pose(fits[first], fit, reference)
            and not any(same_pose(fit, other, reference) for other in fits[:k]))]
        if len(close) == 1 and not looked:
            break
        if not looked:
            picture = query.window.crop(image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8)
            gradient = colour_gradient(to_lab(picture))
        for k in close:
            if k not in looked:
                looked.append(k)
                cost[k] /= interior_support(gradient, query.camera, reference, fits[k].T_camera_part)
        best = min(looked, key=cost.__getitem__)
        if best == first:
            break
        first = best
    rivals = [k for k, fit in enumerate(fits) if _rivals(fits[first], fit, reference)]
    if not rivals:
        return fits[first], None, np.inf
    rival = min(rivals, key=cost.__getitem__)
    return fits[first], fits[rival], max(cost[rival] / cost[first] - 1, 0.0)


def different(sorted_fits: Sequence[Fit], reference: Reference, neighbours: int, count: int) -> list[Fit]:
    """Return the best ``neighbours`` that are not the same, and up to ``count`` the best that are rivals of all."""
    kept: list[Fit] = []
    for fit in sorted_fits:
        near = len(kept) < neighbours
        if all(not same_pose(fit, k, reference) if near else _rivals(fit, k, reference) for k in kept):
            kept.append(fit)
        if len(kept) == count:
            break
    return kept


def _distrust(T_camera_part: FloatArray, seed: PoseSeed | None, reference: Reference) -> float:
    """By what factor a pose must fit better than one at the seed."""
    if seed is None or seed.from_image:
        return 1.0
    angle_deg, shift_m = _apart(T_camera_part, seed.T_camera_part, reference)
    chi2 = ((angle_deg / max(seed.sigma_rotation_deg, LEAST_SIGMA_DEG)) ** 2
            + (shift_m / max(seed.sigma_translation_m, LEAST_SIGMA_DIAMETERS * reference.diameter_m)) ** 2)
    return float((1 + chi2 / SEED_FREEDOM) ** SEED_WEIGHT)


def same_pose(a: ContourFit | MaskFit, b: ContourFit | MaskFit, reference: Reference, share: float = 1.0) -> bool:
    """Tell whether two fits are one answer, up to the part's symmetries; with a share of the usual distances."""
    angle_deg, shift_m = _apart(a.T_camera_part, b.T_camera_part, reference)
    return shift_m < share * SAME_POSE_DIAMETERS * reference.diameter_m and angle_deg < share * SAME_POSE_DEG


def _rivals(a: Fit, b: Fit, reference: Reference) -> bool:
    angle_deg, shift_m = _apart(a.T_camera_part, b.T_camera_part, reference)
    return shift_m >= OTHER_POSE_DIAMETERS * reference.diameter_m or angle_deg >= OTHER_POSE_DEG


def _apart(T_a: FloatArray, T_b: FloatArray, reference: Reference) -> tuple[float, float]:
    """Angle in degrees, up to the part's symmetries, and distance of the part's centres in metres."""
    shift = (T_a[:3, :3] - T_b[:3, :3]) @ reference.center_m + T_a[:3, 3] - T_b[:3, 3]
    return symmetric_angle_deg(T_a[:3, :3], T_b[:3, :3], reference.symmetries), float(np.linalg.norm(shift))
