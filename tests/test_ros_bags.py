"""The player and the recorder: order, damage, silence, a full disk."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from ptad_msgs.msg import InspectionResult
from rclpy.context import Context
from rclpy.node import Node
from rosbags.rosbag2 import WriterError

from ptad_core.camera import Camera
from ptad_core.errors import BagError
from ptad_core.evaluation.messages import stamp_ns
from ptad_core.evaluation.recording import Recording, deserialize
from ptad_core.frames import make_transform
from ptad_core.synthesis.bag_writer import BagWriter
from ptad_ros.collect import read_results
from ptad_ros.player import Player
from ptad_ros.recorder import Recorder
from ptad_ros.spinning import spinning

pytestmark = pytest.mark.ros

S = 1_000_000_000
START = 1000 * S
PERIOD = S // 10


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag", "cam", "cell", Camera(250.0, 250.0, 79.5, 59.5, 160, 120)) as writer:
        writer.write_static(START, "part_nominal", np.eye(4))
        for i in range(20):
            T = make_transform(np.eye(3), np.array([0.0, 0.0, 0.1 * i]))
            writer.write_frame(START + i * PERIOD, rng.integers(0, 255, (120, 160, 3), np.uint8), T)
    return tmp_path / "bag"


def test_transforms_are_sent_ahead_of_the_images_they_belong_to(bag: Path, context: Context) -> None:
    player = Player(bag, context=context)
    images, newest_tf = [], 0
    for _, raw in player._in_order():
        message = deserialize(raw)
        if raw.topic == "/tf":
            newest_tf = max(newest_tf, stamp_ns(message.transforms[0].header))
        elif raw.msgtype.endswith("Image"):
            images.append(stamp_ns(message.header))
            assert newest_tf > images[-1] or newest_tf == START + 19 * PERIOD
    assert images == [START + i * PERIOD for i in range(20)]
    player.destroy_node()


def test_lockstep_without_a_cell_ends_and_names_what_was_not_answered(bag: Path, context: Context) -> None:
    player = Player(bag, context=context)
    with spinning(player, context=context):
        assert not player.wait_for_cell(0.2)
        told: list[Any] = []
        played = player.play(lockstep_s=0.01, on_answer=lambda stamp, result: told.append((stamp, result)))
    assert played.unanswered == played.sent == [START + i * PERIOD for i in range(20)]
    assert told == [(stamp, None) for stamp in played.sent]
    player.destroy_node()


def test_keeps_time_without_lockstep(bag: Path, context: Context) -> None:
    player = Player(bag, context=context)
    started = time.monotonic()
    player.play(rate=4.0)
    assert 1.9 / 4 < time.monotonic() - started < 1.9 / 4 + 1.0
    player.destroy_node()


def test_what_is_readable_of_a_cut_bag_is_played_and_the_loss_stated(bag: Path, context: Context) -> None:
    (file,) = bag.glob("*.mcap")
    whole = file.read_bytes()
    file.write_bytes(whole[:len(whole) * 3 // 4])
    player = Player(bag, context=context)
    assert "lost" in player.loss
    played = player.play(rate=1000.0)
    assert 0 < len(played.sent) < 20 and len(played.sent) == player.images
    player.destroy_node()


def test_no_bag_is_an_error_that_names_it(tmp_path: Path, context: Context) -> None:
    with pytest.raises(BagError, match="nothing_here"):
        Player(tmp_path / "nothing_here", context=context)


def _send(node: Node, count: int) -> None:
    publisher = node.create_publisher(InspectionResult, "result", 50)
    until = time.monotonic() + 10
    while not publisher.get_subscription_count() and time.monotonic() < until:
        time.sleep(0.01)
    for i in range(count):
        result = InspectionResult(verdict=InspectionResult.PASS, part_id="block", score=0.0, threshold=1.0)
        result.header.stamp.sec = i + 1
        publisher.publish(result)


def _wait(recorder: Recorder, count: int) -> None:
    until = time.monotonic() + 10
    while recorder.counts["result"] < count and not recorder.error and time.monotonic() < until:
        time.sleep(0.01)


def test_records_every_result_with_its_definition(tmp_path: Path, context: Context) -> None:
    recorder, camera = Recorder(tmp_path / "results", context=context), Node("camera", context=context)
    with spinning(recorder, context=context):
        _send(camera, 25)
        _wait(recorder, 25)
    recorder.close()
    recorder.close()
    results = read_results(tmp_path / "results")
    assert list(results) == [(i + 1) * S for i in range(25)]
    assert {r.part_id for r in results.values()} == {"block"}
    assert Recording(tmp_path / "results").read == {"/result": 25}
    with pytest.raises(WriterError, match="exists already"):
        Recorder(tmp_path / "results", context=context)
    for node in (recorder, camera):
        node.destroy_node()


def test_a_full_disk_ends_the_recording_with_a_word(tmp_path: Path, context: Context,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, camera = Recorder(tmp_path / "results", context=context), Node("camera", context=context)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder._writer, "write", full)
    with spinning(recorder, context=context):
        _send(camera, 3)
        _wait(recorder, 3)
    recorder.close()
    assert "No space left" in recorder.error and recorder.counts["result"] == 0
    for node in (recorder, camera):
        node.destroy_node()
