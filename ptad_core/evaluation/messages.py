"""ROS messages to what the core understands: an image to BGR, a CameraInfo to a camera, a TF message to a buffer.

Nothing here knows a ROS package: messages are any objects with the fields of their ROS type, be they from
``rosbags`` or from ``rclpy``.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from rosbags import image as ros_image

from ptad_core.camera import Camera
from ptad_core.errors import CameraError, ImageError, TransformError
from ptad_core.evaluation.compressed_size import stated_size
from ptad_core.frames import from_quaternion
from ptad_core.transforms import TransformBuffer
from ptad_core.types import ColorImage, Reason

_SAME_AS = {"8UC1": "mono8", "16UC1": "mono16", "8UC3": "bgr8", "8UC4": "bgra8"}
_NS = 1_000_000_000


class UnusableImageError(ImageError):
    """An image message cannot be made a picture of."""

    reason = Reason.IMAGE_CORRUPT


class EncodingError(UnusableImageError):
    """The encoding of an image is not supported."""

    reason = Reason.BAD_ENCODING


class CorruptImageError(UnusableImageError):
    """The bytes of an image are not what its header says."""


class ImageTooLargeError(UnusableImageError):
    """An image has more pixels than are allowed."""

    reason = Reason.IMAGE_TOO_LARGE


def stamp_ns(header: Any) -> int:
    """Return the stamp of a ``std_msgs/Header`` in nanoseconds."""
    return int(header.stamp.sec) * _NS + int(header.stamp.nanosec)


def decode_image(message: Any, max_megapixels: float = math.inf) -> ColorImage:
    """Return a ``sensor_msgs/Image`` or ``CompressedImage`` as BGR (H, W, 3).

    Images of 16 bits are scaled to 8, grey ones repeated in all channels, alpha is dropped. Compressed images are JPEG
    or PNG.

    Raises:
        EncodingError: if the encoding is unknown or has no meaning as a picture.
        CorruptImageError: if the data do not have the size that the header states, or cannot be decompressed.
        ImageTooLargeError: if it has more than so many million pixels; found out before it is decoded.
    """
    return (_decode_compressed if hasattr(message, "format") else _decode_raw)(message, max_megapixels)


def _limit(width: int, height: int, max_megapixels: float) -> None:
    if width * height > 1e6 * max_megapixels:
        raise ImageTooLargeError(f"expected at most {max_megapixels:g} megapixels, got {width}x{height} pixels")


def _decode_compressed(message: Any, max_megapixels: float) -> ColorImage:
    data = np.frombuffer(message.data, np.uint8)
    size = stated_size(bytes(message.data))
    if size is None:
        raise CorruptImageError(f"expected a JPEG or PNG image ({message.format!r}), got {data.size} other bytes")
    _limit(*size, max_megapixels)
    # The intrinsics belong to the sensor's rows and columns, so an EXIF orientation must not turn the picture.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(data, flags) if data.size else None
    if picture is None:
        raise CorruptImageError(f"expected a compressed image ({message.format!r}), got {data.size} undecodable bytes")
    return np.asarray(picture, dtype=np.uint8)


def _decode_raw(message: Any, max_megapixels: float) -> ColorImage:
    encoding = _SAME_AS.get(message.encoding, message.encoding)
    try:
        bits, _, dtype, channels = ros_image.image.to_cvtype(encoding)
    except ros_image.ImageFormatError as error:
        raise EncodingError(f"expected an encoding such as bgr8, rgb8 or mono8, got {message.encoding!r}") from error
    height, width, step = int(message.height), int(message.width), int(message.step)
    _limit(width, height, max_megapixels)
    data = np.frombuffer(message.data, np.uint8)
    row = width * channels * bits // 8
    if height <= 0 or width <= 0 or step < row or data.size < (height - 1) * step + row:
        raise CorruptImageError(
            f"expected {height} rows of {row} bytes for {width}x{height} {message.encoding}, got {data.size} bytes "
            f"with a step of {step}")
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1))  # rows may be padded
    pixels = np.ascontiguousarray(rows).view(np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<"))
    pixels = pixels.astype(dtype, copy=False).reshape((height, width, channels) if channels > 1 else (height, width))
    try:
        picture = ros_image.image.convert_color(pixels, encoding, "bgr8")
    except (ros_image.ImageConversionError, cv2.error) as error:
        raise EncodingError(f"expected an encoding that shows a picture, got {message.encoding!r}") from error
    return np.ascontiguousarray(picture, dtype=np.uint8)


def decode_camera(message: Any, rectified: bool = False) -> Camera:
    """Return the camera of a ``sensor_msgs/CameraInfo``: of its raw images (K, D), or of its rectified ones (P).

    Both are of the full sensor: where the image is a region of interest of it, or binned, the camera is that of the
    image.

    Raises:
        CameraError: if K or P is unusable, the distortion model is unknown, or the region does not lie on the sensor.
    """
    return _read_out(_full_camera(message, rectified), message, rectified)


def _full_camera(message: Any, rectified: bool) -> Camera:
    if rectified:
        P = np.asarray(message.p, dtype=np.float64).reshape(3, 4)
        if abs(P[0, 3]) > 1e-9 or abs(P[1, 3]) > 1e-9:
            raise CameraError(f"expected a P without offset (one camera, or the left of a pair), got P = {P.tolist()}")
        return Camera.from_K(P[:, :3], int(message.width), int(message.height))
    distortion = tuple(float(d) for d in message.d)
    model = message.distortion_model
    if any(distortion) and model not in ("plumb_bob", "rational_polynomial", "equidistant", ""):
        raise CameraError(f"expected the distortion model plumb_bob, rational_polynomial or equidistant, got {model!r}")
    K = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
    return Camera.from_K(K, int(message.width), int(message.height), distortion, fisheye=model == "equidistant")


def _read_out(camera: Camera, message: Any, rectified: bool) -> Camera:
    """Return the camera of the part of the sensor that is read out; zeros mean all of it, and no binning."""
    roi = message.roi
    x, y, width, height = int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
    if width and height:
        if x + width > camera.width or y + height > camera.height:
            raise CameraError(f"expected a region of interest on the {camera.width}x{camera.height} sensor, got "
                              f"{width}x{height} pixels from ({x}, {y}) on")
        if rectified and roi.do_rectify and (width, height) != (camera.width, camera.height):
            raise CameraError("expected a CameraInfo whose region of interest is that of the rectified image, got "
                              "roi.do_rectify: only its driver knows which region that is; inspect the raw image")
        camera = camera.cropped(x, y, width, height)
    elif x or y:
        raise CameraError(f"expected a region of interest with a size, got only its offset ({x}, {y})")
    return camera.binned(max(1, int(message.binning_x)), max(1, int(message.binning_y)))


def feed_transforms(buffer: TransformBuffer, message: Any, static: bool) -> list[str]:
    """Put the transforms of a ``tf2_msgs/TFMessage`` into a buffer; return what is wrong with those left out."""
    refused = []
    for item in message.transforms:
        t, q = item.transform.translation, item.transform.rotation
        parent, child = item.header.frame_id, item.child_frame_id
        try:
            T_parent_child = from_quaternion(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))
            buffer.set(parent, child, stamp_ns(item.header), T_parent_child, static=static)
        except (ValueError, TransformError) as error:
            refused.append(f"transform {parent} -> {child}: {error}")
    return refused
