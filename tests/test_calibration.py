"""Split-conformal calibration: the promise, its files, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from part_making import CAMERA, bracket, config, picture, pose, save
from result_making import not_inspected, passed

from ptad_core.calibration import Calibration, calibrate, calibration_path, fingerprint, threshold_of
from ptad_core.cli import main
from ptad_core.config import DetectionConfig, InspectorConfig, to_dict
from ptad_core.errors import CalibrationError
from ptad_core.evaluation.results import read_results
from ptad_core.inspector import Inspector
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


def test_command_line_calibrates_and_inspection_uses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of good parts at a rate of 20 %, then one of them again, and one with a piece missing."""
    cad = save(bracket(), tmp_path / "bracket.stl")
    (tmp_path / "good").mkdir()
    for k in range(5):
        cv2.imwrite(str(tmp_path / "good" / f"{k}.png"), picture(bracket(), pose(2.0 * k, (k, 0, 0)), seed=k))
    values = to_dict(config(cad))
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(values))
    numbers = f"{CAMERA.fx},{CAMERA.fy},{CAMERA.cx},{CAMERA.cy}"
    options = ["--config", str(file), "--camera", numbers]
    assert main(["calibrate", str(tmp_path / "good"), *options, "--rate", "0.1"]) == 2
    assert "at least 9 inspected images" in capsys.readouterr().err
    assert main(["calibrate", str(tmp_path / "good"), *options, "--rate", "0.2"]) == 0
    assert "5 images of good parts, 0 more" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "good" / "1.png"), *options, "--out", str(tmp_path / "out")]) == 0
    (record,) = read_results(tmp_path / "out" / "results.jsonl")
    assert record.p_value is not None and record.p_value > 0.2
    off = ["--set", "detection.calibration=none", "--out", str(tmp_path / "off")]
    assert main(["inspect", str(tmp_path / "good" / "1.png"), *options, *off]) == 0
    (record,) = read_results(tmp_path / "off" / "results.jsonl")
    assert (record.p_value, record.threshold) == (None, 1.0)


def test_inspector_refuses_what_was_calibrated_otherwise(tmp_path: Path) -> None:
    cad = save(bracket(), tmp_path / "bracket.stl")
    inspector = Inspector.from_config(config(cad))
    made = calibrate([good(k) for k in range(9)], inspector.detector, 0.1)
    with pytest.raises(CalibrationError, match="reference"):
        inspector.use_calibration(made)
    right = replace(made, reference_hash=inspector.reference.hash)
    inspector.use_calibration(right)
    assert inspector.calibration is right
    other = Inspector(inspector.reference, replace(inspector.config, detection=DetectionConfig(tolerance_mm=1.0)))
    with pytest.raises(CalibrationError, match="detector"):
        other.use_calibration(right)
    path = calibration_path(inspector.config, right.reference_hash)
    right.save(path)
    assert Inspector.from_config(inspector.config).calibration == right
    assert Inspector(inspector.reference, other.config).calibration is None, "made with another tolerance"
    named = replace(other.config, detection=replace(other.config.detection, calibration=str(path)))
    with pytest.raises(CalibrationError, match="detector"):
        Inspector(inspector.reference, named)
