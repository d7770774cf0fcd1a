"""Messages from other nodes: images, CameraInfo, transforms, what stages exchange, bytes that claim to be such."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from benchmarks.fuzz.family import Family
from benchmarks.fuzz.mutate import mutated, spoil
from ptad_core import types as core
from ptad_core.camera import Camera
from ptad_core.errors import PtadError
from ptad_core.evaluation.recording import deserialize
from ptad_core.evaluation.salvage import RawMessage
from ptad_core.frames import is_rigid
from ptad_ros.images import FrameError, camera_info, decode_frame, float_image_of, image_message
from ptad_ros.join import FrameJoin
from ptad_ros.messages import (
    aligned_pose_message,
    alignment_of,
    mask_status_message,
    result_message,
    result_of,
    segmentation_of,
    transform_message,
)
from ptad_ros.tf import OwnTransforms

CAMERA = Camera(40.0, 40.0, 15.5, 11.5, 32, 24, (0.01, 0.0, 0.0, 0.0, 0.0))
ENCODINGS = ("bgr8", "rgb8", "mono8", "mono16", "bgra8", "bayer_rggb8", "yuv422_yuy2", "8UC3", "16UC1", "rgb16",
             "32FC1")
HEADER = Header(frame_id="cam", stamp=Time(sec=10))


def _image(rng: random.Random) -> tuple[Any, Any]:
    pixels = np.frombuffer(rng.randbytes(24 * 32 * 3), np.uint8).reshape(24, 32, 3)
    image = image_message(pixels, "bgr8", HEADER)
    if rng.random() < 0.5:
        image.encoding = rng.choice(ENCODINGS)
    return spoil(image, rng), spoil(camera_info(CAMERA, HEADER), rng, 0.02)


def _compressed(rng: random.Random) -> tuple[Any, Any]:
    pixels = np.frombuffer(rng.randbytes(24 * 32 * 3), np.uint8).reshape(24, 32, 3)
    data = cv2.imencode(rng.choice((".png", ".jpg")), pixels)[1].tobytes()
    image = CompressedImage(header=HEADER, format="jpeg")
    image.data = mutated(data, rng)
    return image, camera_info(CAMERA, HEADER)


def _info(rng: random.Random) -> tuple[Any, Any]:
    pixels = np.zeros((24, 32, 3), np.uint8)
    return image_message(pixels, "bgr8", HEADER), spoil(camera_info(CAMERA, HEADER), rng, 0.25)


def _feed_frame(given: tuple[Any, Any], _folder: Path) -> None:
    image, info = given
    join = FrameJoin()
    join.add("image", image.header.stamp.sec * 10**9 + image.header.stamp.nanosec, image.header.frame_id, image, 0.0)
    join.take(1.0, 0.0, 0.0)
    for rectified in (False, True):
        picture, camera = decode_frame(image, info, rectified, 64.0)
        assert picture.dtype == np.uint8 and picture.shape == (camera.height, camera.width, 3)
        assert np.isfinite(camera.K).all() and not camera.distortion


def _transforms(rng: random.Random) -> list[tuple[Any, bool]]:
    frames = ("cell", "cam", "part_nominal", "robot")
    messages = []
    for i in range(6):
        parent, child = rng.sample(frames, 2)
        header = Header(frame_id=parent, stamp=Time(sec=10 + i // 3))
        transform = spoil(transform_message(np.eye(4), header, child), rng, 0.04)
        transforms = [transform, TransformStamped()][:rng.choice((1, 1, 1, 2))]
        messages.append((TFMessage(transforms=transforms), rng.random() < 0.3))
    return messages


def _feed_transforms(given: list[tuple[Any, bool]], _folder: Path) -> None:
    buffer = OwnTransforms(max_gap_s=1.0)
    for message, static in given:
        buffer.feed(message, static)
    assert is_rigid(buffer.lookup("cam", "part_nominal", 10 * 10**9 + 5), tolerance=1e-3)


def _pose() -> core.AlignedPose:
    return core.AlignedPose(np.eye(4), np.eye(6), 0.9, 0.5, core.SeedSource.TF, 2.0, np.eye(4), False, True, 1.0, 0.01)


@cache
def _stage_results() -> core.InspectionResult:
    region = core.AnomalyRegion(core.Box(1, 2, 3, 4), core.RegionKind.MISSING, 2.0, 5.0, 9, np.zeros(3), np.ones(3),
                                np.array([0.0, 0.0, 1.0]))
    detection = core.Detection(np.zeros((24, 32), np.float32), 2.0, 1.0, (region,))
    segmentation = core.Segmentation(np.ones((24, 32), bool), "auto", 0.9, core.Box(0, 0, 32, 24))
    return core.InspectionResult(core.Verdict.FAIL, (core.Reason.MATERIAL_MISSING,), "words", "part", "cafe",
                                 segmentation, core.Alignment(_pose()), None, detection, (core.StageTime("all", 1.0),))


def _stages(rng: random.Random) -> tuple[Any, Any, Any, Any, Any]:
    result = _stage_results()
    assert result.segmentation is not None and result.alignment is not None
    mask = image_message(result.segmentation.mask.astype(np.uint8) * 255, "mono8", HEADER)
    floats = image_message(np.zeros((24, 32), np.float32), "32FC1", HEADER)
    return (spoil(mask, rng, 0.03), spoil(mask_status_message(result.segmentation, HEADER), rng, 0.05),
            spoil(aligned_pose_message(result.alignment, HEADER, "part", "cafe"), rng, 0.05),
            spoil(result_message(result, HEADER), rng, 0.05), spoil(floats, rng, 0.05))


def _feed_stages(given: tuple[Any, Any, Any, Any, Any], _folder: Path) -> None:
    mask, status, pose, result, floats = given
    refused: list[Exception] = []

    def segmentation() -> None:
        found = segmentation_of(mask, status, CAMERA)
        assert found.reasons or found.mask.shape == (24, 32)

    def alignment() -> None:
        found = alignment_of(pose, "cafe")
        assert found.pose is None or is_rigid(found.pose.T_camera_part, tolerance=1e-3)
        assert found.pose is not None or found.reasons
        assert pose.trusted or not found.trusted

    def answer() -> None:
        found = result_of(result, None, None, None)
        assert isinstance(found.verdict, core.Verdict)

    for read in (segmentation, alignment, answer, lambda: float_image_of(floats)):
        try:
            read()
        except PtadError as error:
            refused.append(error)
    for error in refused:
        raise error


_KINDS = (("sensor_msgs/msg/Image", Image), ("sensor_msgs/msg/CameraInfo", CameraInfo),
          ("sensor_msgs/msg/CompressedImage", CompressedImage), ("tf2_msgs/msg/TFMessage", TFMessage))


def _cdr(rng: random.Random) -> tuple[str, bytes]:
    name, kind = rng.choice(_KINDS)
    message = kind()
    if kind is Image:
        message = image_message(np.zeros((4, 4, 3), np.uint8), "bgr8", HEADER)
    elif kind is CameraInfo:
        message = camera_info(CAMERA, HEADER)
    elif kind is TFMessage:
        message = TFMessage(transforms=[transform_message(np.eye(4), HEADER, "child")])
    return name, mutated(serialize_message(message), rng)


def _feed_cdr(given: tuple[str, bytes], _folder: Path) -> None:
    name, data = given
    deserialize(RawMessage("/topic", name, 0, data))


FAMILIES = (
    Family("image", _image, _feed_frame, (FrameError,), weight=2.0),
    Family("compressed image", _compressed, _feed_frame, (FrameError,), weight=1.0),
    Family("CameraInfo", _info, _feed_frame, (FrameError,), weight=1.5),
    Family("transforms", _transforms, _feed_transforms, weight=1.0),
    Family("stage messages", _stages, _feed_stages, weight=1.5),
    Family("serialised messages", _cdr, _feed_cdr, weight=1.0),
)
