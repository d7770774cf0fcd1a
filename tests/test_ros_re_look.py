"""A FAIL becomes a pose to look again from, over DDS: along the normal, at the stand-off, in the robot's base."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from geometry_msgs.msg import PoseStamped
from ptad_msgs.msg import InspectionResult
from rclpy.context import Context
from rclpy.parameter import Parameter
from result_making import failed, passed
from ros_harness import Cameraman

from ptad_core import types as core
from ptad_core.frames import is_rigid, make_transform, rotation_exp, transform_points
from ptad_ros.examples.re_look import ReLook, re_look_pose
from ptad_ros.messages import result_message, transform_of
from ptad_ros.spinning import spinning

pytestmark = pytest.mark.ros

T_BASE_CAMERA = make_transform(rotation_exp(np.array([2.0, 0.3, -0.1])), np.array([0.4, 0.1, 0.9]))


class Cell(Cameraman):
    """Publishes results and where the camera stands."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.results = self.create_publisher(InspectionResult, "result", 10)
        self.listen("re_look", PoseStamped)

    def say(self, result: core.InspectionResult, t_s: float) -> None:
        self.results.publish(result_message(result, self.header(t_s)))

    def stand(self, t_s: float) -> None:
        self.move(t_s, T_BASE_CAMERA, "world", "cam")


@contextmanager
def looking(**parameters: Any) -> Iterator[Cell]:
    context = Context()
    rclpy.init(context=context)
    overrides = [Parameter(name, value=value) for name, value in {"base_frame": "world", **parameters}.items()]
    node, camera = ReLook(context=context, parameter_overrides=overrides), Cell(context)
    try:
        with spinning(node, camera, context=context):
            camera.wait(lambda: camera.results.get_subscription_count() == 2 and camera.tf.get_subscription_count()
                        and camera.count_publishers("/re_look"))
            time.sleep(0.2)
            yield camera
    finally:
        node.destroy_node()
        camera.destroy_node()
        context.try_shutdown()


def test_the_camera_stands_off_along_the_normal_and_looks_at_the_region() -> None:
    result = failed()
    (region,) = result.detection.regions
    with looking(distance_m=0.3) as cell:
        cell.say(result, 7.0)  # before its transform, as it may happen
        cell.stand(6.5)
        cell.stand(7.2)
        cell.wait(lambda: cell.heard["re_look"])
        (message,) = cell.heard["re_look"]
    assert message.header == cell.header(7.0, "world")
    T_base_optical, T_base_part = transform_of(message.pose), T_BASE_CAMERA @ result.pose.T_camera_part
    assert is_rigid(T_base_optical)
    centre = transform_points(np.linalg.inv(T_base_optical) @ T_base_part, region.centroid_part_m[None])[0]
    np.testing.assert_allclose(centre, [0, 0, 0.3], atol=1e-9)  # straight ahead
    np.testing.assert_allclose(T_base_optical[:3, 2], -T_base_part[:3, :3] @ region.normal_part, atol=1e-9)
    assert T_base_optical[2, 0] == pytest.approx(0) and T_base_optical[2, 1] <= 0  # rows of the image lie level


def test_only_a_fail_with_a_trusted_pose_and_a_place_moves_anything() -> None:
    bad = failed()
    (region,) = bad.detection.regions
    untrusted = replace(bad, alignment=replace(bad.alignment, reasons=(core.Reason.POSE_UNTRUSTED,)))
    nowhere = replace(region, centroid_part_m=np.full(3, np.nan))
    with looking() as cell:
        for t in range(1, 7):
            cell.stand(t)
        for t, result in ((2.0, passed()), (3.0, untrusted),
                          (4.0, replace(bad, detection=replace(bad.detection, regions=(nowhere,)))),
                          (5.0, replace(bad, detection=replace(bad.detection, regions=(nowhere, region))))):
            cell.say(result, t)
        cell.wait(lambda: len(cell.heard["result"]) == 4 and cell.heard["re_look"])
        assert [m.header.stamp.sec for m in cell.heard["re_look"]] == [5]


def test_without_a_transform_nothing_is_said_and_the_next_is_served() -> None:
    with looking(tf_timeout_s=0.2) as cell:
        cell.say(failed(), 1.0)
        time.sleep(0.4)
        cell.stand(0.9)
        cell.stand(1.1)  # too late
        cell.stand(1.9)
        cell.stand(2.1)
        cell.say(failed(), 2.0)
        cell.wait(lambda: cell.heard["re_look"])
        assert [m.header.stamp.sec for m in cell.heard["re_look"]] == [2]


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, -1, 0), (0.1, 0.05, 0.99)])
def test_every_normal_has_a_pose(normal: tuple[float, ...]) -> None:
    n = np.array(normal, dtype=float) / np.linalg.norm(normal)
    T = re_look_pose(np.array([0.1, 0.2, 0.3]), n, 0.2)
    assert is_rigid(T)
    np.testing.assert_allclose(T @ [0, 0, 0.2, 1], [0.1, 0.2, 0.3, 1], atol=1e-12)
    np.testing.assert_allclose(T[:3, 2], -n, atol=1e-12)
