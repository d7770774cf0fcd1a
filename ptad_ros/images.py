"""Images and cameras as ROS messages. Decoding is shared with the bag reader: what a node sees, a replay sees."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ptad_core.camera import Camera
from ptad_core.errors import CameraError
from ptad_core.evaluation.messages import CorruptImageError, UnusableImageError, decode_camera, decode_image
from ptad_core.types import ColorImage, Reason


class FrameError(Exception):
    """A frame cannot be inspected for what came in, not for what it shows."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode_frame(image: Any, info: Any, rectified: bool,
                 max_megapixels: float = math.inf) -> tuple[ColorImage, Camera]:
    """Return a frame's picture (H, W, 3) BGR without lens distortion, and the camera that belongs to it.

    Args:
        image: ``Image`` or ``CompressedImage``.
        info: ``CameraInfo``, None where none came.
        rectified: the picture is rectified already, so P holds and not K and D.
        max_megapixels: larger pictures are refused.

    Raises:
        FrameError: with the reason, where the frame cannot be used.
    """
    try:
        picture = decode_image(image, max_megapixels)
    except UnusableImageError as error:
        raise FrameError(error.reason, str(error)) from error
    if info is None:
        raise FrameError(Reason.CAMERA_INFO_MISSING, f"no CameraInfo has come with frame {image.header.frame_id!r}; "
                         "check that the driver publishes it beside the image, with the same frame_id")
    try:
        camera = decode_camera(info, rectified)
    except CameraError as error:
        raise FrameError(Reason.BAD_INTRINSICS, str(error)) from error
    try:
        camera.require_size(picture)
    except CameraError as error:
        raise FrameError(Reason.SIZE_MISMATCH, str(error)) from error
    try:
        return camera.rectify(picture)
    except CameraError as error:
        raise FrameError(Reason.BAD_INTRINSICS, str(error)) from error


def camera_info(camera: Camera, header: Header) -> CameraInfo:
    """Return a camera as CameraInfo; of a rectified one P equals K."""
    model = "plumb_bob" if len(camera.distortion) <= 5 else "rational_polynomial"
    K = camera.K
    return CameraInfo(
        header=header, height=camera.height, width=camera.width,
        distortion_model="equidistant" if camera.fisheye else model, d=list(camera.distortion) or [0.0] * 5,
        k=K.ravel(), r=np.eye(3).ravel(), p=np.hstack([K, np.zeros((3, 1))]).ravel())


def image_message(pixels: NDArray[Any], encoding: str, header: Header) -> Image:
    """Return pixels (H, W) or (H, W, C) as an image message; the encoding must be that of the array's type."""
    pixels = np.ascontiguousarray(pixels)
    message = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                    is_bigendian=int(sys.byteorder == "big"), step=pixels.strides[0])
    message.data = pixels.tobytes()  # bytes are taken over as they are; a list would be checked item by item
    return message


def mask_of(message: Any) -> NDArray[np.bool_]:
    """Return a ``mono8`` mask message as (H, W) bool.

    Raises:
        EncodingError, CorruptImageError: if it is no such image.
    """
    return np.ascontiguousarray(decode_image(message)[..., 0] > 127)


def float_image_of(message: Any) -> NDArray[np.float32]:
    """Return a ``32FC1`` message (depth in metres, anomaly map) as (H, W) float32.

    Raises:
        CorruptImageError: if it is no such image.
    """
    if message.encoding != "32FC1" or len(message.data) != 4 * message.height * message.width:
        raise CorruptImageError(f"expected a 32FC1 image of {message.width}x{message.height}, got {message.encoding} "
                                f"with {len(message.data)} bytes")
    data = np.frombuffer(message.data, np.dtype(np.float32).newbyteorder(">" if message.is_bigendian else "<"))
    return data.reshape(message.height, message.width).astype(np.float32, copy=False)
