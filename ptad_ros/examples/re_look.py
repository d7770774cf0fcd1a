"""Where to look again: the worst region of a FAIL, seen along its normal. ``ros2 run ptad_ros re_look``.

Hears ``result`` and TF; publishes on ``re_look`` where the camera's optical frame should stand (z forward, x right,
y down), in the robot's base and stamped like the image. Moving there is up to the robot: mind reach and collisions.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import rclpy
import rclpy.utilities
from geometry_msgs.msg import PoseStamped
from ptad_msgs.msg import InspectionResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from ptad_core.errors import TransformError
from ptad_core.evaluation.messages import stamp_ns
from ptad_core.frames import make_transform
from ptad_core.transforms import JumpWatch
from ptad_core.types import FloatArray
from ptad_ros.messages import pose_message, transform_of
from ptad_ros.tf import TransformListener

RESULT_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
MAX_WAITING = 20
_RETRY_S = 0.05


def re_look_pose(centroid_m: FloatArray, normal: FloatArray, distance_m: float) -> FloatArray:
    """Return T_base_optical (4, 4) of a camera that looks at a point against the surface's normal there.

    Args:
        centroid_m: (3,) the point, in the base frame (z up).
        normal: (3,) unit normal out of the surface, in the base frame.
        distance_m: from the point to the camera.
    """
    forward = -normal
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, up)  # level, so that the picture is upright
    right /= np.linalg.norm(right)
    R_base_optical = np.column_stack([right, np.cross(forward, right), forward])
    return make_transform(R_base_optical, centroid_m + distance_m * normal)


class ReLook(Node):
    """``result``, TF -> ``re_look``. A result waits for the camera's transform, without blocking."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("re_look", **kwargs)
        self._base = self.declare_parameter("base_frame", "base_link").value
        self._distance_m = self.declare_parameter("distance_m", 0.25).value
        self._timeout_s = self.declare_parameter("tf_timeout_s", 1.0).value
        self._waiting: list[tuple[InspectionResult, float]] = []
        self._transforms = TransformListener(self, JumpWatch(), self._advance, self._forget, max_gap_s=1.0)
        self._retry = self.create_timer(_RETRY_S, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._poses = self.create_publisher(PoseStamped, "re_look", RESULT_QOS)
        self.create_subscription(InspectionResult, "result", self._hear, RESULT_QOS)

    def _hear(self, result: InspectionResult) -> None:
        # What is not FAIL has nothing to look at; a pose that is not trusted is no ground to move a robot on.
        if result.verdict == InspectionResult.FAIL and result.has_pose and result.pose.trusted:
            self._waiting = [*self._waiting, (result, time.monotonic())][-MAX_WAITING:]
            self._advance()

    def _advance(self) -> None:
        waiting, self._waiting = self._waiting, []
        for result, since_s in waiting:
            try:
                T_base_camera = self._transforms.buffer.lookup(
                    self._base, result.header.frame_id, stamp_ns(result.header))
            except TransformError as error:
                if time.monotonic() < since_s + self._timeout_s:
                    self._waiting.append((result, since_s))
                else:
                    self.get_logger().error(f"no re-look: {error}")
                continue
            self._publish(result, T_base_camera @ transform_of(result.pose.pose.pose))

    def _publish(self, result: InspectionResult, T_base_part: FloatArray) -> None:
        for region in result.regions:  # worst first
            centroid, normal = _vector(region.centroid), _vector(region.normal)
            if np.isfinite([centroid, normal]).all() and np.linalg.norm(normal) > 0.5:
                break
        else:
            self.get_logger().warning("no re-look: no region of the FAIL has a place on the part")
            return
        R, t = T_base_part[:3, :3], T_base_part[:3, 3]
        T_base_optical = re_look_pose(R @ centroid + t, R @ normal, self._distance_m)
        header = Header(stamp=result.header.stamp, frame_id=self._base)
        self._poses.publish(PoseStamped(header=header, pose=pose_message(T_base_optical)))

    def _forget(self, _what: str) -> None:
        """Time jumped back: what waits is of another run."""
        self._waiting = []
        self._transforms.buffer.clear()


def _vector(v: Any) -> FloatArray:
    return np.array([v.x, v.y, v.z])


def main() -> None:
    """Run the example."""
    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(ReLook())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.utilities.try_shutdown()


if __name__ == "__main__":
    main()
