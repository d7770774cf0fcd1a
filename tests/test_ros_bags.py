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
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

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
from ptad_ros.tf import TF_QOS, TF_STATIC_QOS

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


def test_damaged_transforms_are_left_out_with_a_word(tmp_path: Path, context: Context,
                                                     capfd: pytest.CaptureFixture[str]) -> None:
    with BagWriter(tmp_path / "bag", "cam", "cell", Camera(250.0, 250.0, 79.5, 59.5, 160, 120)) as writer:
        writer.write_static(START, "part_nominal", np.eye(4))
        for connection in (writer._tf_static, writer._tf, writer._infos):
            writer._writer.write(connection, START, b"\x00\x01\x00\x00\x05\x00\x00\x00\x07")
        for i in range(3):
            writer.write_frame(START + i * PERIOD, np.zeros((120, 160, 3), np.uint8), np.eye(4))
    player, robot = Player(tmp_path / "bag", context=context), Node("robot", context=context)
    static: list[Any] = []
    moving: list[Any] = []
    robot.create_subscription(TFMessage, "/tf_static", static.append, TF_STATIC_QOS)
    robot.create_subscription(TFMessage, "/tf", moving.append, TF_QOS)
    with spinning(player, robot, context=context):
        while not player.count_subscribers("/tf"):
            time.sleep(0.01)
        played = player.play(rate=10.0)
        until = time.monotonic() + 5
        while (len(moving) < 3 or not static) and time.monotonic() < until:
            time.sleep(0.01)
    assert len(played.sent) == 3
    assert [t.child_frame_id for message in static for t in message.transforms] == ["part_nominal"]
    assert len(moving) == 3
    told = capfd.readouterr().err
    assert all(f"cannot send a message: {topic}: not a readable" in told for topic in ("/tf_static", "/tf"))
    for node in (player, robot):
        node.destroy_node()


@pytest.mark.parametrize("period_ns", [0, PERIOD])
def test_lockstep_waits_for_every_image_of_a_repeated_stamp(tmp_path: Path, context: Context, period_ns: int) -> None:
    """A camera without a clock stamps all its images alike."""
    first_ns = 0 if period_ns == 0 else START
    with BagWriter(tmp_path / "bag", "cam", "cell", Camera(250.0, 250.0, 79.5, 59.5, 160, 120)) as writer:
        for i in range(6):
            writer.write_frame(first_ns + i // 2 * period_ns, np.full((120, 160, 3), i, np.uint8), np.eye(4))
    player, cell = Player(tmp_path / "bag", context=context), Node("cell", context=context)
    results = cell.create_publisher(InspectionResult, "result", 10)
    under_way: list[int] = []
    most = 0

    def answer(image: Image) -> None:
        nonlocal most
        under_way.append(image.data[0])
        most = max(most, len(under_way))
        time.sleep(0.1)
        if image.data[0] != 5:  # the last one is never answered
            results.publish(InspectionResult(header=image.header))

    def told(_stamp: int, result: InspectionResult | None) -> None:
        answers.append(result is not None)
        under_way.pop()

    answers: list[bool] = []
    cell.create_subscription(Image, "image_raw", answer, 10)
    with spinning(cell, context=context), spinning(player, context=context):
        assert player.wait_for_cell(10.0)
        played = player.play(lockstep_s=1.0, on_answer=told)
    assert answers == [True] * 5 + [False]
    assert most == 1  # each image was sent after the answer to the one before
    assert played.unanswered == [first_ns + 2 * period_ns]
    for node in (player, cell):
        node.destroy_node()
