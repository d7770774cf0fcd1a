"""Images and cameras from outside: limits that hold before anything is decoded, and what of a sensor is read out."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from ptad_core.errors import CameraError
from ptad_core.evaluation.compressed_size import stated_size
from ptad_core.evaluation.messages import CorruptImageError, ImageTooLargeError, decode_camera, decode_image

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def compressed(data: bytes, kind: str = "png") -> Any:
    return SimpleNamespace(format=kind, data=data)


def encoded(kind: str, *options: int) -> bytes:
    return cv2.imencode(f".{kind}", PICTURE, options)[1].tobytes()


FILES = [encoded("png"), encoded("jpg"), encoded("jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
         encoded("jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2)]


@pytest.mark.parametrize("data", FILES, ids=["png", "jpg", "progressive", "restarts"])
def test_the_stated_size_is_that_of_the_picture(data: bytes) -> None:
    assert stated_size(data) == (64, 48)
    assert decode_image(compressed(data), max_megapixels=64 * 48 / 1e6).shape == (48, 64, 3)
    with pytest.raises(ImageTooLargeError, match=r"at most 0\.003 megapixels, got 64x48"):
        decode_image(compressed(data), max_megapixels=0.003)
    for length in range(24):  # wherever it is cut, the answer is an answer
        assert stated_size(data[:length]) in (None, (64, 48))


def test_jpeg_with_metadata_before_its_size() -> None:
    exif = b"\xff\xe1" + struct.pack(">H", 5002) + bytes(5000)
    assert stated_size(b"\xff\xd8" + exif + b"\xff\xff" + FILES[1][2:]) == (64, 48)


def test_a_small_file_that_claims_to_be_huge_is_not_decompressed() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    with pytest.raises(ImageTooLargeError, match="60000x60000"):
        decode_image(compressed(bomb), max_megapixels=64)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00", bytes(100),
                                  cv2.imencode(".bmp", PICTURE)[1].tobytes()])
def test_what_is_neither_jpeg_nor_png_is_refused(data: bytes) -> None:
    assert stated_size(data) is None
    with pytest.raises(CorruptImageError, match="expected a JPEG or PNG"):
        decode_image(compressed(data))


def test_a_raw_image_is_limited_as_well() -> None:
    message = SimpleNamespace(encoding="mono8", width=2**31, height=2**31, step=2**31, data=b"", is_bigendian=0)
    with pytest.raises(ImageTooLargeError):
        decode_image(message, max_megapixels=64)


def info(x: int = 0, y: int = 0, width: int = 0, height: int = 0, bx: int = 0, by: int = 0,
         do_rectify: bool = False) -> Any:
    K = [500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0]
    roi = SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=do_rectify)
    return SimpleNamespace(width=640, height=480, distortion_model="plumb_bob", d=[-0.1, 0.01, 0.0, 0.0, 0.0], k=K,
                           p=[*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0], binning_x=bx, binning_y=by, roi=roi)


@pytest.mark.parametrize("zeros", [info(), info(width=640, height=480), info(bx=1, by=1)])
def test_all_of_the_sensor_is_the_usual_case(zeros: Any) -> None:
    camera = decode_camera(zeros)
    assert (camera.width, camera.height, camera.cx, camera.fx) == (640, 480, 319.5, 500.0)
    assert len(camera.distortion) == 5


@pytest.mark.parametrize("rectified", [False, True])
def test_a_region_that_is_binned_shows_points_where_they_are_in_its_pixels(rectified: bool) -> None:
    """The sensor's pixels (100..419, 60..299), 4 x 2 of them in one."""
    whole, part = decode_camera(info(), rectified), decode_camera(info(100, 60, 320, 240, 4, 2), rectified)
    assert (part.width, part.height) == (80, 120)
    points = np.array([[-0.2, -0.15, 1.0], [0.0, 0.05, 1.0], [0.1, -0.1, 0.9]])
    expected = (whole.project(points) - [100, 60] + 0.5) / [4, 2] - 0.5
    np.testing.assert_allclose(part.project(points), expected)
    sensor = np.zeros((480, 640), np.float32)
    sensor[200, 300] = 1.0  # where a pixel of the sensor ends up when it is cut out and averaged
    row, column = np.argwhere(sensor[60:300, 100:420].reshape(120, 2, 80, 4).mean(axis=(1, 3)))[0]
    ray = np.array([[(300 - whole.cx) / whole.fx, (200 - whole.cy) / whole.fy, 1.0]])
    assert np.abs(part.project(ray)[0] - [column, row]).max() <= 0.5


def test_a_distorted_region_is_rectified_like_the_whole_image() -> None:
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8), (0, 0), 5)
    whole, _ = decode_camera(info()).rectify(picture)
    part, _ = decode_camera(info(100, 60, 320, 240)).rectify(np.ascontiguousarray(picture[60:300, 100:420]))
    inner = (slice(20, -20), slice(20, -20))  # beyond the region's border there is nothing to take pixels from
    assert np.abs(part[inner].astype(int) - whole[60:300, 100:420][inner]).max() <= 1


@pytest.mark.parametrize(("given", "rectified", "words"), [
    (info(400, 0, 320, 240), False, "on the 640x480 sensor"), (info(5, 5), False, "with a size"),
    (info(0, 0, 320, 240, do_rectify=True), True, "do_rectify")])
def test_regions_that_cannot_be_used_are_refused(given: Any, rectified: bool, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        decode_camera(given, rectified)


BLUE, GREEN, RED, GREY = 40, 120, 220, 90
CONVENTIONS = (Path(__file__).resolve().parent.parent / "docs" / "conventions.md").read_text(encoding="utf-8")
(ACCEPTED,) = re.findall(r"Accepted from outside: (.*?) and what", CONVENTIONS, re.DOTALL)


def one_colour(encoding: str) -> np.ndarray:
    """Pixels of one colour, as an encoding has them: (8, 8) or (8, 8, channels), uint8 or uint16."""
    kind = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "16UC1": "mono16"}.get(encoding, encoding)
    if kind.startswith("bayer"):
        pattern = [{"r": RED, "g": GREEN, "b": BLUE}[letter] for letter in kind[6:10]]
        pixels = np.tile(np.array(pattern, np.uint8).reshape(2, 2), (4, 4))
    elif kind.startswith("mono"):
        pixels = np.full((8, 8), GREY, np.uint8)
    elif kind[:3] in ("yuv", "uyv", "yuy"):  # video range, ITU-R BT.601
        luma = round(16 + (65.481 * RED + 128.553 * GREEN + 24.966 * BLUE) / 255)
        chroma = [round(128 + (-37.797 * RED - 74.203 * GREEN + 112.0 * BLUE) / 255),
                  round(128 + (112.0 * RED - 93.786 * GREEN - 18.214 * BLUE) / 255)]
        pixels = np.full((8, 8, 2), luma, np.uint8)
        pixels[:, :, int("yuy" in kind)] = np.tile(chroma, (8, 4))  # U and V take turns, before or after the Y
    else:
        pixels = np.full((8, 8, len(kind.rstrip("0168"))), 255, np.uint8)
        for channel, letter in enumerate(kind[:3]):
            pixels[..., channel] = {"r": RED, "g": GREEN, "b": BLUE}[letter]
    return pixels.astype(np.uint16) * 257 if "16" in encoding else pixels


@pytest.mark.parametrize("encoding", re.findall(r"`(\w+)`", ACCEPTED))
def test_every_encoding_of_the_conventions_shows_its_colour(encoding: str) -> None:
    pixels = one_colour(encoding)
    message = SimpleNamespace(encoding=encoding, height=8, width=8, step=pixels.strides[0], data=pixels.tobytes(),
                              is_bigendian=0)
    grey = pixels.ndim == 2 and not encoding.startswith("bayer")
    expected = [GREY] * 3 if grey else [BLUE, GREEN, RED]
    assert np.abs(decode_image(message)[2:-2, 2:-2].astype(int) - expected).max() <= 4
