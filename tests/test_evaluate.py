"""Metrics of detection: definitions held against cases that can be worked out by hand, and a run from disk."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from ptad_core.evaluation.detection.metrics import aupro, box_iou, boxes, calibrated, dealt, metrics
from ptad_core.evaluation.detection.outcomes import MAP_PX, Outcome, box_around
from ptad_core.evaluation.detection.report import badness, write_report
from ptad_core.types import AnomalyRegion, Box, Detection, RegionKind, Verdict

NOTHING = np.zeros((MAP_PX, MAP_PX), np.float32)


def outcome(name: str, score: float, kind: str = "good", part: str = "one", verdict: Verdict = Verdict.PASS,
            **values: object) -> Outcome:
    plain = Outcome(name, part, "family", kind, kind != "good", verdict, (), score, 0.0, 0.0, 0.0, math.log(score),
                    math.nan, math.nan, None, None, math.nan, NOTHING, np.zeros(NOTHING.shape, bool), 0.1, 20.0)
    return replace(plain, **values)  # type: ignore[arg-type]


def test_ranking_and_accuracy() -> None:
    figures = metrics([outcome("a", 0.2), outcome("b", 1.5), outcome("c", 2.0, "missing"), outcome("d", 0.5, "dent"),
                       outcome("e", 3.0, "missing", verdict=Verdict.CANNOT_INSPECT)])
    assert figures["auc"] == pytest.approx(5 / 6, abs=1e-4)
    assert (figures["acc"], figures["inspected"], figures["images"]) == (0.6, 0.8, 5)
    assert (figures["auc_inspected"], figures["acc_inspected"]) == (0.75, 0.5)
    assert figures["kinds"] == {"dent": 0.5, "missing": 1.0} == figures["kinds_network"]
    assert figures["kinds_geometry"] == {"dent": 0.5, "missing": 0.5}
    assert figures["auc_no_refine"] is None and figures["ms_per_image"] == 20.0


def test_intervals_are_of_parts_and_not_of_pictures() -> None:
    """Ten pictures of a part that agree say no more than one of them: the interval does not shrink with them."""
    rng = np.random.default_rng(3)
    few = [outcome(f"{k}", float(np.exp(rng.normal(bad))), "dent" if bad else "good", part=f"part {k}")
           for k in range(40) for bad in (0, 1)]
    many = [replace(o, name=f"{o.name} {k}") for o in few for k in range(10)]
    figures = metrics(few)
    low, high = figures["auc_interval"]
    assert low < figures["auc"] < high and high - low > 0.1
    assert metrics(many)["auc_interval"] == [low, high]
    assert figures["gain_over_network"] == [0.0, 0.0]  # the score is the network's here
    assert figures["gain_over_geometry"][0] > 0.1  # which is blind here
    assert metrics([outcome("a", 0.5), outcome("b", 2.0, "dent")])["auc_interval"] is None  # one part says nothing


def test_boxes_are_counted_both_ways() -> None:
    true = Box(10, 10, 10, 10)
    found = [outcome("a", 2.0, "dent", box_true=true, box_found=Box(10, 10, 10, 5)),
             outcome("b", 2.0, "dent", box_true=true), outcome("c", 0.5, "dent", box_true=true, box_found=true)]
    assert boxes(found) == {"box_iou_tp": 0.25, "box_iou_all": pytest.approx(0.5 / 3)}
    assert box_iou(Box(0, 0, 2, 2), Box(1, 1, 2, 2)) == pytest.approx(1 / 7)


def test_the_box_encloses_the_regions_that_count() -> None:
    def region(x: int, score: float) -> AnomalyRegion:
        zero = np.zeros(3)
        return AnomalyRegion(Box(x, 5, 4, 4), RegionKind.MISSING, score, 1.0, 16, zero, zero, zero)
    detection = Detection(NOTHING, 4.0, 1.0, (region(0, 4.0), region(20, 3.0), region(60, 1.5)))
    assert box_around(detection) == Box(0, 5, 24, 4)
    assert box_around(Detection(NOTHING, 0.0, 1.0, ())) is None


def test_aupro_is_one_for_the_truth_and_low_for_chance() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((4, 64, 64), bool)
    truth[0, 10:20, 10:20] = truth[1, 40:44, 30:60] = True
    assert aupro(truth, truth.astype(np.float32)) == pytest.approx(1.0, abs=1e-6)
    chance = [aupro(truth, rng.random(truth.shape).astype(np.float32)) or 0.0 for _ in range(5)]
    assert np.mean(chance) == pytest.approx(0.15, abs=0.03)  # the mean of the overlap over rates 0..0.3
    half = truth.astype(np.float32)
    half[1] = 0  # one of two defects of unlike size is never found: each counts as much
    assert aupro(truth, half) == pytest.approx(0.5, abs=0.1)
    assert aupro(np.zeros_like(truth), half) is None


def test_calibration_on_other_parts_keeps_its_promise_on_average() -> None:
    rng = np.random.default_rng(1)
    good = [outcome(f"g{k}", float(rng.lognormal()), part=f"part {k % 20}") for k in range(1000)]
    bad = [outcome(f"b{k}", 40.0, "missing", part=f"part {k % 20}") for k in range(100)]
    figures = calibrated(dealt(good + bad, 0.01))
    assert figures["frr_promised"] == 0.01 and figures["frr_measured"] == pytest.approx(0.01, abs=0.005)
    low, high = figures["frr_range"]
    assert low <= figures["frr_measured"] <= high
    assert figures["acc_calibrated"] > 0.97
    few = calibrated(dealt(good[:20], 0.01))
    assert few["frr_promised"] == pytest.approx(1 / 16)
    assert calibrated(dealt(good[:20:20], 0.01))["frr_measured"] is None


def test_defects_are_counted_by_how_much_of_the_part_they_cover() -> None:
    rng = np.random.default_rng(2)
    good = [outcome(f"g{k}", float(rng.uniform(0.5, 1)), part=f"part {k % 20}") for k in range(400)]
    small = [outcome(f"s{k}", float(rng.uniform(0.5, 1)), "dent", part=f"part {k % 20}", shown_pct=0.5)
             for k in range(40)]
    large = [outcome(f"l{k}", 9.0, "missing", part=f"part {k % 20}", shown_pct=10.0,
                     verdict=Verdict.CANNOT_INSPECT if k % 4 == 0 else Verdict.FAIL) for k in range(40)]
    unknown = [outcome("u", 9.0, "missing", part="part 1")]
    sizes = metrics([*good, *small, *large, *unknown])["sizes"]
    assert list(sizes) == ["0 to 1", "from 10"]
    assert sizes["from 10"] == {"defects": 40, "auc": 1.0, "found": 0.75, "refused": 0.25}
    assert sizes["0 to 1"]["defects"] == 40 and sizes["0 to 1"]["refused"] == 0.0
    assert sizes["0 to 1"]["auc"] == pytest.approx(0.5, abs=0.1) and sizes["0 to 1"]["found"] < 0.1


def test_defects_are_counted_by_whether_they_change_the_outline() -> None:
    good = [outcome(f"g{k}", 0.5 + 0.001 * k, part=f"part {k}", outline_pct=0.1 * k) for k in range(10)]
    changed = [outcome(f"c{k}", 9.0, "missing", outline_pct=3.0) for k in range(3)]
    kept = [outcome(f"k{k}", 0.5045, "rotational", outline_pct=0.8) for k in range(2)]
    outlines = metrics([*good, *changed, *kept, outcome("n", 9.0, "missing", outline_pct=math.nan)])["outlines"]
    assert {name: row["defects"] for name, row in outlines.items()} == {"changed": 3, "kept": 2}
    assert (outlines["changed"]["auc"], outlines["kept"]["auc"]) == (1.0, 0.5)


def test_report_shows_figures_curves_and_worst_cases(tmp_path: Path) -> None:
    outcomes = [outcome("a", 0.2), outcome("b", 9.0), outcome("c", 2.0, "missing", shown_pct=2.0),
                outcome("d", 0.1, "dent")]
    assert badness(outcomes[1]) > badness(outcomes[0]) and badness(outcomes[3]) > badness(outcomes[2])
    figures = metrics(outcomes)
    write_report(tmp_path, outcomes, figures, {o.name: np.zeros((64, 64, 3), np.uint8) for o in outcomes})
    assert {"metrics.json", "outcomes.jsonl", "report.md", "roc.png", "pr.png", "worst.png"} <= {
        p.name for p in tmp_path.iterdir()}
    assert json.loads((tmp_path / "metrics.json").read_text())["auc"] == figures["auc"]
    assert f"| auc | {figures['auc']} |" in (tmp_path / "report.md").read_text()
    assert "| kept | 2 | 0.25 | None | 0.0 |" in (tmp_path / "report.md").read_text()
    assert "| 1 to 3 | 1 | 0.5 | None | 0.0 |" in (tmp_path / "report.md").read_text()  # one part calibrates nothing
    lines = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [0.2, 9.0, 2.0, 0.1]
