"""Several cameras: each has its own settings and topics, and a slow one takes nothing from another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from ptad_msgs.msg import InspectionResult
from rclpy.context import Context
from rclpy.parameter import Parameter
from ros_harness import FAKE, Cameraman, settle

from ptad_ros.inspection_node import InspectionNode
from ptad_ros.spinning import spinning

pytestmark = pytest.mark.ros

SHOTS = 12
CELL = """\
/**:
  ros__parameters: {part: {cad: block.stl}, detection: {tolerance_mm: 2.0}}
/slow/inspection:
  ros__parameters: {part: {id: bracket}}
/fast/inspection:
  ros__parameters: {part: {id: washer}, detection: {tolerance_mm: 1.0}}
"""
SLOW_PROCESS = """\
import sys, threading
sys.path.insert(0, sys.argv.pop(1))
from ros_harness import FAKE
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.run import run

def make():
    node = InspectionNode(**FAKE)
    wait = threading.Event()
    made = node._make_inspector
    def slow(reference, config):
        inspector = made(reference, config)
        inspector.before = lambda: wait.wait(60)
        return inspector
    node._make_inspector = slow
    return node

sys.exit(run(make, sys.argv))
"""


def busy_until(go: threading.Event) -> None:
    while not go.is_set():  # holds the interpreter as much as anything in Python can
        sum(range(1000))


@contextmanager
def cameras(*names: str, nodes_here: tuple[str, ...]) -> Iterator[tuple[list[Cameraman], list[InspectionNode]]]:
    context = Context()
    rclpy.init(context=context)
    men = [Cameraman(context, namespace=name) for name in names]
    nodes = [InspectionNode(context=context, namespace=name, parameter_overrides=[
        Parameter("part.cad", value="block.stl"), Parameter("part.id", value=name)], **FAKE) for name in nodes_here]
    for node in nodes:
        node.trigger_configure()
        node.trigger_activate()
    try:
        with spinning(*men, *nodes, context=context):
            yield men, nodes
    finally:
        for node in nodes:
            node.stop()
        for node in (*nodes, *men):
            node.destroy_node()
        context.try_shutdown()


def _all_answered(fast: Cameraman, slow: Cameraman) -> None:
    for i in range(1, SHOTS + 1):
        slow.shoot(float(i))
        fast.shoot(float(i))
        answer = fast.result(float(i))
        assert (answer.verdict, answer.part_id) == (InspectionResult.PASS, "fast")
    assert len(fast.heard["result"]) == SHOTS and not slow.heard["result"]


@pytest.mark.parametrize("wait", [lambda go: go.wait(60), busy_until], ids=["waiting", "busy"])
def test_a_slow_camera_does_not_starve_another_in_one_process(wait: object) -> None:
    with cameras("slow", "fast", nodes_here=("slow", "fast")) as ((slow, fast), (slow_node, fast_node)):
        for camera in (slow, fast):
            settle(camera, 1)
        go = threading.Event()
        slow_node._inspector.before = lambda: wait(go)
        try:
            _all_answered(fast, slow)
            slow.wait(lambda: slow_node.counts.images == SHOTS)
            assert (fast_node.counts.done, fast_node.counts.dropped) == (SHOTS, 0)
        finally:
            go.set()
        assert slow.result(float(SHOTS)).part_id == "slow"  # the newest had waited, and those between are counted
        slow.wait(lambda: slow_node.counts.waiting == 0)
        assert (slow_node.counts.done, slow_node.counts.dropped) == (2, SHOTS - 2)
        assert [r.header.stamp.sec for r in slow.heard["result"]] == [1, SHOTS]


@contextmanager
def process(folder: Path, namespace: str) -> Iterator[None]:
    """The slow camera's node, with the settings of the cell's file."""
    (folder / "cell.yaml").write_text(CELL)
    command = [sys.executable, "-c", SLOW_PROCESS, str(Path(__file__).parent), "--ros-args", "-r",
               f"__ns:=/{namespace}", "--params-file", str(folder / "cell.yaml")]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:  # it waits for the image that it will never finish
            child.kill()
            child.wait()


def test_nor_in_two_processes_and_each_has_its_own_settings(tmp_path: Path) -> None:
    with cameras("slow", "fast", nodes_here=("fast",)) as ((slow, fast), (fast_node,)), process(tmp_path, "slow"):
        settle(fast, 1)
        settle(slow, 1, timeout_s=30.0)
        _all_answered(fast, slow)
        assert (fast_node.counts.done, fast_node.counts.dropped) == (SHOTS, 0)


def test_settings_of_each_camera_come_from_one_file(tmp_path: Path) -> None:
    (tmp_path / "cell.yaml").write_text(CELL)
    context = Context()
    rclpy.init(context=context, args=["--ros-args", "--params-file", str(tmp_path / "cell.yaml")])
    try:
        nodes = {name: InspectionNode(context=context, namespace=name, **FAKE) for name in ("slow", "fast", "third")}
        assert {name: (node.config.part.id, node.config.detection.tolerance_mm) for name, node in nodes.items()} == {
            "slow": ("bracket", 2.0), "fast": ("washer", 1.0), "third": ("", 2.0)}
        assert {name: node._inputs.image_topic for name, node in nodes.items()} == {
            name: f"/{name}/image_raw" for name in nodes}
        for node in nodes.values():
            node.destroy_node()
    finally:
        context.try_shutdown()
