"""Small ROS 2 bags for tests, written with rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ptad_core.camera import Camera
from ptad_core.frames import to_quaternion

STORE = get_typestore(Stores.ROS2_JAZZY)
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
CAMERA_FRAME = "camera_color_optical_frame"


def message(name: str, **values: Any) -> Any:
    """Make a message; name as in 'sensor_msgs/msg/Image'."""
    return STORE.types[name](**values)


def header(stamp_ns: int, frame_id: str) -> Any:
    time = message("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


def raw_image(stamp_ns: int, pixels: NDArray[Any], encoding: str, padding: int = 0) -> Any:
    """Return an Image; ``padding`` bytes are appended to each row."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return message("sensor_msgs/msg/Image", header=header(stamp_ns, CAMERA_FRAME), height=pixels.shape[0],
                   width=pixels.shape[1], encoding=encoding, is_bigendian=0, step=rows.shape[1], data=rows.ravel())


def compressed_image(stamp_ns: int, picture: NDArray[np.uint8]) -> Any:
    data = cv2.imencode(".png", picture)[1].ravel()
    return message("sensor_msgs/msg/CompressedImage", header=header(stamp_ns, CAMERA_FRAME),
                   format="bgr8; png compressed bgr8", data=data)


def camera_info(stamp_ns: int, camera: Camera, K: NDArray[np.float64] | None = None) -> Any:
    K = camera.K if K is None else K
    no_roi = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return message(
        "sensor_msgs/msg/CameraInfo", header=header(stamp_ns, CAMERA_FRAME), height=camera.height, width=camera.width,
        distortion_model="plumb_bob", d=np.array(camera.distortion or [0.0] * 5), k=K.ravel(), r=np.eye(3).ravel(),
        p=np.hstack([K, np.zeros((3, 1))]).ravel(), binning_x=0, binning_y=0, roi=no_roi)


def transform(stamp_ns: int, parent: str, child: str, T_parent_child: NDArray[np.float64]) -> Any:
    """Return a TFMessage with one transform."""
    x, y, z = T_parent_child[:3, 3]
    qx, qy, qz, qw = to_quaternion(T_parent_child)
    moved = message("geometry_msgs/msg/Transform",
                    translation=message("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
                    rotation=message("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw))
    stamped = message("geometry_msgs/msg/TransformStamped", header=header(stamp_ns, parent), child_frame_id=child,
                      transform=moved)
    return message("tf2_msgs/msg/TFMessage", transforms=[stamped])


@dataclass(frozen=True)
class Item:
    """One message of a bag to be."""

    topic: str
    log_ns: int
    content: Any


def write_bag(path: Path, items: Sequence[Item], sqlite: bool = False, zstd_messages: bool = False) -> Path:
    """Write a bag folder; return it."""
    plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
    writer = Writer(path, version=9, storage_plugin=plugin)
    if zstd_messages:
        writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for item in items:
            msgtype = item.content.__msgtype__
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, msgtype, typestore=STORE)
            writer.write(connections[item.topic], item.log_ns, STORE.serialize_cdr(item.content, msgtype))
    return path


def camera_items(pictures: Sequence[NDArray[np.uint8]], camera: Camera, topic: str = "/camera/image_raw") -> list[Item]:
    """Return image and CameraInfo of each picture, one every 0.1 s."""
    items = []
    for i, picture in enumerate(pictures):
        stamp_ns = START_NS + i * PERIOD_NS
        items.append(Item("/camera/camera_info", stamp_ns, camera_info(stamp_ns, camera)))
        items.append(Item(topic, stamp_ns, raw_image(stamp_ns, picture, "bgr8")))
    return items


def noise_pictures(count: int, camera: Camera, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return pictures that compress badly, so that files have a middle to be cut in."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8) for _ in range(count)]
