"""The demonstration, shortened: the cell as a process of its own, a recording over DDS, results, report.

What the nodes answered over DDS is held against the offline replay of the same bag, and against the chained stages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from rclpy.parameter import Parameter
from rosbags.highlevel import AnyReader

from ptad_core.config import CellConfig, from_dict, load_yaml
from ptad_core.evaluation.replay import replay
from ptad_core.evaluation.results import FrameRecord, read_results
from ptad_core.evaluation.truth import TruthRow, read_truth, truth_table
from ptad_core.inspector import Inspector
from ptad_core.types import InspectionResult, Reason, Verdict
from ptad_ros.alignment_node import AlignmentNode
from ptad_ros.demo import SHORT_FRAMES, misjudged, run
from ptad_ros.detection_node import DetectionNode
from ptad_ros.player import Player
from ptad_ros.segmentation_node import SegmentationNode
from ptad_ros.spinning import spinning

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a run of the demonstration left, and what it said; its seed is the default one, 0."""
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run([sys.executable, "-m", "ptad_ros.demo", "--out", str(out), "--short"], cwd=ROOT,
                          capture_output=True, text=True, timeout=300, check=False)
    log = out / "inspection_node.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    return out, done.stdout


@pytest.fixture(scope="module")
def over_dds(shown: tuple[Path, str]) -> list[FrameRecord]:
    return read_results(shown[0] / "results.jsonl")


def said(record: FrameRecord | InspectionResult) -> tuple[str, list[str]]:
    return record.verdict.name, [reason.name for reason in record.reasons]


def test_every_image_is_answered_and_reported(shown: tuple[Path, str], over_dds: list[FrameRecord]) -> None:
    out, text = shown
    truth = read_truth(out / "truth.jsonl")
    assert [r.stamp_ns for r in over_dds] == sorted(truth) and len(truth) == SHORT_FRAMES
    assert str(out / "report.html") in text
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<article") == SHORT_FRAMES and 'src="http' not in page
    for kind in {t.kind for t in truth.values()}:
        assert kind in text and kind in page


def test_verdicts_are_true(shown: tuple[Path, str], over_dds: list[FrameRecord]) -> None:
    """Intact parts pass, what cannot be judged is not judged, and each kind of defect is seen."""
    rows = {row.kind: row for row in truth_table(
        (truth, record.verdict) for record in over_dds
        for truth in [read_truth(shown[0] / "truth.jsonl")[record.stamp_ns]])}
    defects = {"missing", "positional", "rotational", "broken", "swapped"}
    assert rows.keys() == {"intact", "empty", "cut"} | defects
    assert rows["intact"].counts.keys() == {Verdict.PASS}
    assert rows["empty"].counts.keys() == rows["cut"].counts.keys() == {Verdict.CANNOT_INSPECT}
    assert all(rows[kind].counts.get(Verdict.FAIL, 0) >= 1 for kind in defects), rows
    assert misjudged(list(rows.values())) == []


def row(kind: str, expected: Verdict, passed: int = 0, failed: int = 0, refused: int = 0) -> TruthRow:
    return TruthRow(kind, expected, {Verdict.PASS: passed, Verdict.FAIL: failed, Verdict.CANNOT_INSPECT: refused})


GOOD = [row("intact", Verdict.PASS, passed=9), row("cut", Verdict.CANNOT_INSPECT, refused=2),
        row("missing", Verdict.FAIL, failed=5), row("broken", Verdict.FAIL, failed=3, passed=1, refused=1)]


@pytest.mark.parametrize(("worse", "problem"), [
    (GOOD, None),
    ([*GOOD, row("empty", Verdict.CANNOT_INSPECT, passed=1, refused=4)], "1 of 5 empty images are not CANNOT_INSPECT"),
    ([row("intact", Verdict.PASS, passed=60, failed=1), *GOOD[1:]], "1 of 61 intact images are not PASS"),
    ([row("intact", Verdict.PASS, passed=60, refused=1), *GOOD[1:]], "1 of 61 intact images are not PASS"),
    ([*GOOD, row("swapped", Verdict.FAIL, passed=1)], "8 of 11 images with a defect FAIL, fewer than 80%"),
])
def test_the_demonstration_judges_itself(worse: list[TruthRow], problem: str | None) -> None:
    assert misjudged(worse) == ([problem] if problem else [])


def test_wrong_verdicts_are_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ptad_core.synthesis.recording.generate_demo", lambda *_, **__: None)
    monkeypatch.setattr("ptad_ros.demo._through_the_cell", lambda _: [])
    for rows, frames, code in ((GOOD, 21, 0), (GOOD, 22, 1), (GOOD[::-1][:1], 5, 1)):
        monkeypatch.setattr("ptad_ros.demo._report", lambda _, rows=rows: rows)
        assert run(tmp_path, frames) == code
        assert bool(capsys.readouterr().err) == bool(code)


def test_recorded_results_can_be_read_by_anyone(shown: tuple[Path, str], over_dds: list[FrameRecord]) -> None:
    """The bag brings the definitions of its messages along."""
    with AnyReader([shown[0] / "results"]) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
        assert types["/result"] == "ptad_msgs/msg/InspectionResult"
        assert {"/mask", "/mask_status", "/aligned_pose", "/rendered_depth", "/anomaly_map"} <= types.keys()
        results = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages() if c.topic == "/result"]
    assert [(int(r.verdict), r.message) for r in results] == [(int(r.verdict), r.message) for r in over_dds]


def test_replay_gives_the_same_answers(shown: tuple[Path, str], over_dds: list[FrameRecord], tmp_path: Path) -> None:
    config = from_dict(CellConfig, load_yaml(shown[0] / "cell.yaml"))
    replay(shown[0] / "bag", config, tmp_path)
    replayed = read_results(tmp_path / "results.jsonl")
    assert [r.stamp_ns for r in replayed] == [r.stamp_ns for r in over_dds]
    for offline, online in zip(replayed, over_dds, strict=True):
        assert said(offline) == said(online), offline.index
        assert (offline.pose is None) == (online.pose is None)
        if offline.pose is not None and online.pose is not None:
            np.testing.assert_allclose(online.pose.T_camera_part, offline.pose.T_camera_part, atol=1e-6)
        assert (offline.score is None) == (online.score is None)
        assert offline.score is None or offline.score == pytest.approx(online.score, rel=1e-5)
        assert [r.box_px for r in offline.regions] == [r.box_px for r in online.regions]


@pytest.fixture
def chain(shown: tuple[Path, str]) -> Iterator[Player]:
    """Three stage nodes with the demonstration's settings, and a player in front of them."""
    config = from_dict(CellConfig, load_yaml(shown[0] / "cell.yaml"))
    reference = Inspector.from_config(config).reference
    context = rclpy.context.Context()
    rclpy.init(context=context)
    overrides = [Parameter("part.cad", value=config.part.cad), Parameter("part.unit", value=config.part.unit),
                 Parameter("tf.part_frame", value=config.tf.part_frame), Parameter("tf.timeout_s", value=2.0),
                 Parameter("input.stage_timeout_s", value=60.0),
                 Parameter("qos_overrides./image_raw.subscription.reliability", value="reliable")]
    stages = [stage(context=context, parameter_overrides=overrides, load=lambda _part, _config: reference)
              for stage in (SegmentationNode, AlignmentNode, DetectionNode)]
    player = Player(shown[0] / "bag", context=context)
    for stage in stages:
        stage.trigger_configure()
        stage.trigger_activate()
    with spinning(*stages, player, context=context):
        yield player
    for stage in stages:
        stage.stop()
    for node in (*stages, player):
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_chained_stages_give_the_verdicts_of_the_cell(chain: Player, over_dds: list[FrameRecord]) -> None:
    assert chain.wait_for_cell(30.0, listeners=3)
    played = chain.play(lockstep_s=60.0)
    assert not played.unanswered
    answers = [(Verdict(a.verdict).name, [Reason(r).name for r in a.reasons])
               for _, a in sorted(played.answers.items())]
    assert answers == [said(record) for record in over_dds]
