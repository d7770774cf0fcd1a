"""Looks at a running camera as a cell would see it: ``ptad doctor --live /camera`` runs this, and shows what it says.

Hears the camera's topics and TF for some seconds. Prints findings as JSON lines, each with the operator's next step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
import rclpy.utilities
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ptad_core.advice import NEXT_STEP
from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict, load_yaml
from ptad_core.doctor import Finding, error, ok, warning
from ptad_core.errors import CameraError, PtadError, TransformError
from ptad_core.evaluation.messages import UnusableImageError, decode_camera, decode_image, stamp_ns
from ptad_core.transforms import JumpWatch
from ptad_core.types import ColorImage, Reason
from ptad_ros.tf import TransformListener

LARGE_BYTES = 500_000
"""Images above this travel in many fragments, and best effort loses some under load."""
MAX_BEHIND_S, MAX_AHEAD_S = 1.0, 0.05
ASK_EVERY_S, ANSWER_S = 0.5, 2.0
"""How often a node that does not answer is asked again, and how long after listening it still may."""
_KEPT = 200


@dataclass(slots=True)
class Observed:
    """What was heard.

    Attributes:
        image_topic: where images are expected.
        publishers: node name -> whether it publishes reliably.
        elsewhere: topics that carry images of the same type.
        images: the newest ones, with the time by the clock in ns at which each came.
        infos: the newest CameraInfo messages.
        node_runs: whether an inspection node was found.
        state: its lifecycle state; '' where it did not answer.
    """

    image_topic: str
    publishers: dict[str, bool] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    images: list[tuple[Any, int]] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)
    node_runs: bool = False
    state: str = ""


class Examiner(Node):
    """Hears a camera and TF."""

    def __init__(self, config: CellConfig, namespace: str, **kwargs: Any) -> None:
        super().__init__("ptad_doctor", namespace=namespace, **kwargs)
        compressed = config.input.compressed
        self._type = CompressedImage if compressed else Image
        topic = "image_raw/compressed" if compressed else "image_raw"
        self.observed = Observed(self.resolve_topic_name(topic))
        self.transforms = TransformListener(self, JumpWatch(), lambda: None, lambda _: None, config.tf.max_gap_s)
        self.create_subscription(self._type, topic, self._hear_image, qos_profile_sensor_data)
        self.create_subscription(CameraInfo, "camera_info", self._hear_info, qos_profile_sensor_data)
        self._state = self.create_client(GetState, "inspection/get_state")

    def _hear_image(self, message: Any) -> None:
        came_ns = self.get_clock().now().nanoseconds
        self.observed.images = [*self.observed.images, (message, came_ns)][-_KEPT:]

    def _hear_info(self, message: CameraInfo) -> None:
        self.observed.infos = [*self.observed.infos, message][-_KEPT:]

    def _hear_state(self, answer: Future) -> None:
        self.observed.state = answer.result().current_state.label

    def listen(self, seconds: float) -> Observed:
        """Hear what there is to hear for some seconds; a node that was found may answer a little later."""
        seen, until, ask_again = self.observed, time.monotonic() + seconds, 0.0
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(self)
        while (now := time.monotonic()) < until or (seen.node_runs and not seen.state and now < until + ANSWER_S):
            if now > ask_again and not seen.state and self._state.service_is_ready():
                # An answer may be lost: the node may not have found this client yet.
                seen.node_runs, ask_again = True, now + ASK_EVERY_S
                self._state.call_async(GetState.Request()).add_done_callback(self._hear_state)
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()
        seen.publishers = {p.node_name: p.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                           for p in self.get_publishers_info_by_topic(seen.image_topic)}
        wanted = f"sensor_msgs/msg/{self._type.__name__}"
        seen.elsewhere = sorted(name for name, types in self.get_topic_names_and_types()
                                if wanted in types and self.count_publishers(name) and name != seen.image_topic)
        return seen


def findings(seen: Observed, config: CellConfig, transforms: TransformListener) -> Iterator[Finding]:
    """Yield what is to be said of a camera, in the order in which the operator would look at it."""
    yield from _of_publishers(seen)
    if not seen.images:
        return
    yield from _of_images(seen, config)
    yield from _of_camera(seen, config)
    yield _of_clock(seen)
    yield from _of_transforms(seen, config, transforms)
    yield _of_node(seen)


def _of_publishers(seen: Observed) -> Iterator[Finding]:
    topic = seen.image_topic
    if not seen.publishers:
        others = f"; images are published on {', '.join(seen.elsewhere)}" if seen.elsewhere else ""
        yield error("images", f"nobody publishes {topic}{others}",
                    "start the camera's driver, or remap its topic or the cell's namespace so that they meet")
    elif len(seen.publishers) > 1:
        yield warning("images", f"{topic} has several publishers: {', '.join(sorted(seen.publishers))}",
                      "let each camera have a namespace of its own")
    if seen.publishers and not seen.images:
        yield error("images", f"{topic} has a publisher, and no image came",
                    "check that the camera runs (a driver may wait for a trigger), and that the network lets "
                    "fragments of UDP through")


def _of_images(seen: Observed, config: CellConfig) -> Iterator[Finding]:
    message, _ = seen.images[-1]
    size = len(message.data)
    picture = _picture(message, config)
    if isinstance(picture, UnusableImageError):
        yield error("image", str(picture), NEXT_STEP[picture.reason])
    else:
        span_s = 1e-9 * (seen.images[-1][1] - seen.images[0][1])
        rate = f", {(len(seen.images) - 1) / span_s:.1f} per second" if span_s > 0 else ""
        kind = getattr(message, "encoding", "") or getattr(message, "format", "")
        yield ok("image", f"{picture.shape[1]}x{picture.shape[0]} {kind}{rate}")
    if size > LARGE_BYTES and not all(seen.publishers.values()):
        yield warning("image transport", f"{size >> 10} KiB per image, published best effort: some get lost under load",
                      "let the driver publish reliably, or use image_raw/compressed with input.compressed")


def _picture(message: Any, config: CellConfig) -> ColorImage | UnusableImageError:
    try:
        return decode_image(message, config.input.max_megapixels)
    except UnusableImageError as problem:
        return problem


def _of_camera(seen: Observed, config: CellConfig) -> Iterator[Finding]:
    message, _ = seen.images[-1]
    frame = message.header.frame_id
    of_frame = [info for info in seen.infos if info.header.frame_id == frame]
    if not of_frame:
        frames = ", ".join(sorted({repr(info.header.frame_id) for info in seen.infos})) or "none"
        yield error("camera_info", f"none with the images' frame_id {frame!r}; came: {frames}",
                    NEXT_STEP[Reason.CAMERA_INFO_MISSING])
        return
    try:
        camera: Camera = decode_camera(of_frame[-1], config.input.rectified)
    except CameraError as problem:
        yield error("camera_info", str(problem), NEXT_STEP[Reason.BAD_INTRINSICS])
        return
    picture = _picture(message, config)
    if not isinstance(picture, UnusableImageError):
        try:
            camera.require_size(picture)
        except CameraError as problem:
            yield error("camera_info", str(problem), NEXT_STEP[Reason.SIZE_MISMATCH])
            return
    yield ok("camera_info", f"fx = {camera.fx:.1f} px, {len(camera.distortion)} distortion coefficients")
    stamps = {stamp_ns(info.header) for info in seen.infos}
    if len(stamps) > 1 and not any(stamp_ns(image.header) in stamps for image, _ in seen.images):
        yield warning("camera_info stamps", "none is that of an image, so each image waits for input.info_timeout_s",
                      "let the driver publish both with one stamp")


def _of_clock(seen: Observed) -> Finding:
    message, came_ns = seen.images[-1]
    behind_s = 1e-9 * (came_ns - stamp_ns(message.header))
    if -MAX_AHEAD_S <= behind_s <= MAX_BEHIND_S:
        return ok("stamps", f"{1e3 * behind_s:.0f} ms before this machine's clock")
    return warning("stamps", f"{abs(behind_s):.3f} s {'before' if behind_s > 0 else 'after'} this machine's clock",
                   "let camera, robot and cell share a clock (chrony, PTP): Inspect goals and transforms go by it; for "
                   "a recording set use_sim_time")


def _of_transforms(seen: Observed, config: CellConfig, transforms: TransformListener) -> Iterator[Finding]:
    part = config.tf.part_frame
    if not part:
        yield ok("TF", "not asked for: tf.part_frame is not set, the part is searched blind")
        return
    problem: TransformError | None = None
    for message, _ in reversed(seen.images):  # the transforms of the newest may not have come yet
        try:
            T = transforms.buffer.lookup(message.header.frame_id, part, stamp_ns(message.header))
        except TransformError as this:
            problem = problem or this
            continue
        x, y, z = T[:3, 3]
        yield ok("TF", f"{part} is {z:.3f} m before the camera, {x:.3f} m right and {y:.3f} m below its axis")
        if z <= 0:
            yield error("TF", f"{part} lies behind the camera", "camera frames look along z (the optical frame): check "
                        "frame_id and hand-eye calibration")
        return
    reason = getattr(problem, "reason", Reason.TF_MISSING)
    tell = error if config.tf.required else warning
    yield tell("TF", str(problem), NEXT_STEP[reason])


def _of_node(seen: Observed) -> Finding:
    if not seen.node_runs:
        return ok("node", "no inspection node runs in this namespace")
    if not seen.state:
        return warning("node", "an inspection node runs and does not answer", "look at the node's log; if it hangs, "
                       "end it and start it again")
    if seen.state == "active":
        return ok("node", "the inspection node is active")
    return warning("node", f"the inspection node is {seen.state}", NEXT_STEP[Reason.NOT_ACTIVE])


def main() -> None:
    """Examine, and print findings as JSON lines."""
    rclpy.init(args=sys.argv)
    parser = argparse.ArgumentParser(prog="examine", description="look at a running camera as a cell would see it")
    parser.add_argument("namespace", help="of the camera, such as /camera")
    parser.add_argument("--config", type=Path, help="settings of the cell")
    parser.add_argument("--node", default="", help="whose settings, where the file is of several")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen")
    options = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    try:
        values = load_yaml(options.config, options.node) if options.config else {}
        config = from_dict(CellConfig, values)
        node = Examiner(config, options.namespace)
    except (PtadError, ValueError) as problem:
        sys.exit(f"examine: {problem}")
    for finding in findings(node.listen(options.seconds), config, node.transforms):
        sys.stdout.write(json.dumps(dataclasses.asdict(finding)) + "\n")
    node.destroy_node()
    rclpy.utilities.try_shutdown()


if __name__ == "__main__":
    main()
