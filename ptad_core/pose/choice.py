"""Which hypotheses differ, and which of those that converged is the pose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ptad_core.pose.contour_fit import ContourFit
from ptad_core.pose.interior import LEAST_SUPPORT, InnerEdgePoints, Interior, edges_seen
from ptad_core.pose.refine import MaskFit
from ptad_core.pose.trust import NOISE_PX, margin
from ptad_core.reference.build import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.types import FloatArray, PoseSeed

SAME_POSE_DEG = 4.0
SAME_POSE_DIAMETERS = 0.04
SETTLED_DEG = 1.5
SETTLED_DIAMETERS = 0.015
"""Fits that converged so near to each other are one."""
OTHER_POSE_DEG = 20.0
"""Poses further apart than this are rivals; closer ones are the same answer, more or less exactly."""
OTHER_POSE_DIAMETERS = 0.25
CLEAR_LEAD = 2.0
"""A rival whose outline is this much worse needs no look inside; it looks alike from another side."""
NO_LEAD = 0.1
"""A neighbour's outline is comparable: it must be as good for its inside to count."""
HALF_BELIEVED_PX = 160
"""So many pixels of edges, about twenty independent stretches, are half believed: few fall on anything by chance."""
SEED_FREEDOM = 4.0
SEED_WEIGHT = 0.5
"""A seed's uncertainty is a claim, so it is taken for that of a heavy-tailed distribution (Student's, of so many
degrees of freedom), and weighs as this many of the outline's about ten independent stretches."""
LEAST_SIGMA_DEG = 0.5
LEAST_SIGMA_DIAMETERS = 0.005
"""No outline tells poses apart that are closer than this."""

Fit = TypeVar("Fit", ContourFit, MaskFit)


def leading(fits: Sequence[MaskFit], reference: Reference, seed: PoseSeed | None) -> MaskFit:
    """Return the fit that outline and seed speak for."""
    return fits[int(np.argmin(_costs(fits, reference, seed)))]


def choose(fits: Sequence[MaskFit], reference: Reference, seed: PoseSeed | None, interior: Interior | None,
           ) -> tuple[MaskFit, MaskFit | None, float]:
    """Return the best fit, its best rival, and by how much it leads.

    The outline decides, and how far the seed lies. Outlines of opposite views are alike, and those of a part turned
    about its axis: so fits whose outlines are nearly as good as the best one's are also judged by their inner edges.

    Args:
        fits: best outline first.
        reference: the part.
        seed: where the part was expected, if it was.
        interior: what the picture shows inside the outline, if there is a picture.
    """
    fits = distinct(fits, reference)
    cost = _costs(fits, reference, seed)
    first = int(np.argmin(cost))
    close = [k for k, fit in enumerate(fits) if (
        cost[k] <= (1 + CLEAR_LEAD) * cost[first] if _rivals(fits[first], fit, reference)
        else margin(fits[first].cost_px, fit.cost_px) <= NO_LEAD)]
    if interior is not None and len(close) > 1:
        edges = {k: edges_seen(reference, interior.camera, fits[k].T_camera_part) for k in close}
        outline_cost = cost
        for _ in close:  # until none of them does better than the one that they are held against
            held, cost = first, list(outline_cost)
            for k in close:
                cost[k] /= _support(interior, (fits[held], edges[held]), (fits[k], edges[k]))
            first = min(close, key=cost.__getitem__)
            if first == held:
                break
    rivals = [k for k, fit in enumerate(fits) if _rivals(fits[first], fit, reference)]
    if not rivals:
        return fits[first], None, np.inf
    rival = min(rivals, key=cost.__getitem__)
    return fits[first], fits[rival], max(cost[rival] / cost[first] - 1, 0.0)


def _support(interior: Interior, than: tuple[MaskFit, InnerEdgePoints], fit: tuple[MaskFit, InnerEdgePoints]) -> float:
    """How much better the picture supports the inner edges of one fit than those of another.

    Each is asked for the edges that the other does not show there: those that both show alike tell nothing.
    """
    (a, edges_a), (b, edges_b) = ((f.T_camera_part, edges) for f, edges in (than, fit))
    only_a = edges_a.unlike(interior.camera, a, edges_b, b)
    only_b = edges_b.unlike(interior.camera, b, edges_a, a)
    better = max(interior.support(only_b, b), LEAST_SUPPORT) / max(interior.support(only_a, a), LEAST_SUPPORT)
    count = min(len(only_a), len(only_b))
    return float(better ** (count / (count + HALF_BELIEVED_PX)))


def _costs(fits: Sequence[MaskFit], reference: Reference, seed: PoseSeed | None) -> list[float]:
    return [(fit.cost_px + NOISE_PX) * _distrust(fit.T_camera_part, seed, reference) for fit in fits]


def different(sorted_fits: Sequence[Fit], reference: Reference, neighbours: int, count: int) -> list[Fit]:
    """Return the best ``neighbours`` that are not the same, and up to ``count`` the best that are rivals of all."""
    kept: list[Fit] = []
    for fit in sorted_fits:
        if all(not _same(fit, k, reference) if len(kept) < neighbours else _rivals(fit, k, reference) for k in kept):
            kept.append(fit)
        if len(kept) == count:
            break
    return kept


def distinct(sorted_fits: Sequence[MaskFit], reference: Reference) -> list[MaskFit]:
    """Return the best of those that converged to one pose."""
    return [fit for k, fit in enumerate(sorted_fits) if not any(
        _within(fit, other, reference, SETTLED_DEG, SETTLED_DIAMETERS) for other in sorted_fits[:k])]


def _distrust(T_camera_part: FloatArray, seed: PoseSeed | None, reference: Reference) -> float:
    """By what factor a pose must fit better than one at the seed."""
    if seed is None or seed.from_image:
        return 1.0
    angle_deg, shift_m = _apart(T_camera_part, seed.T_camera_part, reference)
    chi2 = ((angle_deg / max(seed.sigma_rotation_deg, LEAST_SIGMA_DEG)) ** 2
            + (shift_m / max(seed.sigma_translation_m, LEAST_SIGMA_DIAMETERS * reference.diameter_m)) ** 2)
    return float((1 + chi2 / SEED_FREEDOM) ** SEED_WEIGHT)


def _same(a: Fit, b: Fit, reference: Reference) -> bool:
    return _within(a, b, reference, SAME_POSE_DEG, SAME_POSE_DIAMETERS)


def _within(a: Fit, b: Fit, reference: Reference, most_deg: float, most_diameters: float) -> bool:
    angle_deg, shift_m = _apart(a.T_camera_part, b.T_camera_part, reference)
    return shift_m < most_diameters * reference.diameter_m and angle_deg < most_deg


def _rivals(a: Fit, b: Fit, reference: Reference) -> bool:
    return not _within(a, b, reference, OTHER_POSE_DEG, OTHER_POSE_DIAMETERS)


def _apart(T_a: FloatArray, T_b: FloatArray, reference: Reference) -> tuple[float, float]:
    """Angle in degrees, up to the part's symmetries, and distance of the part's centres in metres."""
    shift = (T_a[:3, :3] - T_b[:3, :3]) @ reference.center_m + T_a[:3, 3] - T_b[:3, 3]
    return symmetric_angle_deg(T_a[:3, :3], T_b[:3, :3], reference.symmetries), float(np.linalg.norm(shift))
