"""Records a cell's results into a bag: ``python -m ptad_ros.recorder OUT``.

An MCAP bag with the definitions of ``ptad_msgs`` in it, so that any reader of bags understands it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
import rclpy.utilities
from ptad_msgs.msg import AlignedPose, InspectionResult, MaskStatus
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, Image

OUTPUTS: dict[str, type] = {
    "result": InspectionResult, "mask": Image, "mask_status": MaskStatus, "aligned_pose": AlignedPose,
    "rendered_depth": Image, "rendered_depth/camera_info": CameraInfo, "anomaly_map": Image}
"""Topic -> type of what the stages publish for each image (the overlay can be drawn from these)."""


def typestore() -> Any:
    """Return the message types of ROS 2 with those of ``ptad_msgs``, as ``rosbags`` needs them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for file in sorted(_definitions("ptad_msgs").glob("*.msg")):
        types |= get_types_from_msg(file.read_text(encoding="utf-8"), f"ptad_msgs/msg/{file.stem}")
    store.register(types)
    return store


def _definitions(package: str) -> Path:
    """Return the folder of a package's .msg files; in an environment of wheels no AMENT_PREFIX_PATH leads there."""
    module = Path(importlib.import_module(package).__file__ or "")
    folders = [prefix / "share" / package / "msg" for prefix in module.parents]
    return next(folder for folder in folders if folder.is_dir())


class Recorder(Node):
    """Writes every message of the cell's outputs into a bag, as it came.

    Attributes:
        counts: messages written, by topic as given.
        error: why writing ended early; '' while all is well.

    Raises:
        WriterError: if the folder exists already.
        OSError: if it cannot be made.
    """

    def __init__(self, out: Path, topics: dict[str, type] | None = None, **kwargs: Any) -> None:
        super().__init__("recorder", **kwargs)
        self._lock = threading.Lock()
        self._writer = Writer(out, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self.counts: dict[str, int] = {}
        self.error = ""
        self.last_s = time.monotonic()
        store = typestore()
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        for topic, message_type in (OUTPUTS if topics is None else topics).items():
            name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
            connection = self._writer.add_connection(self.resolve_topic_name(topic), name, typestore=store)
            self.counts[topic] = 0
            self.create_subscription(message_type, topic, partial(self._write, topic, connection), qos, raw=True)

    def _write(self, topic: str, connection: Any, data: bytes) -> None:
        self.last_s = time.monotonic()
        with self._lock:
            if self._writer.storage is None or self.error:
                return
            try:
                self._writer.write(connection, time.time_ns(), data)
            except (OSError, WriterError) as error:
                self.error = f"recording ended: {error}"
                self.get_logger().error(self.error)
            else:
                self.counts[topic] += 1

    def wait_until_quiet(self, quiet_s: float = 0.5, timeout_s: float = 10.0) -> None:
        """Wait until nothing more comes."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < min(until, self.last_s + quiet_s):
            time.sleep(0.02)

    def close(self) -> None:
        """Finish the bag; no effect the second time."""
        with self._lock:
            if self._writer.storage is None:
                return
            try:
                self._writer.close()
            except OSError as error:
                self.error = self.error or f"the bag could not be finished: {error}"
                self.get_logger().error(self.error)


def main() -> None:
    """Record until interrupted."""
    rclpy.init()
    parser = argparse.ArgumentParser(prog="recorder", description="record the results of an inspection cell")
    parser.add_argument("out", type=Path, help="folder of the bag; must not exist")
    options = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    try:
        recorder = Recorder(options.out)
    except (WriterError, OSError) as error:
        get_logger("recorder").fatal(str(error))
        rclpy.utilities.try_shutdown()
        sys.exit(2)
    try:
        while not recorder.error:
            rclpy.spin_once(recorder, timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        recorder.close()
        rclpy.utilities.try_shutdown()
    sys.exit(2 if recorder.error else 0)


if __name__ == "__main__":
    main()
