"""Images and transforms: the seed at the image's stamp, what is missing or stale, time that jumps back."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from ptad_msgs.msg import InspectionResult
from rclpy.parameter import Parameter
from ros_harness import cell

from ptad_core.frames import invert, make_transform
from ptad_core.types import Reason
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.messages import transform_of

pytestmark = pytest.mark.ros

WITH_TF = {"tf.part_frame": "part_nominal", "tf.timeout_s": 0.4, "tf.max_gap_s": 0.0}


def test_seed_is_the_nominal_pose_at_the_stamp_of_the_image() -> None:
    T_cell_cam0 = make_transform(np.eye(3), np.array([0.0, 0.0, -1.0]))
    T_cell_cam1 = make_transform(np.eye(3), np.array([0.2, 0.0, -1.0]))
    T_cell_part = make_transform(np.eye(3), np.array([0.1, 0.0, 0.0]))
    with cell(InspectionNode, settings=WITH_TF) as (camera, _):
        camera.move(0.0, T_cell_part, "cell", "part_nominal")
        camera.move(4.0, T_cell_part, "cell", "part_nominal")
        camera.move(1.0, T_cell_cam0)
        camera.shoot(1.5)
        time.sleep(0.1)
        assert not camera.heard["result"]  # the image waits for the transform after it
        camera.move(2.0, T_cell_cam1)
        answer = camera.result(1.5)
        expected = invert(make_transform(np.eye(3), np.array([0.1, 0.0, -1.0]))) @ T_cell_part
        np.testing.assert_allclose(transform_of(answer.pose.pose.pose), expected, atol=1e-9)
        assert answer.pose.seed_source == "tf"


@pytest.mark.parametrize(("stamps", "reason"), [((), Reason.TF_MISSING), ((0.5, 0.9), Reason.TF_STALE),
                                                ((1.2, 1.4), Reason.TF_STALE), ((0.2, 1.7), Reason.TF_STALE)])
def test_missing_and_stale_transforms(stamps: tuple[float, ...], reason: Reason) -> None:
    with cell(InspectionNode, settings={**WITH_TF, "tf.max_gap_s": 1.0}) as (camera, (node,)):
        for t in stamps:
            camera.move(t)
            camera.move(t, None, "cell", "part_nominal")
        time.sleep(0.2)
        camera.shoot(1.0)
        answer = camera.result(1.0)
        assert (answer.verdict, list(answer.reasons)) == (InspectionResult.CANNOT_INSPECT, [reason])
        camera.do(lambda: node.set_parameters([Parameter("tf.required", value=False)]))
        camera.shoot(1.01)
        answer = camera.result(1.01)
        assert (answer.verdict, answer.pose.seed_source) == (InspectionResult.PASS, "blind")


def test_transforms_that_never_come_are_answered_for_at_30_hz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptad_ros.inputs._MAX_SEEDING", 5)  # less than what comes within tf.timeout_s
    with cell(InspectionNode, settings=WITH_TF) as (camera, (node,)):
        for i in range(1, 46):
            camera.shoot(i / 30)
            time.sleep(1 / 30)
        answers = [list(r.reasons) for r in camera.heard["result"]]  # while images keep coming
        assert len(answers) >= 3 and all(reasons == [Reason.TF_MISSING] for reasons in answers)
        camera.wait(lambda: node.counts.waiting == 0)
        assert 0 < node.counts.evicted <= node.counts.dropped
        assert node.counts.done + node.counts.dropped == node.counts.images


def test_time_jumping_back_resets_everything_once() -> None:
    with cell(InspectionNode, settings=WITH_TF) as (camera, (node,)):
        for loop in range(2):
            for t in (10.0, 20.0, 30.0):
                camera.move(t)
                camera.move(t, None, "cell", "part_nominal")
                camera.shoot(t)
                camera.wait(lambda t=t, loop=loop: sum(
                    r.header.stamp.sec == t for r in camera.heard["result"]) == loop + 1)
        assert [r.verdict for r in camera.heard["result"]] == [InspectionResult.PASS] * 6
        assert node._inspector.resets == 1
