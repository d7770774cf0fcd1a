"""Writes what a cell records: a ROS 2 bag (MCAP, zstd) of images, intrinsics and transforms, without ROS."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import Stores, get_typestore

from ptad_core.camera import Camera
from ptad_core.errors import BagError
from ptad_core.frames import invert, to_quaternion
from ptad_core.types import ColorImage, FloatArray

IMAGE_TOPIC, INFO_TOPIC = "/camera/image_raw", "/camera/camera_info"
TF_DELAY_NS, IMAGE_DELAY_NS = 2_000_000, 15_000_000
"""A robot's transforms arrive before the image of the same stamp, which has to be read out and sent."""

_TYPES = get_typestore(Stores.ROS2_JAZZY)
_NEVER = QosTime(2147483647, 4294967295)


def _qos(depth: int, reliability: QosReliability, durability: QosDurability) -> list[Qos]:
    return [Qos(QosHistory.KEEP_LAST, depth, reliability, durability, _NEVER, _NEVER, QosLiveliness.AUTOMATIC, _NEVER,
                False)]


class BagWriter:
    """A bag of one camera that moves in a cell; a context manager."""

    def __init__(self, path: Path, camera_frame: str, cell_frame: str, camera: Camera) -> None:
        """Make the bag's folder.

        Raises:
            BagError: if it exists already.
        """
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        except WriterError as error:
            raise BagError(f"expected a folder without a bag, got {path}: {error}") from error
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._camera_frame, self._cell_frame, self._camera = camera_frame, cell_frame, camera

    def __enter__(self) -> Self:
        self._writer.open()
        sensor = _qos(5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE)
        self._images = self._connect(IMAGE_TOPIC, "sensor_msgs/msg/Image", sensor)
        self._infos = self._connect(INFO_TOPIC, "sensor_msgs/msg/CameraInfo", sensor)
        self._tf = self._connect("/tf", "tf2_msgs/msg/TFMessage",
                                 _qos(100, QosReliability.RELIABLE, QosDurability.VOLATILE))
        self._tf_static = self._connect("/tf_static", "tf2_msgs/msg/TFMessage",
                                        _qos(1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._writer.close()

    def write_static(self, stamp_ns: int, part_frame: str, T_cell_part: FloatArray) -> None:
        """Write where a part is meant to lie."""
        self._write(self._tf_static, stamp_ns, _transform(stamp_ns, self._cell_frame, part_frame, T_cell_part))

    def write_frame(self, stamp_ns: int, image_bgr: ColorImage, T_camera_cell: FloatArray) -> None:
        """Write one picture with the intrinsics and the camera's place at its stamp."""
        tf = _transform(stamp_ns, self._cell_frame, self._camera_frame, invert(T_camera_cell))
        self._write(self._tf, stamp_ns + TF_DELAY_NS, tf)
        self._write(self._infos, stamp_ns + IMAGE_DELAY_NS, self._camera_info(stamp_ns))
        image = _new("sensor_msgs/msg/Image", header=_header(stamp_ns, self._camera_frame),
                     height=image_bgr.shape[0], width=image_bgr.shape[1], encoding="bgr8", is_bigendian=0,
                     step=3 * image_bgr.shape[1], data=image_bgr.ravel())
        self._write(self._images, stamp_ns + IMAGE_DELAY_NS, image)

    def _camera_info(self, stamp_ns: int) -> Any:
        camera = self._camera
        roi = _new("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        return _new("sensor_msgs/msg/CameraInfo", header=_header(stamp_ns, self._camera_frame), height=camera.height,
                    width=camera.width, distortion_model="plumb_bob", d=np.zeros(5), k=camera.K.ravel(),
                    r=np.eye(3).ravel(), p=np.column_stack([camera.K, np.zeros(3)]).ravel(), binning_x=0, binning_y=0,
                    roi=roi)

    def _connect(self, topic: str, kind: str, qos: list[Qos]) -> Any:
        return self._writer.add_connection(topic, kind, typestore=_TYPES, offered_qos_profiles=qos)

    def _write(self, connection: Any, log_time_ns: int, message: Any) -> None:
        self._writer.write(connection, log_time_ns, _TYPES.serialize_cdr(message, connection.msgtype))


def _new(kind: str, **fields: Any) -> Any:
    return _TYPES.types[kind](**fields)


def _header(stamp_ns: int, frame: str) -> Any:
    time = _new("builtin_interfaces/msg/Time", sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    return _new("std_msgs/msg/Header", stamp=time, frame_id=frame)


def _transform(stamp_ns: int, parent: str, child: str, T_parent_child: FloatArray) -> Any:
    x, y, z = (float(k) for k in T_parent_child[:3, 3])
    qx, qy, qz, qw = (float(k) for k in to_quaternion(T_parent_child))
    transform = _new("geometry_msgs/msg/Transform", translation=_new("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
                     rotation=_new("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw))
    stamped = _new("geometry_msgs/msg/TransformStamped", header=_header(stamp_ns, parent), child_frame_id=child,
                   transform=transform)
    return _new("tf2_msgs/msg/TFMessage", transforms=[stamped])
