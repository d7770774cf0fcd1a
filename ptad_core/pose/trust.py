"""How far a refined pose may be trusted: the figures, and the reasons against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptad_core.config import PoseConfig
from ptad_core.outline import match_outlines
from ptad_core.pose.query import Query
from ptad_core.pose.refine import MaskFit
from ptad_core.types import FloatArray, Reason

EXPLAINED_PX = 3.0
"""Outline points closer than this (crop pixels) to the other outline are explained by it."""
FAR_PX = 12.0
"""Outline distances are looked for up to here."""
NOISE_PX = 0.3
"""Keeps costs of near-perfect fits comparable."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a rendered mask explains the query.

    Attributes:
        iou: intersection over union of the masks where the image was seen.
        residual_px: median outline distance, both ways, crop pixels.
        rendered_share: share of the rendered outline that the query's explains; a missing portion lowers it.
        query_share: share of the query's outline that the rendered one explains; surplus material lowers it.
        offset_px: (n,) how far each point of the rendered outline would have to move along the query's normal, crop
            pixels; inf where there is nothing near.
        distance_px: (n,) plain distance, likewise.
    """

    iou: float
    residual_px: float
    rendered_share: float
    query_share: float
    offset_px: FloatArray
    distance_px: FloatArray


def agreement(query: Query, fit: MaskFit) -> Agreement:
    """Compare a fit's mask with the query."""
    rendered, asked = fit.mask[query.seen] >= 0.5, query.mask[query.seen] >= 0.5
    union = int((rendered | asked).sum())
    offset, forth = match_outlines(fit.outline, query.outline, FAR_PX)
    back = match_outlines(query.outline, fit.outline, FAR_PX)[1]
    both = np.concatenate([forth, back])
    residual_px = float(np.median(np.minimum(both, FAR_PX))) if len(both) else FAR_PX
    return Agreement(int((rendered & asked).sum()) / union if union else 0.0, residual_px, _share(forth), _share(back),
                     offset, forth)


def reasons_against(fit: MaskFit, found: Agreement, config: PoseConfig) -> tuple[tuple[Reason, ...], str]:
    """Return why a pose must not be used (empty where it may), and the same in words."""
    against: list[tuple[Reason, str]] = []
    if not fit.converged:
        against.append((Reason.POSE_NOT_CONVERGED, f"the refinement did not settle in {fit.iterations} steps"))
    if found.iou < config.min_mask_iou:
        against.append((Reason.POSE_UNTRUSTED, f"mask IoU {found.iou:.3f} is below {config.min_mask_iou:g}"))
    lower, upper = sorted((found.rendered_share, found.query_share))
    if upper < config.min_outline_share or lower < config.min_outline_share / 2:
        words = (f"the CAD explains {found.query_share:.0%} of the seen outline and the picture "
                 f"{found.rendered_share:.0%} of the CAD's, expected {config.min_outline_share:.0%} of one and half of "
                 f"that of the other")
        against.append((Reason.POSE_UNTRUSTED, words))
    distance_m = float(np.linalg.norm(fit.pivot))
    if distance_m < config.min_distance_m:
        words = (f"the part would be {distance_m:.2g} m from the camera, expected at least "
                 f"{config.min_distance_m:g} m: check the CAD's unit")
        against.append((Reason.POSE_UNTRUSTED, words))
    if found.residual_px > config.max_residual_px:
        words = (f"median outline distance {found.residual_px:.2f} px (working size) is above "
                 f"{config.max_residual_px:g}")
        against.append((Reason.POSE_UNTRUSTED, words))
    reasons = tuple(dict.fromkeys(reason for reason, _ in against))
    return reasons, "; ".join(words for _, words in against)


def margin(best_cost_px: float, runner_up_cost_px: float) -> float:
    """Return how much worse the runner-up explains the outline, relative to the best; 0 means just as well."""
    return (runner_up_cost_px + NOISE_PX) / (best_cost_px + NOISE_PX) - 1


def _share(distance: FloatArray) -> float:
    return float((distance < EXPLAINED_PX).mean()) if len(distance) else 0.0
