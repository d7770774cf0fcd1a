"""QoS given by parameter holds for the topic it names, and for nothing else: rclpy writes it into shared profiles."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy, qos_profile_sensor_data
from ros_harness import cell

from ptad_ros.inspection_node import InspectionNode
from ptad_ros.outputs import RESULT_QOS

pytestmark = pytest.mark.ros

OVERRIDES = {"qos_overrides./image_raw.subscription.reliability": "reliable",
             "qos_overrides./result.publisher.reliability": "best_effort",
             "qos_overrides./result.publisher.depth": 3}


def _reliability(node: Node, topic: str) -> ReliabilityPolicy:
    of_topic = [*node.get_subscriptions_info_by_topic(topic), *node.get_publishers_info_by_topic(topic)]
    (info,) = [i for i in of_topic if i.node_name == "inspection" and
               i.qos_profile.durability == DurabilityPolicy.VOLATILE]
    return info.qos_profile.reliability


def test_an_override_stays_with_its_topic() -> None:
    with cell(InspectionNode, settings=OVERRIDES, start=False) as (camera, (node,)):
        for _ in range(2):  # activated again, the node asks for the same
            camera.do(node.trigger_configure)
            camera.do(node.trigger_activate)
            camera.wait(lambda: node.get_publishers_info_by_topic("/mask")
                        and node.get_subscriptions_info_by_topic("/image_raw"))
            assert _reliability(node, "/image_raw") == ReliabilityPolicy.RELIABLE
            assert _reliability(node, "/camera_info") == ReliabilityPolicy.BEST_EFFORT
            assert _reliability(node, "/result") == ReliabilityPolicy.BEST_EFFORT
            assert _reliability(node, "/mask") == ReliabilityPolicy.RELIABLE
            camera.do(node.trigger_deactivate)
            camera.do(node.trigger_cleanup)
    assert qos_profile_sensor_data.reliability == ReliabilityPolicy.BEST_EFFORT
    assert (RESULT_QOS.reliability, RESULT_QOS.depth) == (ReliabilityPolicy.RELIABLE, 10)
