"""Transforms as a node hears them: one small class over tf2's buffer where it is installed, over ours elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from ptad_core.evaluation.messages import feed_transforms, stamp_ns
from ptad_core.frames import from_quaternion
from ptad_core.transforms import JumpWatch, TransformBuffer, TransformMissingError, TransformStaleError
from ptad_core.types import FloatArray

try:
    import tf2_ros
except ImportError:  # not on pip
    tf2_ros = None

TF_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
TF_STATIC_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE,
                           durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Transforms(Protocol):
    """Both buffers, seen alike. ``lookup`` never waits."""

    def feed(self, message: Any, static: bool) -> list[str]:
        """Take a ``TFMessage``; return what is wrong with the transforms left out."""

    def lookup(self, target: str, source: str, at_ns: int) -> FloatArray:
        """Return T_target_source, or raise TransformMissingError or TransformStaleError."""

    def clear(self) -> None:
        """Forget the moving transforms."""


class OwnTransforms:
    """Transforms kept by ``ptad_core.transforms``."""

    def __init__(self, max_gap_s: float) -> None:
        self._buffer = TransformBuffer(max_gap_s=max_gap_s)

    def feed(self, message: Any, static: bool) -> list[str]:
        return feed_transforms(self._buffer, message, static)

    def lookup(self, target: str, source: str, at_ns: int) -> FloatArray:
        return self._buffer.lookup(target, source, at_ns)

    def clear(self) -> None:
        self._buffer.clear()


class Tf2Transforms:
    """Transforms kept by tf2. It knows no largest gap, and is silent on some damaged ones: ours watches over that."""

    def __init__(self, max_gap_s: float) -> None:
        self._buffer = tf2_ros.Buffer()
        self._ours = TransformBuffer(max_gap_s=max_gap_s)

    def feed(self, message: Any, static: bool) -> list[str]:
        refused = []
        take = self._buffer.set_transform_static if static else self._buffer.set_transform
        for item in message.transforms:
            problems = feed_transforms(self._ours, TFMessage(transforms=[item]), static)
            if problems:
                refused += problems
                continue
            try:
                take(item, "ptad")
            except (tf2_ros.TransformException, ValueError) as error:
                refused.append(f"transform {item.header.frame_id} -> {item.child_frame_id}: {error}")
        return refused

    def lookup(self, target: str, source: str, at_ns: int) -> FloatArray:
        self._ours.require_no_gap(target, source, at_ns)
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=at_ns))
        except tf2_ros.ExtrapolationException as error:
            behind = "into the past" in str(error)
            raise TransformStaleError(str(error), ahead_s=-1.0 if behind else 1.0) from error
        except tf2_ros.TransformException as error:
            raise TransformMissingError(str(error)) from error
        t, q = found.transform.translation, found.transform.rotation
        return from_quaternion(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))

    def clear(self) -> None:
        self._buffer.clear()
        self._ours.clear()


class TransformListener:
    """Hears /tf and /tf_static, and asks no one to wait.

    Args:
        node: whose subscriptions they are.
        watch: notices when the time of a moving frame jumps back.
        changed: called after new transforms came.
        jumped: called when time jumped back, before the new transform is taken.
        max_gap_s: transforms further apart than this are not interpolated between; 0 is no limit.
    """

    def __init__(self, node: Node, watch: JumpWatch, changed: Callable[[], None],
                 jumped: Callable[[str], None], max_gap_s: float) -> None:
        self.buffer: Transforms = (OwnTransforms if tf2_ros is None else Tf2Transforms)(max_gap_s)
        self._node, self._watch, self._changed, self._jumped = node, watch, changed, jumped
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", self._hear, TF_QOS),
            node.create_subscription(TFMessage, "/tf_static", self._hear_static, TF_STATIC_QOS)]

    def _hear(self, message: TFMessage) -> None:
        for item in message.transforms:
            if self._watch.jumped_back(f"tf {item.child_frame_id}", stamp_ns(item.header)):
                self._jumped(f"the transforms of {item.child_frame_id}")
        self._take(message, static=False)

    def _hear_static(self, message: TFMessage) -> None:
        self._take(message, static=True)

    def _take(self, message: TFMessage, static: bool) -> None:
        for refused in self.buffer.feed(message, static):
            self._node.get_logger().warning(refused, throttle_duration_sec=10.0)
        self._changed()

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
