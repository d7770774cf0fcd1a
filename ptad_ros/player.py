"""Plays a recording to a cell over DDS: ``python -m ptad_ros.player BAG [--lockstep]``.

Images go to ``image_raw`` (or ``image_raw/compressed``) and ``camera_info``, which are remapped like any topics;
transforms to /tf and /tf_static. In lockstep the next image is sent when the answer to the one before has come, so
nothing is dropped however slow the machine.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
import rclpy.utilities
from builtin_interfaces.msg import Time
from ptad_msgs.msg import InspectionResult
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock  # type: ignore[import-untyped]
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from ptad_core.errors import BagError, PtadError
from ptad_core.evaluation.bag_reader import BagReader, FrameOptions
from ptad_core.evaluation.messages import stamp_ns
from ptad_core.evaluation.recording import deserialize
from ptad_core.evaluation.salvage import RawMessage
from ptad_ros.spinning import spinning
from ptad_ros.tf import TF_QOS, TF_STATIC_QOS

IMAGE_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LOOKAHEAD_NS = 1_000_000_000
"""Transforms are sent this much ahead of images: the ones around an image's stamp are there when it comes."""


@dataclass(slots=True)
class Played:
    """What came of playing a recording.

    Attributes:
        sent: stamps of the images, in order.
        answers: by stamp, the last one of each.
        heard: how many answers came by stamp; recordings without a clock repeat stamps, or have zeros only.
        unreadable: images whose bytes are no message; they cannot be sent.
    """

    sent: list[int] = field(default_factory=list)
    answers: dict[int, InspectionResult] = field(default_factory=dict)
    heard: Counter[int] = field(default_factory=Counter)
    unreadable: int = 0

    @property
    def unanswered(self) -> list[int]:
        """Stamps of the images that got no answer, in order; a stamp counts as often as it was sent."""
        return list((Counter(self.sent) - self.heard).elements())


class Player(Node):
    """Publishes a recording. Spin it in a thread of its own; ``play`` blocks.

    Raises:
        BagError: if the bag cannot be opened, or the choice of its topics is not clear.
    """

    def __init__(self, bag: Path, image_topic: str = "", info_topic: str = "", compressed: bool = False,
                 clock: bool = False, **kwargs: Any) -> None:
        super().__init__("player", **kwargs)
        self._reader = BagReader(bag, FrameOptions(image_topic, info_topic, compressed))
        types = self._reader.recording.types
        squeezed = types[self._reader.image_topic] == "sensor_msgs/msg/CompressedImage"
        self._images = self.create_publisher(CompressedImage if squeezed else Image,
                                             "image_raw/compressed" if squeezed else "image_raw", IMAGE_QOS)
        self._publishers_of = {
            self._reader.image_topic: self._images,
            self._reader.info_topic: self.create_publisher(CameraInfo, "camera_info", IMAGE_QOS)}
        if "/tf" in types:
            self._publishers_of["/tf"] = self.create_publisher(TFMessage, "/tf", TF_QOS)
        self._static = self.create_publisher(TFMessage, "/tf_static", TF_STATIC_QOS) if "/tf_static" in types else None
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if clock else None
        self._results = self.create_subscription(InspectionResult, "result", self._hear, 50)
        self._news = threading.Condition()
        self.played = Played()

    @property
    def images(self) -> int:
        """How many images the recording holds."""
        return self._reader.recording.read[self._reader.image_topic]

    @property
    def loss(self) -> str:
        """What of the recording cannot be read, in words."""
        return self._reader.loss

    def wait_for_cell(self, timeout_s: float, alive: Callable[[], bool] = lambda: True, listeners: int = 1) -> bool:
        """Wait until so many nodes listen to the images and one publishes results; tell whether that happened."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and alive():
            if self._images.get_subscription_count() >= listeners and self._results.get_publisher_count():
                return True
            time.sleep(0.05)
        return False

    def play(self, rate: float = 1.0, lockstep_s: float | None = None,
             on_answer: Callable[[int, InspectionResult | None], None] = lambda _stamp, _result: None) -> Played:
        """Play the recording once.

        Args:
            rate: how much faster than recorded.
            lockstep_s: wait this long for each answer, instead of keeping time; None keeps time.
            on_answer: told each image's stamp and answer, in lockstep.
        """
        self.played = Played()
        self._send_static()
        started_s, first_ns = time.monotonic(), None
        for at_ns, message in self._in_order():
            first_ns = at_ns if first_ns is None else first_ns
            if lockstep_s is None:
                time.sleep(max(0.0, started_s + (at_ns - first_ns) / 1e9 / rate - time.monotonic()))
            if not self.context.ok():
                break
            if self._clock_publisher is not None:
                sec, nanosec = divmod(at_ns, 1_000_000_000)
                self._clock_publisher.publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))
            if message.topic != self._reader.image_topic:
                if self._readable(message) is not None:
                    self._publishers_of[message.topic].publish(message.data)
                continue
            image = self._readable(message)
            if image is None:
                self.played.unreadable += 1
                continue
            stamp = stamp_ns(image.header)
            heard = self.played.heard[stamp]
            self.played.sent.append(stamp)
            self._images.publish(message.data)
            if lockstep_s is not None:
                on_answer(stamp, self._wait_for_answer(stamp, heard, lockstep_s))
        return self.played

    def _readable(self, message: RawMessage) -> Any:
        """Return a message of the recording; None, with a word, where its bytes are damaged: nobody could read it."""
        try:
            return deserialize(message)
        except BagError as error:
            self.get_logger().warning(f"cannot send a message: {error}")
            return None

    def _send_static(self) -> None:
        """Latch all static transforms at once, before anything needs them."""
        if self._static is None:
            return
        everything = TFMessage()
        for message in self._reader.recording.messages(["/tf_static"]):
            if self._readable(message) is not None:
                everything.transforms.extend(deserialize_message(message.data, TFMessage).transforms)
        if everything.transforms:
            self._static.publish(everything)

    def _in_order(self) -> Iterator[tuple[int, RawMessage]]:
        """Yield the messages with the time they are due, images behind the transforms that belong to them."""
        waiting: list[tuple[int, int, RawMessage]] = []
        for number, message in enumerate(self._reader.recording.messages(list(self._publishers_of))):
            delay_ns = _LOOKAHEAD_NS if message.topic == self._reader.image_topic else 0
            heapq.heappush(waiting, (message.log_ns + delay_ns, number, message))
            while waiting and waiting[0][0] <= message.log_ns:
                due_ns, _, due = heapq.heappop(waiting)
                yield due_ns, due
        while waiting:
            due_ns, _, due = heapq.heappop(waiting)
            yield due_ns, due

    def _hear(self, result: InspectionResult) -> None:
        with self._news:
            stamp = stamp_ns(result.header)
            self.played.answers[stamp] = result
            self.played.heard[stamp] += 1
            self._news.notify_all()

    def _wait_for_answer(self, stamp: int, heard: int, timeout_s: float) -> InspectionResult | None:
        """Wait for one more answer to a stamp than were heard before its image was sent."""
        with self._news:
            came = self._news.wait_for(lambda: self.played.heard[stamp] > heard, timeout_s)
            return self.played.answers[stamp] if came else None


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="player", description="play a recording to an inspection cell")
    parser.add_argument("bag", type=Path, help="ROS 2 bag (folder, .mcap or .db3)")
    parser.add_argument("--image-topic", default="", help="which images, where the bag has several")
    parser.add_argument("--info-topic", default="", help="which CameraInfo, where the bag has several")
    parser.add_argument("--compressed", action="store_true", help="take compressed images where the bag has both")
    parser.add_argument("--rate", type=float, default=1.0, help="how much faster than recorded (default 1)")
    parser.add_argument("--lockstep", action="store_true", help="wait for each answer instead of keeping time")
    parser.add_argument("--timeout", type=float, default=60.0, help="s to wait for the cell, and for each answer")
    parser.add_argument("--loop", action="store_true", help="play again and again")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for use_sim_time")
    options = parser.parse_args(args)
    if options.rate <= 0:
        parser.error(f"--rate: expected more than 0, got {options.rate:g}")
    return options


def _play(player: Player, options: argparse.Namespace) -> int:
    if player.loss:
        player.get_logger().warning(player.loss)
    if not player.wait_for_cell(options.timeout):
        player.get_logger().warning("no cell listens; playing all the same")
    while True:
        played = player.play(options.rate, options.timeout if options.lockstep else None)
        player.get_logger().info(f"{len(played.sent)} images sent, {played.heard.total()} answered")
        if not options.loop or not player.context.ok():
            return int(options.lockstep and bool(played.unanswered))


def main() -> None:
    """Play a recording; the exit code is 1 where an answer is missing in lockstep, 2 on bad input."""
    rclpy.init()
    options = _options(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    try:
        player = Player(options.bag, options.image_topic, options.info_topic, options.compressed, options.clock)
    except PtadError as error:
        get_logger("player").fatal(str(error))
        rclpy.utilities.try_shutdown()
        sys.exit(2)
    code = 0
    with suppress(KeyboardInterrupt), spinning(player):
        code = _play(player, options)
    rclpy.utilities.try_shutdown()
    sys.exit(code)


if __name__ == "__main__":
    main()
