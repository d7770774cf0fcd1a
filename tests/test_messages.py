"""ptad_msgs over DDS: what one process publishes, another one reads, field by field."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg._inspection_result", reason="ptad_msgs is not built; run make env")

pytestmark = pytest.mark.ros

PUBLISHER = """
import sys, time
import rclpy
from geometry_msgs.msg import TransformStamped
from ptad_msgs.msg import AlignedPose, AnomalyRegion, InspectionResult, StageTime
from tf2_msgs.msg import TFMessage

rclpy.init()
node = rclpy.create_node("test_publisher")
results = node.create_publisher(InspectionResult, "test_result", 10)
transforms = node.create_publisher(TFMessage, "test_tf", 10)
result = InspectionResult(verdict=InspectionResult.FAIL, part_id="bracket", score=2.5, threshold=1.0, has_pose=True)
result.reasons = [InspectionResult.REASON_MATERIAL_MISSING, InspectionResult.REASON_DISPLACED]
result.regions = [AnomalyRegion(x=3, y=4, width=5, height=6, kind=AnomalyRegion.KIND_MISSING, size_mm=7.5)]
result.pose.pose.covariance[35] = 0.25
result.pose.runner_up_margin = float("inf")
result.times = [StageTime(stage="alignment", ms=12.5)]
transform = TransformStamped(child_frame_id="bracket_aligned")
until = time.monotonic() + 20
while time.monotonic() < until:
    results.publish(result)
    transforms.publish(TFMessage(transforms=[transform]))
    time.sleep(0.05)
"""


def test_result_and_tf_travel_between_processes(tmp_path):
    from ptad_msgs.msg import AnomalyRegion, InspectionResult
    from tf2_msgs.msg import TFMessage

    context = rclpy.Context()
    rclpy.init(context=context)
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER], cwd=tmp_path)
    try:
        node = rclpy.create_node("test_subscriber", context=context)
        results: list[InspectionResult] = []
        transforms: list[TFMessage] = []
        node.create_subscription(InspectionResult, "test_result", results.append, 10)
        node.create_subscription(TFMessage, "test_tf", transforms.append, 10)
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        until = time.monotonic() + 20
        while not (results and transforms) and time.monotonic() < until and publisher.poll() is None:
            executor.spin_once(timeout_sec=0.2)
    finally:
        publisher.kill()
        publisher.wait()
        rclpy.shutdown(context=context)

    assert results, "no InspectionResult arrived"
    assert transforms, "no TFMessage arrived"
    result = results[0]
    assert result.verdict == InspectionResult.FAIL
    assert list(result.reasons) == [InspectionResult.REASON_MATERIAL_MISSING, InspectionResult.REASON_DISPLACED]
    assert (result.part_id, result.score, result.threshold) == ("bracket", 2.5, 1.0)
    region = result.regions[0]
    assert (region.x, region.y, region.width, region.height, region.size_mm) == (3, 4, 5, 6, 7.5)
    assert region.kind == AnomalyRegion.KIND_MISSING
    assert result.has_pose
    assert result.pose.pose.covariance[35] == 0.25
    assert result.pose.runner_up_margin == float("inf")
    assert (result.times[0].stage, result.times[0].ms) == ("alignment", 12.5)
    assert transforms[0].transforms[0].child_frame_id == "bracket_aligned"


def test_an_unfilled_result_does_not_read_as_good():
    from ptad_msgs.msg import InspectionResult

    assert InspectionResult().verdict == InspectionResult.CANNOT_INSPECT
