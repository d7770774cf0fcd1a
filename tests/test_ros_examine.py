"""The doctor at a running camera: what a cell would stumble over, each with its remedy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from ros_harness import BEST_EFFORT, CAMERA, Cameraman, cell, picture
from sensor_msgs.msg import Image

from ptad_core.advice import NEXT_STEP
from ptad_core.config import CellConfig, InputConfig, TfConfig
from ptad_core.doctor import Finding, Severity, check_live
from ptad_core.frames import make_transform
from ptad_core.types import Reason
from ptad_ros.examine import Examiner, findings
from ptad_ros.images import camera_info, image_message
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros


@contextmanager
def shooting(shoot: Callable[[Cameraman, float], None], namespace: str = "camera") -> Iterator[Cameraman]:
    """A camera that takes pictures all the time."""
    context = Context()
    rclpy.init(context=context)
    camera, stop = Cameraman(context, namespace=namespace), threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            shoot(camera, time.time())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield camera
    finally:
        stop.set()
        thread.join()
        camera.destroy_node()
        context.try_shutdown()


def examine(config: CellConfig | None = None, seconds: float = 0.8) -> dict[str, Finding]:
    """Return what the doctor says, by what it looked at; the worst where it says several things."""
    config = config or CellConfig()
    context = Context()
    rclpy.init(context=context)
    node = Examiner(config, "camera", context=context)
    try:
        said = list(findings(node.listen(seconds), config, node.transforms))
    finally:
        node.destroy_node()
        context.try_shutdown()
    worst = sorted(said, key=lambda f: list(Severity).index(f.severity))
    assert all(bool(f.next_step) == (f.severity is not Severity.OK) for f in said)
    return {finding.name: finding for finding in worst}


def good(camera: Cameraman, t_s: float) -> None:
    camera.shoot(t_s)


def test_a_camera_that_is_fit() -> None:
    with shooting(good):
        said = examine()
    assert {name: f.severity for name, f in said.items()} == dict.fromkeys(
        ("image", "camera_info", "stamps", "TF", "node"), Severity.OK)
    assert said["image"].what.startswith("160x120 bgr8, ") and "fx = 200.0 px" in said["camera_info"].what


def _with_info(change: Callable[[Any], None]) -> Callable[[Cameraman, float], None]:
    def shoot(camera: Cameraman, t_s: float) -> None:
        info = camera_info(CAMERA, camera.header(t_s))
        change(info)
        camera.info.publish(info)
        camera.image.publish(image_message(picture(), "bgr8", camera.header(t_s)))
    return shoot


def _encoding(camera: Cameraman, t_s: float) -> None:
    message = image_message(picture(), "bgr8", camera.header(t_s))
    message.encoding = "bgr9"
    camera.image.publish(message)


def _large(camera: Cameraman, t_s: float) -> None:
    camera.image.publish(image_message(np.zeros((500, 700, 3), np.uint8), "bgr8", camera.header(t_s)))


CASES = {
    "encoding": (_encoding, "image", Severity.ERROR, "bgr9", NEXT_STEP[Reason.BAD_ENCODING]),
    "transport": (_large, "image transport", Severity.WARNING, "best effort", "reliably"),
    "K zeros": (_with_info(lambda i: setattr(i, "k", np.zeros(9))), "camera_info", Severity.ERROR, "all zeros",
                NEXT_STEP[Reason.BAD_INTRINSICS]),
    "size": (_with_info(lambda i: setattr(i, "width", 320)), "camera_info", Severity.ERROR, "320x120",
             NEXT_STEP[Reason.SIZE_MISMATCH]),
    "frame": (_with_info(lambda i: setattr(i.header, "frame_id", "other")), "camera_info", Severity.ERROR, "'other'",
              NEXT_STEP[Reason.CAMERA_INFO_MISSING]),
    "no info": (lambda c, t: c.shoot(t, info=False), "camera_info", Severity.ERROR, "came: none",
                NEXT_STEP[Reason.CAMERA_INFO_MISSING]),
    "stamps of info": (_with_info(lambda i: setattr(i.header.stamp, "nanosec", i.header.stamp.nanosec // 2 + 1)),
                       "camera_info stamps", Severity.WARNING, "none is that of an image", "one stamp"),
    "clock behind": (lambda c, t: c.shoot(t - 5.0), "stamps", Severity.WARNING, "before this machine's", "chrony"),
    "clock ahead": (lambda c, t: c.shoot(t + 5.0), "stamps", Severity.WARNING, "after this machine's", "chrony"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_camera_is_said_with_its_remedy(case: str) -> None:
    shoot, name, severity, words, remedy = CASES[case]
    with shooting(shoot):
        finding = examine()[name]
    assert finding.severity is severity and words in finding.what and remedy in finding.next_step


def test_nobody_there_and_where_the_images_are_instead() -> None:
    with shooting(good, namespace="elsewhere"):
        finding = examine(seconds=0.8)["images"]
    assert finding.severity is Severity.ERROR
    assert "nobody publishes /camera/image_raw; images are published on /elsewhere/image_raw" in finding.what


def test_a_driver_that_publishes_nothing_and_two_of_them() -> None:
    with shooting(lambda _camera, _t: None):
        finding = examine(seconds=0.8)["images"]
        assert finding.severity is Severity.ERROR and "no image came" in finding.what
    with shooting(good) as camera:
        other = rclpy.create_node("other_driver", context=camera.context, namespace="camera")
        other.create_publisher(Image, "image_raw", BEST_EFFORT)
        finding = examine()["images"]
        assert finding.severity is Severity.WARNING and "cameraman, other_driver" in finding.what
        other.destroy_node()


def _with_tf(z: float) -> Callable[[Cameraman, float], None]:
    def shoot(camera: Cameraman, t_s: float) -> None:
        camera.move(t_s, make_transform(np.eye(3), np.array([0.0, 0.0, -z])))
        camera.move(t_s, None, "cell", "nest")
        camera.shoot(t_s)
    return shoot


@pytest.mark.parametrize(("shoot", "severity", "words"), [
    (_with_tf(0.6), Severity.OK, "0.600 m before the camera"), (_with_tf(-0.6), Severity.ERROR, "behind the camera"),
    (good, Severity.ERROR, "no transform of frame")])
def test_the_nominal_pose_at_the_stamp(shoot: Callable[[Cameraman, float], None], severity: Severity,
                                       words: str) -> None:
    with shooting(shoot):
        finding = examine(CellConfig(tf=TfConfig(part_frame="nest")))["TF"]
        assert finding.severity is severity and words in finding.what


def test_compressed_images_are_asked_for_where_the_cell_does() -> None:
    with shooting(good):
        finding = examine(CellConfig(input=InputConfig(compressed=True)), seconds=0.8)["images"]
        assert "/camera/image_raw/compressed has a publisher, and no image came" in finding.what


@pytest.mark.parametrize(("lost", "severity", "words"), [
    (1, Severity.OK, "is active"), (1000, Severity.WARNING, "does not answer")])
def test_a_node_whose_first_answer_is_lost_and_one_that_never_answers(lost: int, severity: Severity,
                                                                      words: str) -> None:
    """A node that says nothing is not a node that is not there."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("silent", context=context, namespace="camera")
    service = node.create_service(GetState, "inspection/get_state", lambda _request, response: response)
    stop = threading.Event()

    def work() -> None:
        """Take the requests by hand, as nothing spins this node."""
        taken = 0
        while not stop.wait(0.02):
            request, header = service.handle.service_take_request(GetState.Request)
            taken += request is not None
            if request is not None and taken > lost:
                service.send_response(GetState.Response(current_state=State(label="active")), header)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with shooting(good):
            finding = examine()["node"]
    finally:
        stop.set()
        thread.join()
        context.try_shutdown()
    assert finding.severity is severity and words in finding.what


def test_a_node_that_is_not_active_and_the_whole_by_the_doctor() -> None:
    """In a process of its own, as `ptad doctor --live` does."""
    with cell(InspectionNode, start=False) as (camera, (node,)):
        camera.do(node.trigger_configure)
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.05):
                camera.shoot(time.time())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            said = {finding.name: finding for finding in check_live("/", None, "")}
        finally:
            stop.set()
            thread.join()
    assert said["image"].severity is Severity.OK
    assert said["node"].severity is Severity.WARNING and "inactive" in said["node"].what
    (failed,) = check_live("not a namespace", None, "")
    assert failed.severity is Severity.ERROR and failed.next_step
