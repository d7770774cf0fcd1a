"""How far a refined pose may be trusted: the figures, and the reasons against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptad_core.config import PoseConfig
from ptad_core.frames import skew
from ptad_core.outline import match_outlines
from ptad_core.pose.query import Query
from ptad_core.pose.refine import MaskFit, final_reach, tukey_weights
from ptad_core.types import FloatArray, Reason

EXPLAINED_PX = 3.0
"""Outline points closer than this (crop pixels) to the other outline are explained by it."""
FAR_PX = 12.0
"""Outline distances are looked for up to here."""
CORRELATION_PX = 8.0
"""Outline errors (segmentation, lens, CAD) are correlated over about this many points: a covariance that took every
point for independent would be far too proud."""
LEAST_SLOPE = 0.1
"""Of ψ, relative to the weights: where outliers prevail the asymptotic variance has no meaning, and is large enough."""
NOISE_PX = 0.3
"""Outline noise that no mask is better than; keeps costs of near-perfect fits comparable."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a rendered mask explains the query.

    Attributes:
        iou: intersection over union of the masks where the image was seen.
        residual_px: median outline distance, both ways, crop pixels.
        rendered_share: share of the rendered outline that the query's explains; a missing portion lowers it.
        query_share: share of the query's outline that the rendered one explains; surplus material lowers it.
        noise_px: standard deviation of the outline that the scatter of the fit follows from, crop pixels.
    """

    iou: float
    residual_px: float
    rendered_share: float
    query_share: float
    noise_px: float


def agreement(query: Query, fit: MaskFit) -> Agreement:
    """Compare a fit's mask with the query."""
    rendered, asked = fit.mask[query.seen] >= 0.5, query.mask[query.seen] >= 0.5
    union = int((rendered | asked).sum())
    offset, forth = match_outlines(fit.outline, query.outline, FAR_PX)
    back = match_outlines(query.outline, fit.outline, FAR_PX)[1]
    both = np.concatenate([forth, back])
    residual_px = float(np.median(np.minimum(both, FAR_PX))) if len(both) else FAR_PX
    return Agreement(int((rendered & asked).sum()) / union if union else 0.0, residual_px, _share(forth), _share(back),
                     _noise(offset, forth))


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


def covariance(fit: MaskFit, noise_px: float, scale: float) -> FloatArray:
    """Return the (6, 6) covariance of the pose: x, y, z, rotX, rotY, rotZ in the camera frame, at the part's origin.

    From the normal matrix and the outline noise actually left; ``scale`` is crop pixels per image pixel, and noise
    is never taken for less than ``NOISE_PX`` of the coarser of the two.
    """
    noise = max(noise_px, NOISE_PX * max(1.0, scale))
    H = fit.normal_matrix
    ridge = 1e-9 * np.diag(np.maximum(np.diag(H), 1e-12))
    at_pivot = CORRELATION_PX * noise**2 * np.linalg.inv(H + ridge)
    # The origin moves by v + w x (origin - pivot).
    A = np.eye(6)
    A[:3, 3:] = -skew(fit.T_camera_part[:3, 3] - fit.pivot)
    moved = A @ at_pivot @ A.T
    return np.asarray((moved + moved.T) / 2, dtype=np.float64)


def margin(best_cost_px: float, runner_up_cost_px: float) -> float:
    """Return how much worse the runner-up explains the outline, relative to the best; 0 means just as well."""
    return (runner_up_cost_px + NOISE_PX) / (best_cost_px + NOISE_PX) - 1


def _share(distance: FloatArray) -> float:
    return float((distance < EXPLAINED_PX).mean()) if len(distance) else 0.0


def _noise(offset: FloatArray, distance: FloatArray) -> float:
    """Noise of the outline as a robust fit feels it: the asymptotic variance of an M-estimator, E[ψ²] / E[ψ′]².

    Huber, Robust Statistics, 1981, Ch. 7, for ψ = w e with Tukey's weights, whose mean the normal matrix holds already.
    The scatter of what the weights let through alone would be too proud of a rough outline: most of it is cut off.
    """
    if not len(distance):
        return FAR_PX
    reach = final_reach(distance)
    w = tukey_weights(distance, reach)
    psi = w * np.where(np.isfinite(offset), offset, 0.0)
    slope = float(np.mean(np.sqrt(w) * (1 - 5 * np.minimum(distance / reach, 1.0) ** 2)))
    return float(np.sqrt(w.mean() * np.mean(psi**2))) / max(slope, LEAST_SLOPE * float(w.mean()), 1e-9)
