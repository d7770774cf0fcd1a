"""The cell over DDS: what it hears, what it answers, how it fails. The core is replaced: this is about the wiring."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import cv2
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ptad_msgs.msg import AlignedPose, InspectionResult, MaskStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import BEST_EFFORT, CAMERA, FAKE, Cameraman, cell, picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from ptad_core.types import Reason
from ptad_ros.images import camera_info, image_message
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros


def test_answers_good_bad_and_empty_images_with_their_own_header() -> None:
    listen = {"overlay": Image, "anomaly_map": Image, "mask": Image, "mask_status": MaskStatus,
              "aligned_pose": AlignedPose, "/tf": TFMessage, "region_markers": MarkerArray}
    with cell(InspectionNode, listen=listen) as (camera, _):
        camera.shoot(1.0)
        good = camera.result(1.0)
        assert good.verdict == InspectionResult.PASS and not good.reasons
        assert good.part_id == "block" and good.has_pose
        camera.shoot(2.0, picture(square=30))
        bad = camera.result(2.0)
        assert bad.verdict == InspectionResult.FAIL
        assert list(bad.reasons) == [Reason.MATERIAL_MISSING] and len(bad.regions) == 1
        camera.shoot(3.0, picture(square=0))
        empty = camera.result(3.0)
        assert empty.verdict == InspectionResult.CANNOT_INSPECT and list(empty.reasons) == [Reason.NO_OBJECT]
        assert np.isnan(empty.score) and not empty.has_pose
        camera.wait(lambda: len(camera.heard["overlay"]) == 3 and len(camera.heard["mask"]) == 3
                    and len(camera.heard["anomaly_map"]) == 2 and len(camera.heard["aligned_pose"]) == 2
                    and len(camera.heard["/tf"]) == 2 and len(camera.heard["region_markers"]) == 3)
    for topic in ("overlay", "mask", "mask_status", "result"):
        headers = [m.header for m in camera.heard[topic]]
        assert [h.stamp.sec for h in headers] == [1, 2, 3] and {h.frame_id for h in headers} == {"cam"}
    assert [len(m.markers) for m in camera.heard["region_markers"]] == [1, 4, 1]  # deleted each time, then drawn
    assert [m.encoding for m in camera.heard["anomaly_map"]] == ["32FC1"] * 2
    transform = camera.heard["/tf"][0].transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("cam", "block_aligned")
    assert transform.header.stamp == camera.header(1.0).stamp


@pytest.mark.parametrize(("settings", "encode"), [
    ({"input.compressed": True}, ".jpg"), ({"input.compressed": True}, ".png")])
def test_hears_compressed_images(settings: dict[str, object], encode: str) -> None:
    with cell(InspectionNode, settings=settings) as (camera, _):
        camera.info.publish(camera_info(CAMERA, camera.header(1.0)))
        data = cv2.imencode(encode, picture(square=39))[1].tobytes()
        camera.compressed.publish(CompressedImage(header=camera.header(1.0), format=encode[1:], data=data))
        assert camera.result(1.0).verdict == InspectionResult.FAIL
        camera.compressed.publish(CompressedImage(header=camera.header(2.0), format=encode[1:], data=data[:-200]))
        camera.info.publish(camera_info(CAMERA, camera.header(2.0)))
        assert list(camera.result(2.0).reasons) == [Reason.IMAGE_CORRUPT]


def test_latched_camera_info_is_enough() -> None:
    with cell(InspectionNode, start=False) as (camera, (node,)):
        camera.latch(camera_info(CAMERA, camera.header(0.0)))
        camera.do(node.trigger_configure)
        camera.do(node.trigger_activate)
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.5)
        for t in (5.0, 6.0):
            camera.shoot(t, info=False)
            assert camera.result(t).verdict == InspectionResult.PASS


def _unusable(kind: str, camera: Cameraman, t_s: float) -> tuple[Image, CameraInfo | None]:
    image = image_message(picture(), "bgr8", camera.header(t_s))
    info: CameraInfo | None = camera_info(CAMERA, camera.header(t_s))
    if kind == "no info":
        info = None
    elif kind == "info of another camera":
        info.header.frame_id = "other"
    elif kind == "encoding":
        image.encoding = "bgr9"
    elif kind == "K zeros":
        info.k = np.zeros(9)
    elif kind == "size":
        info.width = 320
    elif kind == "truncated":
        image.data = image.data[:1000]
    elif kind == "NaN in K":
        info.k[0] = np.nan
    return image, info


@pytest.mark.parametrize(("kind", "reason"), [
    ("no info", Reason.CAMERA_INFO_MISSING), ("info of another camera", Reason.CAMERA_INFO_MISSING),
    ("encoding", Reason.BAD_ENCODING), ("K zeros", Reason.BAD_INTRINSICS), ("NaN in K", Reason.BAD_INTRINSICS),
    ("size", Reason.SIZE_MISMATCH), ("truncated", Reason.IMAGE_CORRUPT)])
def test_unusable_input_is_answered_with_its_reason(kind: str, reason: Reason) -> None:
    with cell(InspectionNode) as (camera, _):
        image, info = _unusable(kind, camera, 1.0)
        if info is not None:
            camera.info.publish(info)
        camera.image.publish(image)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [reason])
        assert answer.message
        camera.shoot(2.0)
        assert camera.result(2.0).verdict == InspectionResult.PASS  # and the next image is inspected


def test_no_part_set_is_an_answer_too() -> None:
    with cell(InspectionNode, settings={"part.cad": ""}) as (camera, _):
        camera.shoot(1.0)
        assert list(camera.result(1.0).reasons) == [Reason.NO_REFERENCE]


def test_busy_worker_keeps_the_newest_and_counts_the_rest() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        for i in range(1, 9):
            camera.shoot(i / 10)
            camera.wait(lambda i=i: node.counts.images == i)
        go.set()
        camera.result(0.8)
        camera.wait(lambda: node.counts.waiting == 0)
        stamps = [r.header.stamp.nanosec for r in camera.heard["result"]]
        assert stamps == [100_000_000, 800_000_000]
        assert (node.counts.images, node.counts.done, node.counts.dropped) == (8, 2, 6)


class Stop(BaseException):
    """What ends a thread."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [ZeroDivisionError("boom"), Stop("killed")])
def test_a_failing_worker_answers_reports_and_goes_on(error: BaseException) -> None:
    with cell(InspectionNode, settings={"output.diagnostics_period_s": 0.1},
              listen={"/diagnostics": DiagnosticArray}) as (camera, (node,)):
        fail = iter([error])

        def before() -> None:
            for e in fail:
                raise e

        node._inspector.before = before
        camera.shoot(1.0)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [Reason.INTERNAL_ERROR])
        assert str(error) in answer.message
        statuses = lambda: [a.status[0] for a in camera.heard["/diagnostics"]]  # noqa: E731
        camera.wait(lambda: any(s.level == DiagnosticStatus.ERROR for s in statuses()))
        camera.shoot(2.0)
        assert camera.result(2.0).verdict == InspectionResult.PASS
        camera.wait(lambda: statuses()[-1].level == DiagnosticStatus.OK)


def test_a_worker_that_hung_while_deactivated_is_replaced() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        hang, first = threading.Event(), node._inspector
        first.before = lambda: hang.wait(10)
        camera.shoot(1.0)
        camera.wait(lambda: node._worker.busy)
        stop = node._worker.stop
        node._worker.stop = lambda: stop(0.05)
        camera.do(node.trigger_deactivate)
        camera.do(node.trigger_activate)
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.5)
        camera.shoot(2.0)
        assert camera.result(2.0).verdict == InspectionResult.PASS
        assert node._inspector is not first
        hang.set()
        assert camera.result(1.0).verdict == InspectionResult.PASS  # late, but answered


def test_nothing_is_published_once_the_context_is_shut_down(capfd: pytest.CaptureFixture[str]) -> None:
    with cell(InspectionNode) as (camera, (node,)):
        hang = threading.Event()
        node._inspector.before = lambda: hang.wait(10)
        camera.shoot(1.0)
        camera.wait(lambda: node._worker.busy)
        rclpy.shutdown(context=node.context)
        hang.set()
        camera.wait(lambda: node.counts.done == 1)
        assert node._worker.unanswered == 0 and not node.health._fault
    assert "an image failed" not in capfd.readouterr().err


def test_diagnostics_count_and_advise() -> None:
    with cell(InspectionNode, settings={"output.diagnostics_period_s": 0.1},
              listen={"/diagnostics": DiagnosticArray}) as (camera, _):
        camera.shoot(1.0)
        camera.result(1.0)
        image, info = _unusable("K zeros", camera, 2.0)
        camera.info.publish(info)
        camera.image.publish(image)
        camera.result(2.0)
        values = lambda: {v.key: v.value for v in camera.heard["/diagnostics"][-1].status[0].values}  # noqa: E731
        camera.wait(lambda: values().get("frames done") == "2")
        said = values()
    assert (said["frames in"], said["frames dropped"], said["state"]) == ("2", "0", "active")
    assert said["verdict PASS"] == "1" and said["verdict CANNOT_INSPECT"] == "1"
    assert said["last failure"].startswith("BAD_INTRINSICS") and "calibrate" in said["what to do"]
    assert {"all ms (p50 / p95)", "image to answer ms (p50 / p95)"} <= said.keys()
    assert said["next step"] == said["what to do"]  # of what the message says, and of the last failure


def test_lifecycle_by_hand_and_change_of_part() -> None:
    marker_qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ok = TransitionCallbackReturn.SUCCESS
    with cell(InspectionNode, start=False) as (camera, (node,)):
        camera.listen("reference_marker", Marker, marker_qos)
        assert camera.do(node.trigger_configure) == ok and camera.do(node.trigger_activate) == ok
        camera.wait(lambda: camera.heard["reference_marker"])
        marker = camera.heard["reference_marker"][0]
        assert (marker.header.frame_id, marker.type, len(marker.points)) == ("block_aligned", Marker.TRIANGLE_LIST, 3)
        (refused,) = camera.do(lambda: node.set_parameters([Parameter("part.id", value="bracket")]))
        assert not refused.successful and "part.id" in refused.reason
        assert camera.do(node.trigger_deactivate) == ok and camera.do(node.trigger_cleanup) == ok
        (taken,) = camera.do(lambda: node.set_parameters([Parameter("part.id", value="bracket")]))
        assert taken.successful
        assert camera.do(node.trigger_configure) == ok and camera.do(node.trigger_activate) == ok
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.5)
        camera.shoot(1.0)
        assert camera.result(1.0).part_id == "bracket"


def test_cells_in_namespaces_have_part_frames_of_their_own() -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    remaps = ["--ros-args", "-r", "image_raw:=/image_raw", "-r", "camera_info:=/camera_info"]
    with cell(InspectionNode, core_parts={**FAKE, "namespace": "line/left", "cli_args": remaps},
              listen={"/tf": TFMessage}) as (camera, _):
        camera.listen("/line/left/reference_marker", Marker, latched)
        camera.shoot(1.0)
        camera.wait(lambda: camera.heard["/tf"] and camera.heard["/line/left/reference_marker"])
    assert camera.heard["/tf"][0].transforms[0].child_frame_id == "line/left/block_aligned"
    assert camera.heard["/line/left/reference_marker"][0].header.frame_id == "line/left/block_aligned"


def test_a_part_that_cannot_be_loaded_fails_to_configure() -> None:
    with cell(InspectionNode, settings={"part.cad": "nowhere.stl", "part.unit": "mm"}, core_parts={},
              start=False) as (camera, (node,)):
        assert camera.do(node.trigger_configure) == TransitionCallbackReturn.FAILURE
        assert node._state_machine.current_state[1] == "unconfigured"


def test_reset_service() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        client = camera.create_client(Trigger, "/inspection/reset")
        assert client.wait_for_service(5.0)
        future = client.call_async(Trigger.Request())
        camera.wait(future.done)
        assert future.result().success
        camera.shoot(1.0)
        camera.result(1.0)
        assert node._inspector.resets == 1


def test_changed_parameters_hold_for_the_next_image() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        camera.shoot(1.0)
        camera.result(1.0)
        first = node._inspector
        (answer,) = camera.do(lambda: node.set_parameters([Parameter("detection.tolerance_mm", value=7.5)]))
        assert answer.successful
        camera.shoot(2.0)
        camera.result(2.0)
        assert node._inspector is not first and node._inspector.config.detection.tolerance_mm == 7.5


def test_reliability_follows_what_the_camera_offers() -> None:
    with cell(InspectionNode) as (camera, (node,)):
        image = node._inputs._image
        assert image is not None
        name = camera.resolve_topic_name("image_raw")

        def reliability() -> ReliabilityPolicy:
            (info,) = [i for i in camera.get_subscriptions_info_by_topic(name) if i.node_name == "inspection"]
            return info.qos_profile.reliability

        image.lost += 3
        camera.do(image.tend)
        assert reliability() == ReliabilityPolicy.BEST_EFFORT  # the camera offers no more
        camera.destroy_publisher(camera.image)
        camera.image = camera.create_publisher(Image, "image_raw", QoSProfile(depth=5))
        camera.wait(lambda: [p.qos_profile.reliability for p in node.get_publishers_info_by_topic(name)]
                    == [ReliabilityPolicy.RELIABLE])
        camera.do(image.tend)
        assert reliability() == ReliabilityPolicy.BEST_EFFORT  # it does, but nothing was lost since
        image.lost += 1
        camera.do(image.tend)
        camera.wait(lambda: reliability() == ReliabilityPolicy.RELIABLE and camera.image.get_subscription_count() == 1)
        camera.shoot(1.0)
        assert camera.result(1.0).verdict == InspectionResult.PASS
        camera.create_publisher(Image, "image_raw", BEST_EFFORT)
        camera.wait(lambda: len(node.get_publishers_info_by_topic(name)) == 2)
        camera.do(image.tend)
        camera.wait(lambda: reliability() == ReliabilityPolicy.BEST_EFFORT)


def test_lost_images_are_counted_and_told() -> None:
    with cell(InspectionNode, settings={"output.diagnostics_period_s": 0.1},
              listen={"/diagnostics": DiagnosticArray}) as (camera, (node,)):
        camera.shoot(1.0)
        camera.result(1.0)
        node._inputs._image.lost += 2
        camera.wait(lambda: any(a.status[0].level == DiagnosticStatus.WARN and "2 images lost" in a.status[0].message
                                for a in camera.heard["/diagnostics"]))
        assert node.counts.lost == 2


@pytest.mark.parametrize("endpoint", ["/result.publisher", "/image_raw.subscription"])
def test_a_transition_that_fails_is_told_and_can_be_tried_again(endpoint: str) -> None:
    setting = f"qos_overrides.{endpoint}.reliability"
    with cell(InspectionNode, settings={setting: "sometimes"}, start=False) as (camera, (node,)):
        configured = camera.do(node.trigger_configure)
        if endpoint.startswith("/image"):
            assert configured == TransitionCallbackReturn.SUCCESS
            assert camera.do(node.trigger_activate) == TransitionCallbackReturn.ERROR
        else:
            assert configured == TransitionCallbackReturn.ERROR
        assert node._state_machine.current_state[1] == "unconfigured"
        assert "sometimes" in node.health._fault
        assert not node._outputs and not node._node_parameters.locked
