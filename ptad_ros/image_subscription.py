"""Hears a camera whatever it offers, notices what is lost on the way, and asks for more where more is offered."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from ptad_ros.parameters import given_at_start

_RELIABLE = QoSProfile(depth=qos_profile_sensor_data.depth, reliability=ReliabilityPolicy.RELIABLE)


class ImageSubscription:
    """A subscription with sensor-data QoS, for a reliable one never hears a best-effort camera.

    Large images get lost that way, even within one machine: where that happens and every publisher offers to be
    reliable, the subscription becomes reliable; and best-effort again where one does not. A QoS that was set by
    parameter is left alone.

    Attributes:
        lost: images that were lost on the way, or while nobody came to fetch them: those missing in the publisher's
            numbering, or where there is none, or several publishers, what the middleware reports.
    """

    def __init__(self, node: Node, message_type: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._node, self._type, self._topic, self._callback = node, message_type, topic, callback
        self._name = node.resolve_topic_name(topic)
        self._fixed = given_at_start(node, f"qos_overrides.{self._name}.subscription.reliability")
        self._lost_before = 0
        self._number: int | None = None
        self.lost = 0
        self._reliable = False
        self._subscription = self._create(qos_profile_sensor_data, QoSOverridingOptions.with_default_policies())

    def _create(self, qos: QoSProfile, overriding: QoSOverridingOptions | None = None) -> Any:
        events = SubscriptionEventCallbacks(message_lost=self._count_lost)
        self._qos = copy(qos)  # rclpy writes what is overridden into the profile
        return self._node.create_subscription(
            self._type, self._topic, self._hear,  # type: ignore[arg-type]  # rclpy's types know no callback with info
            self._qos, event_callbacks=events, qos_overriding_options=overriding)

    def _hear(self, message: Any, info: dict[str, int | None]) -> None:
        before, self._number = self._number, info["publication_sequence_number"]
        if before is not None and self._number is not None and self._number > before + 1:
            if self._node.count_publishers(self._name) == 1:
                self.lost += self._number - before - 1
            else:
                self._number = None  # several count side by side
        self._callback(message)

    def _count_lost(self, event: QoSMessageLostInfo) -> None:
        if self._number is None:
            self.lost += event.total_count_change

    def doubts(self) -> list[str]:
        """Return what is odd about who publishes the images, in words."""
        publishers = self._node.get_publishers_info_by_topic(self._name)
        words = []
        if len(publishers) > 1:
            words.append(f"{len(publishers)} publishers on {self._name}, so the images of several cameras may be "
                         "mixed: let each camera have a namespace of its own")
        for publisher in publishers:
            compatibility, why = qos_check_compatible(publisher.qos_profile, self._qos)
            if compatibility == QoSCompatibility.ERROR:
                words.append(f"QoS of {self._name}: node {publisher.node_name} is not heard ({why.strip(' ;')}); "
                             f"change qos_overrides.{self._name}.subscription here, or what the driver offers")
        return words

    def tend(self) -> None:
        """Adapt to what the publishers offer; call it now and then."""
        publishers = self._node.get_publishers_info_by_topic(self._name)
        if self._fixed or not publishers:
            return
        offered = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
        losing, self._lost_before = self.lost > self._lost_before, self.lost
        wanted = offered and (self._reliable or losing)
        if wanted != self._reliable:
            self._reliable = wanted
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._create(_RELIABLE if wanted else qos_profile_sensor_data)
            self._node.get_logger().warning(
                f"{self._name}: {self.lost} images were lost on the way; listening reliably now" if wanted else
                f"{self._name}: a publisher is not reliable; listening best-effort again")

    def close(self) -> None:
        """Stop to listen."""
        self._node.destroy_subscription(self._subscription)
