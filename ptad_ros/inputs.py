"""From messages to jobs: joins what belongs to an image, and lets it wait for its transforms. Never blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ptad_core.evaluation.messages import stamp_ns
from ptad_core.transforms import JumpWatch, TransformMissingError, TransformStaleError
from ptad_core.types import PoseSeed, Reason, SeedSource
from ptad_ros.image_subscription import ImageSubscription
from ptad_ros.join import IMAGE, FrameJoin, JoinedFrame, most_crowded
from ptad_ros.outputs import RESULT_QOS
from ptad_ros.settings import NodeConfig
from ptad_ros.tf import TransformListener

_POLL_S = 0.02
_MAX_SEEDING = 30
"""Each of them looks its transforms up again and again; beyond that they are thinned out as the join does."""
_LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                          durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True, slots=True)
class Job:
    """An image with all that belongs to it, or why it cannot be used."""

    joined: JoinedFrame
    seed: PoseSeed | None = None
    part_frame: str = ""
    """The TF frame that the seed is of."""
    failure: tuple[Reason, str] | None = None


class FrameInputs:
    """A node's subscriptions, and the images that wait there. All of it runs in the executor's thread.

    Args:
        node: whose subscriptions they are.
        stage_topics: topic -> message type of what the stages before publish for each image.
        wants_seed: whether to look up the part's nominal pose.
        config: returns what holds now.
        deliver: takes an image that is ready.
        jumped: told, in words, when time jumped back and all that waited was forgotten.
        wanted: tells whether images are to be taken now.

    Attributes:
        images: how many came that were wanted; ``unwanted`` how many others.
        last_image_s: when the last one came (monotonic clock).
        last_stamp_ns: its stamp.
    """

    def __init__(self, node: Node, stage_topics: dict[str, type], wants_seed: bool, config: Callable[[], NodeConfig],
                 deliver: Callable[[Job], None], jumped: Callable[[str], None],
                 wanted: Callable[[], bool]) -> None:
        self._node, self._stage_topics, self._wants_seed = node, stage_topics, wants_seed
        self._config, self._deliver, self._jumped, self._wanted = config, deliver, jumped, wanted
        self._join = FrameJoin((IMAGE, *stage_topics))
        self._seeding: list[tuple[JoinedFrame, float]] = []
        self._seeding_dropped = self._seeding_evicted = 0
        self._watch = JumpWatch()
        self._subscriptions: list[Any] = []
        self._image: ImageSubscription | None = None
        self._lost_before = 0
        self._latched_info: Any = None
        self._transforms: TransformListener | None = None
        # Waiting is measured in real time: a paused simulation must not keep an image unanswered.
        self._poll = node.create_timer(_POLL_S, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME),
                                       autostart=False)
        self.images = self.unwanted = 0
        self.last_image_s, self.last_stamp_ns = time.monotonic(), 0
        self._taken_s = 0.0
        self._too_fast = 0

    @property
    def dropped(self) -> int:
        """Images given up while they waited, or because they came faster than is wanted."""
        return self._join.dropped + self._seeding_dropped + self._too_fast

    @property
    def evicted(self) -> int:
        """Those of the dropped that were given up because too many waited for what did not come."""
        return self._join.evicted + self._seeding_evicted

    @property
    def lost(self) -> int:
        """Images that never came, as far as the middleware noticed."""
        return self._lost_before + (self._image.lost if self._image is not None else 0)

    @property
    def image_topic(self) -> str:
        """Where images are expected."""
        compressed = self._config().input.compressed
        return self._node.resolve_topic_name("image_raw/compressed" if compressed else "image_raw")

    def open(self) -> None:
        """Start to listen."""
        compressed = self._config().input.compressed
        if self._wants_seed:
            self._transforms = TransformListener(self._node, self._watch, self._advance, self._time_jumped,
                                                 self._config().tf.max_gap_s)
        self._hear(CameraInfo, "camera_info", self._hear_info, qos_profile_sensor_data)
        self._hear_latched_info()
        for topic, message_type in self._stage_topics.items():
            self._hear(message_type, topic, partial(self._hear_part, topic), RESULT_QOS)
        self._image = ImageSubscription(self._node, CompressedImage if compressed else Image,
                                        "image_raw/compressed" if compressed else "image_raw", self._hear_image)
        self.last_image_s = time.monotonic()

    def _hear(self, message_type: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> None:
        # rclpy writes what is overridden into the profile that it is given: never hand it a shared one.
        self._subscriptions.append(self._node.create_subscription(
            message_type, topic, callback, copy(qos),
            qos_overriding_options=QoSOverridingOptions.with_default_policies()))

    def _hear_latched_info(self) -> None:
        """Listen to CameraInfo that is published once: our usual subscription misses what was sent before it came.

        Only where someone latches it, for ordinary cameras would warn of a listener that asks for more than they give.
        """
        if self._latched_info is not None:
            return
        publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name("camera_info"))
        if any(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers):
            self._latched_info = self._node.create_subscription(
                CameraInfo, "camera_info", self._hear_info, _LATCHED_QOS)
            self._subscriptions.append(self._latched_info)

    def close(self) -> None:
        """Stop to listen, and forget what waits."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions, self._latched_info = [], None
        if self._image is not None:
            self._lost_before += self._image.lost
            self._image.close()
            self._image = None
        self.forget()
        if self._transforms is not None:
            self._transforms.close()
            self._transforms = None

    def tend(self) -> None:
        """Adapt to what the camera's driver offers; call it now and then."""
        if self._image is not None:
            self._image.tend()

    def doubts(self) -> list[str]:
        """Return what is odd about the camera's topic, in words."""
        return self._image.doubts() if self._image is not None else []

    def forget(self) -> None:
        """Drop the images that wait, and the moving transforms."""
        self._join.clear()
        self._seeding_dropped += len(self._seeding)
        self._seeding = []
        if self._transforms is not None:
            self._transforms.buffer.clear()

    def _hear_image(self, message: Any) -> None:
        self.last_image_s, self.last_stamp_ns = time.monotonic(), stamp_ns(message.header)
        if self._watch.jumped_back("image", self.last_stamp_ns):
            self._time_jumped("the images")
        if not self._wanted():
            self.unwanted += 1
            return
        self.images += 1
        rate_hz = self._config().input.max_rate_hz
        if rate_hz and self.last_image_s < self._taken_s + 1.0 / rate_hz:
            self._too_fast += 1
            return
        self._taken_s = self.last_image_s
        if not self._join.has_info:
            self._hear_latched_info()
        self._hear_part(IMAGE, message)

    def _hear_info(self, message: CameraInfo) -> None:
        self._join.add_info(stamp_ns(message.header), message.header.frame_id, message)
        self._advance()

    def _hear_part(self, part: str, message: Any) -> None:
        header = message.header
        self._join.add(part, stamp_ns(header), header.frame_id, message, time.monotonic())
        self._advance()

    def _advance(self) -> None:
        """Deliver the images that are complete or have waited long enough."""
        now_s = time.monotonic()
        config = self._config()
        ready = self._join.take(now_s, config.input.info_timeout_s, config.input.stage_timeout_s)
        waiting = [*self._seeding, *((joined, now_s) for joined in ready)]
        self._seeding = []
        for joined, since_s in waiting:
            job = self._job(joined, now_s - since_s, config)
            if job is None:
                self._seeding.append((joined, since_s))
            else:
                self._deliver(job)
        while len(self._seeding) > _MAX_SEEDING:
            del self._seeding[most_crowded([joined.stamp_ns for joined, _ in self._seeding])]
            self._seeding_dropped += 1
            self._seeding_evicted += 1
        if self._join.waiting or self._seeding:
            self._poll.reset()
        else:
            self._poll.cancel()

    def _job(self, joined: JoinedFrame, waited_s: float, config: NodeConfig) -> Job | None:
        """Return what is to be done with an image; None while its transforms may still come."""
        if joined.missing:
            return Job(joined, failure=(Reason.INTERNAL_ERROR, (
                f"no {' and no '.join(joined.missing)} came for this image within {config.input.stage_timeout_s:g} s; "
                "check that the nodes of the stages before run")))
        if self._transforms is None or not config.tf.part_frame:
            return Job(joined)
        try:
            T_camera_part = self._transforms.buffer.lookup(joined.frame_id, config.tf.part_frame, joined.stamp_ns)
        except (TransformMissingError, TransformStaleError) as error:
            too_old = isinstance(error, TransformStaleError) and error.ahead_s < 0
            if waited_s < config.tf.timeout_s and not too_old:
                return None
            return Job(joined, failure=(error.reason, str(error)) if config.tf.required else None)
        return Job(joined, PoseSeed(T_camera_part, SeedSource.TF, config.pose.seed_sigma_deg,
                                    config.pose.seed_sigma_m), config.tf.part_frame)

    def _time_jumped(self, what: str) -> None:
        words = f"the stamps of {what} jumped back: forgetting transforms, tracked pose and waiting images"
        self._node.get_logger().warning(words)
        self.forget()
        self._jumped(words)
