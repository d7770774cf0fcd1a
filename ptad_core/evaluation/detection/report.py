"""Outcomes -> files for a person: curves, tables, and the worst cases as pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from ptad_core.evaluation.detection.outcomes import Outcome
from ptad_core.types import ColorImage

PLOT_PX, BORDER_PX = 360, 44
LINES = {"fused": (40, 40, 200), "network": (200, 120, 30), "geometry": (60, 150, 60)}
TILE_PX = 192
WORST = 12


def write_report(folder: Path, outcomes: Sequence[Outcome], figures: dict[str, Any],
                 pictures: dict[str, ColorImage]) -> None:
    """Write metrics.json, outcomes.jsonl, report.md, roc.png, pr.png and worst.png.

    Args:
        folder: is made.
        outcomes: of a run.
        figures: of ``metrics``.
        pictures: (H, W, 3) by the case's name, for those that are to be shown where they are among the worst.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    with (folder / "outcomes.jsonl").open("w", encoding="utf-8") as file:
        for outcome in outcomes:
            file.write(json.dumps(_plain(outcome)) + "\n")
    truth = np.array([o.defective for o in outcomes])
    evidence = {"fused": [o.score for o in outcomes], "network": [o.network_logit for o in outcomes],
                "geometry": [o.geometry for o in outcomes]}
    if 0 < truth.sum() < len(truth):
        for name, curve in (("roc", roc_curve), ("pr", precision_recall_curve)):
            cv2.imwrite(str(folder / f"{name}.png"), _plot(name, curve, truth, evidence))
    worst = sorted((o for o in outcomes if o.name in pictures), key=badness, reverse=True)[:WORST]
    if worst:
        cv2.imwrite(str(folder / "worst.png"), np.vstack([_tile(o, pictures[o.name]) for o in worst]))
    (folder / "report.md").write_text(_text(figures), encoding="utf-8")


def badness(outcome: Outcome) -> float:
    """Return how wrong a score is: the log of the factor by which it is on the wrong side; negative where right."""
    log = math.log(max(outcome.score, 1e-9))
    return -log if outcome.defective else log


def _plain(outcome: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in Outcome.__dataclass_fields__:
        value = getattr(outcome, name)
        if name in ("found", "truth"):
            continue
        if name in ("box_found", "box_true"):
            value = None if value is None else [value.x, value.y, value.width, value.height]
        elif name == "verdict":
            value = value.name
        elif isinstance(value, float):
            value = round(value, 6) if math.isfinite(value) else None
        values[name] = value
    return values


def _plot(name: str, curve: Any, truth: NDArray[np.bool_], evidence: dict[str, list[float]]) -> ColorImage:
    size = PLOT_PX + 2 * BORDER_PX
    canvas = np.full((size, size, 3), 255, np.uint8)
    cv2.rectangle(canvas, (BORDER_PX, BORDER_PX), (BORDER_PX + PLOT_PX, BORDER_PX + PLOT_PX), (120, 120, 120), 1)
    for row, (label, scores) in enumerate(evidence.items()):
        values = np.array(scores, dtype=np.float64)
        known = np.isfinite(values)
        if not known.any() or len(set(truth[known])) < 2:
            continue
        a, b, _ = curve(truth[known], values[known])
        x, y = (a, b) if name == "roc" else (b, a)
        points = np.stack([BORDER_PX + PLOT_PX * x, BORDER_PX + PLOT_PX * (1 - y)], axis=1)
        cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, LINES[label], 2, cv2.LINE_AA)
        cv2.putText(canvas, label, (BORDER_PX + PLOT_PX - 90, BORDER_PX + PLOT_PX - 50 + 18 * row),
                    cv2.FONT_HERSHEY_SIMPLEX, 0.5, LINES[label], 1, cv2.LINE_AA)
    axes = ("false-positive rate", "true-positive rate") if name == "roc" else ("recall", "precision")
    cv2.putText(canvas, axes[0], (size // 2 - 60, size - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(canvas, axes[1], (BORDER_PX, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def _tile(outcome: Outcome, picture: ColorImage) -> ColorImage:
    """Picture, anomaly map and truth beside each other, with what was said and what is true."""
    found = np.clip(255 * outcome.found / max(float(outcome.found.max()), 1.0), 0, 255).astype(np.uint8)
    truth = np.zeros_like(found) if outcome.truth is None else 255 * outcome.truth.astype(np.uint8)
    shown = [picture, cv2.applyColorMap(found, cv2.COLORMAP_INFERNO), cv2.cvtColor(truth, cv2.COLOR_GRAY2BGR)]
    tile = np.hstack([cv2.resize(p, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for p in shown])
    text = f"{outcome.name} {outcome.family}, {outcome.kind}: score {outcome.score:.2f}, {outcome.verdict.name}"
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, width, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def _text(figures: dict[str, Any]) -> str:
    lines = ["# Evaluation of detection", "", "Definitions: `ptad_core/evaluation/detection/metrics.py`.", "",
             "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in figures.items() if not isinstance(value, dict)]
    by_kind = {evidence: figures[f"kinds{suffix}"] for evidence, suffix in
               (("fused", ""), ("network", "_network"), ("geometry", "_geometry"))}
    lines += ["", "AUC against all good pictures, by kind of defect:", "",
              "| kind | " + " | ".join(by_kind) + " |", "|---|---|---|---|"]
    lines += [f"| {kind} | " + " | ".join(str(values[kind]) for values in by_kind.values()) + " |"
              for kind in figures["kinds"]]
    lines += ["", "By how much of what is seen of the part the defect covers; found at the calibrated threshold:", "",
              "| percent | defects | AUC, fused | found | refused |", "|---|---|---|---|---|"]
    lines += [f"| {size} | {row['defects']} | {row['auc']} | {row['found']} | {row['refused']} |"
              for size, row in figures["sizes"].items()]
    lines += ["", "By whether the defect changes the part's outline (beyond that of nine good parts in ten):", "",
              "| outline | defects | AUC, fused | found | refused |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {row['defects']} | {row['auc']} | {row['found']} | {row['refused']} |"
              for name, row in figures["outlines"].items()]
    lines += ["", "| family | AUC, fused |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in figures["families"].items()]
    return "\n".join([*lines, "", "Curves: roc.png, pr.png. Worst cases: worst.png (picture, anomaly map, truth).", ""])
