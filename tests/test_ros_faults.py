"""What `make faults` found, in small: the node lives on, and says what is wrong with what surrounds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ptad_msgs.msg import InspectionResult
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.parameter import Parameter
from ros_harness import BEST_EFFORT, FAKE, Cameraman, cell, fake_reference
from sensor_msgs.msg import Image

from ptad_core.advice import NEXT_STEP
from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.types import Reason
from ptad_ros import run, stage_node
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros

TOLD = {"settings": {"output.diagnostics_period_s": 0.1}, "listen": {"/diagnostics": DiagnosticArray}}


def wait_for_words(camera: Cameraman, *words: str) -> DiagnosticStatus:
    """Wait until a status says all these words; return it."""
    def found() -> DiagnosticStatus | None:
        statuses = [a.status[0] for a in camera.heard["/diagnostics"]]
        return next((s for s in statuses if all(w in s.message for w in words)), None)

    camera.wait(found)
    status = found()
    assert status is not None
    return status


@pytest.mark.parametrize("transition", [
    Transition(id=Transition.TRANSITION_CLEANUP), Transition(id=77), Transition(label="cleanup")])
def test_a_transition_that_is_not_possible_is_refused_and_the_node_goes_on(transition: Transition) -> None:
    with cell(InspectionNode) as (camera, (node,)):
        client = camera.create_client(ChangeState, "/inspection/change_state")
        assert client.wait_for_service(5.0)
        future = client.call_async(ChangeState.Request(transition=transition))
        camera.wait(future.done)
        assert not future.result().success and node.active
        camera.shoot(1.0)
        assert camera.result(1.0).verdict == InspectionResult.PASS


def test_an_unknown_parameter_is_refused_by_name_while_running() -> None:
    with cell(InspectionNode) as (camera, _):
        client = camera.create_client(SetParameters, "/inspection/set_parameters")
        assert client.wait_for_service(5.0)
        future = client.call_async(SetParameters.Request(
            parameters=[Parameter("segmentation.metod", value="auto").to_parameter_msg()]))
        camera.wait(future.done)
        (answer,) = future.result().results
        assert not answer.successful
        assert all(name in answer.reason for name in ("segmentation.metod", "did you mean segmentation.method?"))


def test_two_cameras_on_one_topic_are_told() -> None:
    with cell(InspectionNode, **TOLD) as (camera, _):
        second = camera.create_publisher(Image, "image_raw", BEST_EFFORT)
        assert wait_for_words(camera, "2 publishers on /image_raw").level == DiagnosticStatus.WARN
        camera.destroy_publisher(second)
        camera.wait(lambda: "publishers" not in camera.heard["/diagnostics"][-1].status[0].message)


def test_a_camera_that_is_not_heard_for_its_qos_is_named() -> None:
    settings = {"output.diagnostics_period_s": 0.1, "qos_overrides./image_raw.subscription.reliability": "reliable"}
    with cell(InspectionNode, settings=settings, listen=TOLD["listen"], start=False) as (camera, (node,)):
        camera.do(node.trigger_configure)
        camera.do(node.trigger_activate)  # the camera offers best effort only
        status = wait_for_words(camera, "QoS of /image_raw", "cameraman")
        assert status.level == DiagnosticStatus.WARN and "qos_overrides./image_raw.subscription" in status.message


def test_images_that_nobody_came_to_fetch_are_counted() -> None:
    """A queue that overflows while callbacks are busy is no loss to the middleware; the publisher's numbers tell."""
    with cell(InspectionNode) as (camera, (node,)):
        camera.shoot(1.0)
        camera.result(1.0)
        sent = 40

        def flood() -> None:  # runs where the callbacks do, so none is heard meanwhile
            for i in range(sent):
                camera.shoot(2.0 + i / 100)
                time.sleep(0.002)

        camera.do(flood)
        camera.shoot(3.0)
        camera.result(3.0)
        camera.wait(lambda: node.counts.waiting == 0)
        counts = node.counts
        assert counts.lost > 0 and counts.images + counts.lost == sent + 2


def test_a_driver_that_starts_anew_numbers_its_images_anew() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        for t in (1.0, 2.0, 3.0):
            camera.shoot(t)
            camera.result(t)
        camera.destroy_publisher(camera.image)
        camera.image = camera.create_publisher(Image, "image_raw", BEST_EFFORT)
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.3)
        for t in (4.0, 5.0):
            camera.shoot(t)
            camera.result(t)
        assert node.counts.lost == 0


def test_time_that_jumps_back_is_told() -> None:
    with cell(InspectionNode, **TOLD) as (camera, _):
        for t in (100.0, 10.0):
            camera.shoot(t)
            camera.result(t)
        assert wait_for_words(camera, "jumped back").level == DiagnosticStatus.WARN


def test_an_inspection_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_node, "_SLOW_AFTER_S", 0.3)
    with cell(InspectionNode, **TOLD) as (camera, (node,)):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        camera.shoot(1.0)
        assert wait_for_words(camera, "one image is under way").level == DiagnosticStatus.WARN
        go.set()
        assert camera.result(1.0).verdict == InspectionResult.PASS


def test_a_part_that_cannot_be_loaded_is_no_internal_error() -> None:
    with cell(InspectionNode, settings={**TOLD["settings"], "part.cad": "nowhere.stl", "part.unit": "mm"},
              listen=TOLD["listen"], core_parts={}, start=False) as (camera, (node,)):
        camera.do(node.trigger_configure)
        status = wait_for_words(camera, "cannot load the part", "nowhere.stl")
        assert status.level == DiagnosticStatus.ERROR and "internal" not in status.message
        assert {v.key: v.value for v in status.values}["what to do"] == NEXT_STEP[Reason.NO_REFERENCE]


def _node(context: Context, **more: object) -> InspectionNode:
    return InspectionNode(context=context, parameter_overrides=[Parameter("part.cad", value="block.stl")],
                          **{**FAKE, **more})


def _ends_by_itself(context: Context, spin: Callable[[], object]) -> bool:
    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    time.sleep(0.5)
    alive = thread.is_alive()
    rclpy.shutdown(context=context)
    thread.join(10.0)
    return not alive


def test_a_callback_that_fails_does_not_end_the_process() -> None:
    context = Context()
    rclpy.init(context=context)
    node = _node(context)
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ZeroDivisionError("a fault of our own")

    node.create_timer(0.05, fail)
    assert not _ends_by_itself(context, lambda: run._spin(node))
    assert len(calls) > 1 and "a fault of our own" in node.health._fault
    node.destroy_node()


def test_a_process_that_is_asked_to_end_while_it_starts_ends_well() -> None:
    def load(part: PartConfig, config: ReferenceConfig) -> object:
        rclpy.shutdown()
        return fake_reference(part, config)

    arguments = ["--ros-args", "-p", "part.cad:=block.stl"]
    assert run.run(lambda: InspectionNode(**{**FAKE, "load": load}), arguments) == 0
