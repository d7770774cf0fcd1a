"""The stages as nodes of their own, chained over topics: the same answers as the cell, and none left out."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ptad_msgs.msg import AlignedPose, InspectionResult, MaskStatus
from ros_harness import CAMERA, FAKE, Cameraman, cell, fake_reference, picture
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from ptad_core.advice import NEXT_STEP
from ptad_core.types import Reason
from ptad_ros.alignment_node import AlignmentNode
from ptad_ros.detection_node import DetectionNode
from ptad_ros.images import camera_info, image_message
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.segmentation_node import SegmentationNode

pytestmark = pytest.mark.ros

STAGES = (SegmentationNode, AlignmentNode, DetectionNode)
LISTEN = {"mask": Image, "mask_status": MaskStatus, "aligned_pose": AlignedPose, "/tf": TFMessage}
PICTURES = {1.0: picture(), 2.0: picture(square=30), 3.0: picture(square=0), 4.0: picture()}


def _answers(*nodes: type) -> list[tuple[int, list[int], str, bool]]:
    with cell(*nodes) as (camera, _):
        for t, image in PICTURES.items():
            camera.shoot(t, image)
            camera.result(t)
        return [(r.verdict, list(r.reasons), r.part_id, r.has_pose) for r in camera.heard["result"]]


def test_chained_stages_answer_like_the_cell() -> None:
    chained = _answers(*STAGES)
    assert [verdict for verdict, *_ in chained] == [InspectionResult.PASS, InspectionResult.FAIL,
                                                    InspectionResult.CANNOT_INSPECT, InspectionResult.PASS]
    assert chained == _answers(InspectionNode)


def test_the_last_stage_tells_how_long_its_stages_took() -> None:
    with cell(*STAGES) as (camera, (*_, detection)):
        for t in (1.0, 2.0):
            camera.shoot(t, picture())
            times = {each.stage: each.ms for each in camera.result(t).times}
            assert times.keys() == {"render", "detect"} and min(times.values()) > 0.0
        assert len(detection.health._times["render"]) == len(detection.health._times["detect"]) == 2
        camera.shoot(3.0, picture(square=0))
        assert not camera.result(3.0).times


def test_every_stage_answers_what_it_cannot_use() -> None:
    with cell(*STAGES, listen=LISTEN) as (camera, _):
        camera.info.publish(camera_info(CAMERA, camera.header(1.0)))
        image = image_message(picture(), "bgr8", camera.header(1.0))
        image.encoding = "bgr9"
        camera.image.publish(image)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [Reason.BAD_ENCODING])
        camera.wait(lambda: camera.heard["aligned_pose"] and camera.heard["mask_status"] and camera.heard["mask"])
        (status,), (pose,) = camera.heard["mask_status"], camera.heard["aligned_pose"]
        assert list(status.reasons) == list(pose.reasons) == [Reason.BAD_ENCODING]
        assert not pose.trusted and np.isnan(pose.pose.pose.position.x)
        assert not camera.heard["/tf"]  # no frame of a part that was not found


def _status(camera: Cameraman, node: str) -> DiagnosticStatus:
    return [a.status[0] for a in camera.heard["/diagnostics"] if a.status[0].name == node][-1]


def test_a_stage_that_refuses_every_image_tells_why_and_what_to_do() -> None:
    with cell(*STAGES, settings={"output.diagnostics_period_s": 0.1},
              listen={"/diagnostics": DiagnosticArray}) as (camera, nodes):
        for t in (1.0, 2.0):
            camera.shoot(t, picture(square=0))
            camera.result(t)
        camera.wait(lambda: all(node.counts.done == 2 for node in nodes))
        told = len(camera.heard["/diagnostics"])
        camera.wait(lambda: len(camera.heard["/diagnostics"]) > told + 6)
        for name in ("/segmentation", "/alignment", "/detection"):
            status = _status(camera, name)
            values = {v.key: v.value for v in status.values}
            assert status.level == DiagnosticStatus.WARN and "NO_OBJECT" in status.message, name
            assert values["what to do"] == NEXT_STEP[Reason.NO_OBJECT] and values["verdict CANNOT_INSPECT"] == "2"
        camera.shoot(3.0)
        camera.result(3.0)
        camera.wait(lambda: all(_status(camera, n).level == DiagnosticStatus.OK
                                for n in ("/segmentation", "/alignment", "/detection")))


def test_stages_with_different_references_do_not_pass_each_others_poses() -> None:
    other = {**FAKE, "load": lambda part, config: SimpleNamespace(**{**vars(fake_reference(part, config)),
                                                                     "hash": "beef"})}
    with cell(SegmentationNode, DetectionNode, core_parts=other) as (camera, _):
        pose = camera.create_publisher(AlignedPose, "aligned_pose", 10)
        camera.wait(pose.get_subscription_count)
        camera.shoot(1.0)
        found = AlignedPose(header=camera.header(1.0), part_id="block", reference_hash="cafe", trusted=True,
                            seed_source="blind")
        pose.publish(found)
        answer = camera.result(1.0)
    assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [Reason.NO_REFERENCE])
    assert "cafe" in answer.message and "beef" in answer.message and not answer.has_pose


def test_missing_transform_stops_the_chain_with_its_reason() -> None:
    with cell(*STAGES, settings={"tf.part_frame": "part_nominal", "tf.timeout_s": 0.1}) as (camera, _):
        camera.shoot(1.0)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [Reason.TF_MISSING])


def test_a_stage_alone_says_what_it_lacks() -> None:
    with cell(DetectionNode, settings={"input.stage_timeout_s": 0.3}) as (camera, _):
        camera.shoot(1.0)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [Reason.INTERNAL_ERROR])
        assert "no mask and no mask_status and no aligned_pose came" in answer.message


@pytest.mark.parametrize("node", [SegmentationNode, AlignmentNode])
def test_stages_are_usable_alone(node: type) -> None:
    with cell(node, listen=LISTEN) as (camera, _):
        if node is AlignmentNode:
            mask = camera.create_publisher(Image, "mask", 10)
            status = camera.create_publisher(MaskStatus, "mask_status", 10)
            camera.wait(lambda: mask.get_subscription_count() == 2 and status.get_subscription_count() == 2)
            mask.publish(image_message((picture()[..., 0] > 127).astype(np.uint8) * 255, "mono8", camera.header(1.0)))
            status.publish(MaskStatus(header=camera.header(1.0), confidence=1.0))
        camera.shoot(1.0)
        topic = "aligned_pose" if node is AlignmentNode else "mask"
        camera.wait(lambda: camera.heard[topic] and (node is SegmentationNode or camera.heard["/tf"]))
        assert camera.heard[topic][0].header == camera.header(1.0)
    if node is AlignmentNode:
        assert camera.heard["aligned_pose"][0].trusted
        assert camera.heard["/tf"][0].transforms[0].child_frame_id == "block_aligned"
    else:
        assert sum(camera.heard["mask"][0].data) == 1600 * 255


def test_images_given_up_while_they_waited_are_told_with_their_reason() -> None:
    with cell(DetectionNode, settings={"input.stage_timeout_s": 1.0, "output.diagnostics_period_s": 0.1},
              listen={"/diagnostics": DiagnosticArray}) as (camera, (node,)):
        node._inputs._join._max_frames = 5
        for i in range(1, 31):  # at 30 Hz, and no stage before answers
            camera.shoot(i / 30)
            time.sleep(1 / 30)
        camera.wait(lambda: camera.heard["result"])
        camera.wait(lambda: node.counts.waiting == 0)
        assert {(r.verdict, *r.reasons) for r in camera.heard["result"]} == {
            (InspectionResult.CANNOT_INSPECT, Reason.INTERNAL_ERROR)}
        assert 20 <= node.counts.evicted < node.counts.images
        assert any("too many waited for the stages before" in a.status[0].message
                   for a in camera.heard["/diagnostics"])
