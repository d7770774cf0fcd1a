"""Replay: every frame in, every frame out, the same bytes each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bag_making import PERIOD_NS, START_NS, Item, camera_info, raw_image, write_bag
from part_making import CAMERA, bracket, config, empty_table, picture, pose, save

from ptad_core.config import CellConfig, from_dict, load_yaml, to_dict
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.replay import exit_code_of, replay
from ptad_core.evaluation.results import read_results
from ptad_core.evaluation.truth import Truth
from ptad_core.inspector import Inspector
from ptad_core.types import InspectionResult, Reason, SeedSource, Verdict

PICTURES = [picture(bracket(), pose()), picture(bracket(), pose(3)), picture(bracket(peg=False), pose(6)),
            empty_table(), picture(bracket(), pose(9))]
EXPECTED = [Verdict.PASS, Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_INSPECT, Verdict.PASS]


@pytest.fixture(scope="module")
def cad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(bracket(), tmp_path_factory.mktemp("cad") / "bracket.stl")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    items = []
    for i, image in enumerate(PICTURES):
        stamp_ns = START_NS + i * PERIOD_NS
        items += [Item("/camera_info", stamp_ns, camera_info(stamp_ns, CAMERA)),
                  Item("/image_raw", stamp_ns, raw_image(stamp_ns, image, "bgr8"))]
    return write_bag(tmp_path_factory.mktemp("bags") / "bag", items)


def test_replay_writes_results_times_evidence_config_and_report(tmp_path: Path, bag: Path, cad: Path) -> None:
    seen: list[tuple[Frame, InspectionResult]] = []
    truth = {START_NS + i * PERIOD_NS: Truth(verdict.name.lower(), verdict) for i, verdict in enumerate(EXPECTED)}
    summary = replay(bag, config(cad), tmp_path, lambda frame, result: seen.append((frame, result)), truth)
    records = read_results(tmp_path / "results.jsonl")
    assert [record.verdict for record in records] == EXPECTED
    assert [result.verdict for _, result in seen] == EXPECTED
    assert records[2].reasons == (Reason.MATERIAL_MISSING,)
    assert [record.stamp_ns for record in records] == [START_NS + i * PERIOD_NS for i in range(5)]
    assert summary.frames == summary.expected == 5 and summary.exit_code == 1
    assert [(row.right, row.frames) for row in summary.truth] == [(3, 3), (1, 1), (1, 1)]
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [line["index"] for line in times] == list(range(5))
    assert times[0]["times_ms"]["align"] > 0
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == [
        "000002_FAIL.jpg", "000003_CANNOT_INSPECT.jpg"]
    assert from_dict(CellConfig, load_yaml(tmp_path / "config.yaml")) == config(cad)
    assert 'id="f4"' in (tmp_path / "report.html").read_text()


def test_two_runs_give_identical_bytes_even_in_another_process(tmp_path: Path, bag: Path, cad: Path) -> None:
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(to_dict(config(cad))))
    for out in ("first", "second"):
        replay(bag, config(cad), tmp_path / out)
    run = subprocess.run(
        [sys.executable, "-m", "ptad_core.cli", "replay", str(bag), "--config", str(tmp_path / "cell.yaml"),
         "--out", str(tmp_path / "third"), "--quiet"], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    lines = [(tmp_path / out / "results.jsonl").read_bytes() for out in ("first", "second", "third")]
    assert lines[0].count(b"\n") == 5
    assert lines[0] == lines[1] == lines[2]


def test_a_part_is_found_and_then_tracked(tmp_path: Path, bag: Path, cad: Path) -> None:
    replay(bag, config(cad), tmp_path)
    records = read_results(tmp_path / "results.jsonl")
    sources = [None if record.pose is None else record.pose.seed_source for record in records]
    assert sources[:4] == [SeedSource.BLIND, SeedSource.TRACK, SeedSource.TRACK, None]


def test_a_stamp_that_jumps_back_forgets_the_track(tmp_path: Path, cad: Path) -> None:
    items = []
    for log_ns, stamp_ns in ((START_NS, START_NS + 10**10), (START_NS + PERIOD_NS, START_NS)):
        items += [Item("/camera_info", log_ns, camera_info(stamp_ns, CAMERA)),
                  Item("/image_raw", log_ns, raw_image(stamp_ns, PICTURES[0], "bgr8"))]
    replay(write_bag(tmp_path / "bag", items), config(cad), tmp_path / "out")
    poses = [record.pose for record in read_results(tmp_path / "out" / "results.jsonl")]
    assert [pose.seed_source for pose in poses if pose] == [SeedSource.BLIND, SeedSource.BLIND]


def test_a_fault_of_the_inspector_is_answered(tmp_path: Path, bag: Path, cad: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    inspect = Inspector.inspect
    count = iter(range(5))

    def faulty(self: Inspector, *args: object) -> InspectionResult:
        if next(count) == 1:
            raise ZeroDivisionError("the sky fell")
        return inspect(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Inspector, "inspect", faulty)
    summary = replay(bag, config(cad), tmp_path)
    record = read_results(tmp_path / "results.jsonl")[1]
    assert summary.frames == 5
    assert record.verdict is Verdict.CANNOT_INSPECT and record.reasons == (Reason.INTERNAL_ERROR,)
    assert "the sky fell" in record.message


@pytest.mark.parametrize(("verdicts", "code"), [
    ([Verdict.PASS], 0), ([Verdict.PASS, Verdict.FAIL], 1), ([Verdict.PASS, Verdict.CANNOT_INSPECT], 2),
    ([Verdict.FAIL, Verdict.CANNOT_INSPECT], 1), ([], 2),
])
def test_exit_codes(verdicts: list[Verdict], code: int) -> None:
    assert exit_code_of(verdicts) == code
