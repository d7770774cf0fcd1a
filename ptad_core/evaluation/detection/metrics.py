"""Figures from outcomes. Every definition stands here, for names alone are read differently by everybody.

- ``auc``: area under the ROC curve of the score over all pictures; those that could not be inspected are ranked by the
  score at their untrusted pose, or at the limit where there is no pose at all.
- ``auc_geometry``, ``auc_network``, ``auc_query_only``, ``auc_no_refine``: of one piece of evidence alone.
- ``auc_interval``, ``gain_over_geometry``, ``gain_over_network``: 95 % of 1000 bootstrap samples of the parts, of the
  AUC and of how much larger it is than that of one piece of evidence.
- ``acc``: accuracy of score > 1 over all pictures; ``auc_inspected`` and ``acc_inspected`` over those with a verdict.
- ``acc_calibrated``, ``frr_measured``: parts are dealt into four; the good pictures of three quarters calibrate, the
  last quarter is judged, in turn. One deal hangs on one picture or two, so it is the mean over 100 of them;
  ``frr_range`` is where 95 % of the deals lie. It holds one part's calibration against others, while the promise is
  for the part itself: the mean keeps it all the same as long as parts are drawn alike.
- ``box_iou_tp``: mean IoU of the boxes over the defective pictures that were failed; ``box_iou_all``: over all
  defective pictures, those that were not failed counting as 0.
- ``sizes``: of the defects that cover so much of what is seen of the part, in percent: how many there are, their
  ``auc`` against all good pictures, and what share is ``found`` at the calibrated threshold and ``refused`` a verdict.
  Found is the mean over the same deals; what is neither found nor refused passed.
- ``outlines``: likewise of the defects that change the outline and of those that do not: whose outline lies as near to
  the CAD's as that of nine good parts in ten. Where no outline was measured a defect is in neither.
- ``pixel_auroc``: over all pixels of all pictures; ``aupro30``: mean overlap with each defect, integrated over the
  false-positive rate up to 0.3 and divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ptad_core.calibration import threshold_of
from ptad_core.evaluation.detection.outcomes import UNDECIDED, Outcome
from ptad_core.types import Box, FloatArray

FPR_LIMIT = 0.3
LEVELS = 400
BOOTSTRAPS = 1000
DEALS, QUARTERS = 100, 4
SIZES_PCT = (0.0, 1.0, 3.0, 10.0)
"""Where classes of defects' sizes begin; see ``sizes``."""
KEPT_BY = 0.9
"""Share of good parts whose outline departs by less than one that a defect changes; see ``outlines``."""

Scores = Callable[[Outcome], float]
EVIDENCE: Mapping[str, Scores] = MappingProxyType({
    "fused": lambda o: o.score, "geometry": lambda o: o.geometry, "network": lambda o: o.network_logit,
    "query_only": lambda o: o.query_logit, "no_refine": lambda o: o.unrefined_logit})


def metrics(outcomes: Sequence[Outcome], rate: float = 0.01) -> dict[str, Any]:
    """Return all figures of a run; None where there is nothing to take them from."""
    truth = np.array([o.defective for o in outcomes])
    scores = np.array([o.score for o in outcomes])
    inspected = np.array([o.inspected for o in outcomes])
    failed = scores > 1.0
    deals = dealt(outcomes, rate)
    figures: dict[str, Any] = {
        "images": len(outcomes), "inspected": float(inspected.mean()),
        "auc": auc(truth, scores), "acc": float((failed == truth).mean()),
        "auc_inspected": auc(truth[inspected], scores[inspected]),
        "acc_inspected": float((failed == truth)[inspected].mean()) if inspected.any() else None,
        **calibrated(deals), **boxes(outcomes), **pixels(outcomes),
        **{f"auc_{name}": auc_of(outcomes, score) for name, score in EVIDENCE.items() if name != "fused"},
        **intervals(outcomes),
        "pose_error_deg": _median([o.pose_error_deg for o in outcomes]),
        "ms_per_image": _median([o.detect_ms for o in outcomes]),
        "kinds": kinds(outcomes, EVIDENCE["fused"]), "kinds_network": kinds(outcomes, EVIDENCE["network"]),
        "kinds_geometry": kinds(outcomes, EVIDENCE["geometry"]), "sizes": sizes(outcomes, deals),
        "outlines": outlines(outcomes, deals),
        "families": {family: auc_of([o for o in outcomes if o.family == family], lambda o: o.score)
                     for family in sorted({o.family for o in outcomes})},
    }
    return rounded(figures)


def auc(truth: NDArray[np.bool_], scores: FloatArray) -> float | None:
    """Return the area under the ROC curve; None where there is only one class."""
    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else None


def auc_of(outcomes: Sequence[Outcome], score: Scores) -> float | None:
    """Return the AUC of one piece of evidence; pictures without it rank in the middle of those with it.

    None where no picture has any.
    """
    values = scores_of(outcomes, score)
    return None if values is None else auc(np.array([o.defective for o in outcomes]), values)


def scores_of(outcomes: Sequence[Outcome], score: Scores) -> FloatArray | None:
    """Return a score of every picture, those without it in the middle; None where no picture has any."""
    values = np.array([score(o) for o in outcomes], dtype=np.float64)
    known = np.isfinite(values)
    return np.where(known, values, np.median(values[known])) if known.any() else None


def kinds(outcomes: Sequence[Outcome], score: Scores) -> dict[str, float | None]:
    """Return the AUC of each kind of defect against all good pictures."""
    return {kind: auc_of([o for o in outcomes if o.kind == kind or not o.defective], score)
            for kind in sorted({o.kind for o in outcomes if o.defective})}


def intervals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the bootstrap intervals; parts are drawn and not pictures, for pictures of one part are alike."""
    truth = np.array([o.defective for o in outcomes])
    scores = {name: scores_of(outcomes, EVIDENCE[name]) for name in ("fused", "geometry", "network")}
    rows_of = [np.flatnonzero([o.part == part for o in outcomes]) for part in sorted({o.part for o in outcomes})]
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(BOOTSTRAPS if len(rows_of) > 1 else 0):
        rows = np.concatenate([rows_of[k] for k in rng.integers(len(rows_of), size=len(rows_of))])
        if 0 < truth[rows].sum() < len(rows):
            for name, values in scores.items():
                drawn[name].append(math.nan if values is None else float(roc_auc_score(truth[rows], values[rows])))
    fused = np.array(drawn["fused"])
    of = {"auc_interval": fused, **{f"gain_over_{name}": fused - drawn[name] for name in ("geometry", "network")}}
    return {name: [round(float(q), 4) for q in np.quantile(values, (0.025, 0.975))]
            if len(values) and np.isfinite(values).all() else None for name, values in of.items()}


@dataclass(frozen=True, slots=True)
class Deals:
    """Every picture with a verdict judged by a calibration on other parts, once in each deal.

    Attributes:
        outcomes: n of them.
        failed: (deals, n) bool.
        promised: rate of false rejects; fewer good pictures than it takes raise it.
    """

    outcomes: Sequence[Outcome]
    failed: NDArray[np.bool_]
    promised: float


def dealt(outcomes: Sequence[Outcome], rate: float) -> Deals | None:
    """Calibrate on three quarters of the parts and judge the last one, in turn; None with fewer than two parts."""
    usable = [o for o in outcomes if o.inspected]
    score, defective = np.array([o.score for o in usable]), np.array([o.defective for o in usable], bool)
    parts, part = np.unique([o.part for o in usable], return_inverse=True)
    if len(parts) < 2 or defective.all():
        return None
    rng = np.random.default_rng(0)
    promised, failed = rate, np.zeros((DEALS, len(usable)), bool)
    for deal in failed:
        quarter = (rng.permutation(len(parts)) % min(QUARTERS, len(parts)))[part]
        for turn in np.unique(quarter):
            good = np.sort(score[(quarter != turn) & ~defective])
            used = max(rate, 1 / (len(good) + 1))
            promised = max(promised, used)
            judged = quarter == turn
            deal[judged] = score[judged] > (threshold_of(tuple(good), used) if len(good) else math.inf)
    return Deals(usable, failed, promised)


def calibrated(deals: Deals | None) -> dict[str, Any]:
    """Return what a calibration promises and keeps."""
    if deals is None:
        return {"frr_promised": None, "frr_measured": None, "frr_range": None, "acc_calibrated": None}
    defective = np.array([o.defective for o in deals.outcomes])
    rejected = deals.failed[:, ~defective].mean(axis=1)
    return {"frr_promised": deals.promised, "frr_measured": float(rejected.mean()),
            "frr_range": [round(float(q), 4) for q in np.quantile(rejected, (0.025, 0.975))],
            "acc_calibrated": float((deals.failed == defective).mean())}


def sizes(outcomes: Sequence[Outcome], deals: Deals | None) -> dict[str, dict[str, Any]]:
    """Return how well defects are told by how much of the part they cover (``Outcome.shown_pct``)."""
    return _told({f"{low:g} to {high:g}" if math.isfinite(high) else f"from {low:g}":
                  [o for o in outcomes if o.defective and low <= o.shown_pct < high]
                  for low, high in zip(SIZES_PCT, (*SIZES_PCT[1:], math.inf), strict=True)}, outcomes, deals)


def outlines(outcomes: Sequence[Outcome], deals: Deals | None) -> dict[str, dict[str, Any]]:
    """Return how well defects are told that change the outline, and those that keep it."""
    good = [o.outline_pct for o in outcomes if not o.defective and math.isfinite(o.outline_pct)]
    limit = float(np.quantile(good, KEPT_BY)) if good else math.nan
    return _told({"changed": [o for o in outcomes if o.defective and o.outline_pct > limit],
                  "kept": [o for o in outcomes if o.defective and o.outline_pct <= limit]}, outcomes, deals)


def _told(classes: Mapping[str, list[Outcome]], outcomes: Sequence[Outcome], deals: Deals | None,
          ) -> dict[str, dict[str, Any]]:
    """Return how well the defects of each class are told from all good pictures; empty classes are left out."""
    found = {} if deals is None else dict(zip((o.name for o in deals.outcomes), deals.failed.mean(axis=0), strict=True))
    good = [o for o in outcomes if not o.defective]
    return {name: {"defects": len(here), "auc": auc_of([*good, *here], EVIDENCE["fused"]),
                   "found": float(np.mean([found.get(o.name, 0.0) for o in here])) if deals is not None else None,
                   "refused": float(np.mean([not o.inspected for o in here]))}
            for name, here in classes.items() if here}


def boxes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return mean IoU of the boxes, both ways of counting."""
    defective = [o for o in outcomes if o.defective and o.box_true is not None]
    overlaps = [box_iou(o.box_found, o.box_true) if o.score > 1.0 else math.nan for o in defective]
    hit = [v for v in overlaps if math.isfinite(v)]
    return {"box_iou_tp": float(np.mean(hit)) if hit else None,
            "box_iou_all": float(np.mean(np.nan_to_num(overlaps))) if overlaps else None}


def box_iou(a: Box | None, b: Box | None) -> float:
    """Return the intersection over the union of two boxes; 0 where there is none."""
    if a is None or b is None:
        return 0.0
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / (a.area + b.area - shared)


def pixels(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return pixel AUROC and AUPRO over the pictures whose truth is known."""
    known = [(o.truth, o.found) for o in outcomes if o.truth is not None]
    if not known:
        return {"pixel_auroc": None, "aupro30": None}
    truth, found = (np.stack(part) for part in zip(*known, strict=True))
    return {"pixel_auroc": auc(truth.reshape(-1), found.reshape(-1).astype(np.float64)), "aupro30": aupro(truth, found)}


def aupro(truth: NDArray[np.bool_], found: NDArray[np.float32], limit: float = FPR_LIMIT) -> float | None:
    """Return the area under the per-region overlap up to a false-positive rate, divided by it.

    Args:
        truth: (n, S, S) where defects are; each connected region counts as much as any other.
        found: (n, S, S) anomaly maps.
        limit: of the false-positive rate, over all pixels without a defect.
    """
    good = np.sort(found[~truth].reshape(-1))
    if not truth.any() or len(good) == 0:
        return None
    shares = np.linspace(0, limit, LEVELS + 1)
    # the threshold above which this share of good pixels lies; ties are above none of them
    levels = good[np.clip(np.ceil((1 - shares) * len(good)).astype(np.int64) - 1, 0, len(good) - 1)]
    rates = 1 - np.searchsorted(good, levels, side="right") / len(good)
    overlaps = []
    for mask, picture in zip(truth, found, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            inside = np.sort(picture[labels == label])
            overlaps.append(1 - np.searchsorted(inside, levels, side="right") / len(inside))
    overlap = np.mean(overlaps, axis=0)
    order = np.argsort(rates, kind="stable")
    rates, overlap = rates[order], np.maximum.accumulate(overlap[order])
    end = np.interp(limit, rates, overlap)
    inside = rates < limit
    return float(np.trapezoid(np.append(overlap[inside], end), np.append(rates[inside], limit)) / limit)


def undecided(outcomes: Sequence[Outcome]) -> int:
    """Return how many pictures had no pose at all."""
    return sum(o.score == UNDECIDED and math.isnan(o.network_logit) and not o.inspected for o in outcomes)


def rounded(value: dict[str, Any]) -> dict[str, Any]:
    """Return nested figures with four digits."""
    return {key: rounded(v) if isinstance(v, dict) else round(v, 4) if isinstance(v, float) else v
            for key, v in value.items()}


def _median(values: list[float]) -> float | None:
    known = [v for v in values if math.isfinite(v)]
    return float(np.median(known)) if known else None
