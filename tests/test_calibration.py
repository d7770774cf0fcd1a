"""Split-conformal calibration: the promise, its files, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from result_making import not_inspected, passed

from ptad_core.calibration import Calibration, calibrate, fingerprint, threshold_of
from ptad_core.config import DetectionConfig, InspectorConfig
from ptad_core.errors import CalibrationError
from ptad_core.types import InspectionResult

DETECTOR = fingerprint(InspectorConfig())


def good(score: float) -> InspectionResult:
    result = passed()
    assert result.detection is not None
    return replace(result, detection=replace(result.detection, score=score))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("rounded", [False, True])
def test_promised_rate_holds_on_fresh_scores(rate: float, rounded: bool) -> None:
    """Over many calibrations, whatever the distribution, also with ties."""
    rng = np.random.default_rng(7)
    rejected = []
    for _ in range(400):
        scores = rng.lognormal(0, 2, 199)
        fresh = rng.lognormal(0, 2, 200)
        if rounded:
            scores, fresh = np.rint(scores), np.rint(fresh)
        rejected.append((fresh > threshold_of(tuple(np.sort(scores)), rate)).mean())
    assert np.mean(rejected) <= rate + 3 * np.std(rejected) / np.sqrt(len(rejected))
    if not rounded:
        assert np.mean(rejected) > 0.7 * rate  # and it is not bought by failing nothing


def test_p_value_and_threshold_say_the_same() -> None:
    rng = np.random.default_rng(8)
    made = calibrate([good(s) for s in np.round(rng.exponential(size=150), 1)], DETECTOR, 0.05)
    for score in np.arange(0, 8, 0.05):
        assert (made.p_value(score) <= made.false_reject_rate) == (score > made.threshold)
    assert made.p_value(-1.0) == 1.0
    assert made.p_value(1e9) == pytest.approx(1 / 151)


def test_images_without_a_score_are_counted_and_not_used() -> None:
    made = calibrate([*(good(k) for k in range(20)), not_inspected()], DETECTOR, 0.05)
    assert (len(made.scores), made.not_inspected, made.part_id) == (20, 1, "bracket")


def test_too_few_images_and_two_parts_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"at least 99 .* got 98"):
        calibrate([good(k) for k in range(98)], DETECTOR, 0.01)
    assert calibrate([good(k) for k in range(99)], DETECTOR, 0.01).threshold == 98
    with pytest.raises(CalibrationError, match="2 parts"):
        calibrate([good(0), replace(good(1), part_id="other")], DETECTOR, 0.5)
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        calibrate([good(0)], DETECTOR, 1.0)


def test_file_comes_back_and_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "it.json"
    made = calibrate([good(k / 7) for k in range(99)], DETECTOR)
    made.save(path)
    assert Calibration.load(path) == made
    values = json.loads(path.read_text())
    for change in ({"threshold": 0.0}, {"schema": 99}, {"scores": "no"}, {"more": 1}):
        path.write_text(json.dumps({**values, **change}))
        with pytest.raises(CalibrationError):
            Calibration.load(path)
    path.write_text("[]")
    with pytest.raises(CalibrationError):
        Calibration.load(path)
    with pytest.raises(CalibrationError):
        Calibration.load(tmp_path / "none.json")


def test_fingerprint_follows_what_scores_depend_on() -> None:
    assert fingerprint(InspectorConfig(detection=DetectionConfig(tolerance_mm=2.0))) != DETECTOR
    assert fingerprint(InspectorConfig(), "weights") != DETECTOR
    assert fingerprint(InspectorConfig()) == DETECTOR
