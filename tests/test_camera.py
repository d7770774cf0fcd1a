"""Intrinsics: checked once, and true to crops, scales and the lens."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ptad_core.camera import Camera
from ptad_core.errors import CameraError

CAMERA = Camera(610.0, 605.0, 322.3, 241.8, 640, 480)
POINTS = np.random.default_rng(0).uniform([-0.2, -0.15, 0.6], [0.2, 0.15, 1.2], (50, 3))


def K(fx: float = 600.0, fy: float = 600.0, cx: float = 320.0, cy: float = 240.0, skew: float = 0.0) -> np.ndarray:
    return np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])


def test_from_K_keeps_what_it_is_given() -> None:
    camera = Camera.from_K(K(610, 605, 322.3, 241.8), 640, 480)
    assert camera == CAMERA
    assert np.array_equal(camera.K, K(610, 605, 322.3, 241.8))


@pytest.mark.parametrize(("matrix", "size", "words"), [
    (np.zeros((3, 3)), (640, 480), "never calibrated"),
    (np.zeros((3, 4)), (640, 480), "3x3"),
    (K(fx=np.nan), (640, 480), "finite"),
    (K(fx=-600), (640, 480), "positive focal"),
    (K(fy=0), (640, 480), "positive focal"),
    (K(skew=30), (640, 480), "without skew"),
    (K(cx=5000), (640, 480), "principal point"),
    (K(), (0, 480), "positive image size"),
])
def test_unusable_intrinsics(matrix: np.ndarray, size: tuple[int, int], words: str) -> None:
    with pytest.raises(CameraError, match=words):
        Camera.from_K(matrix, *size)


@pytest.mark.parametrize(("distortion", "fisheye", "words"), [
    ((0.1,), False, "expected 4, 5, 8, 12 or 14 distortion coefficients, got 1"),
    ((0.1,) * 7, False, "got 7"),
    ((0.1,) * 15, False, "got 15"),
    ((0.1,) * 5, True, "expected 4 fisheye distortion coefficients, got 5"),
    ((0.1, np.nan, 0.0, 0.0, 0.0), False, "finite distortion"),
    ((0.0, 0.0, 0.0, np.inf), True, "finite distortion"),
])
def test_unusable_distortion(distortion: tuple[float, ...], fisheye: bool, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        Camera.from_K(K(), 640, 480, distortion, fisheye)


@pytest.mark.parametrize(("length", "fisheye"), [(4, False), (5, False), (8, False), (12, False), (14, False),
                                                 (4, True)])
def test_every_accepted_distortion_can_be_taken_out(length: int, fisheye: bool) -> None:
    camera = Camera.from_K(K(), 640, 480, (1e-3,) * length, fisheye)
    assert camera.rectify(np.zeros((480, 640, 3), np.uint8))[1].distortion == ()


def test_what_OpenCV_cannot_use_is_a_camera_error() -> None:
    with pytest.raises(CameraError, match="usable lens distortion"):
        Camera(600.0, 600.0, 320.0, 240.0, 640, 480, (0.1,) * 7).rectify(np.zeros((480, 640, 3), np.uint8))


def test_zero_distortion_is_none() -> None:
    camera = Camera.from_K(K(), 640, 480, (0.0, 0.0, 0.0, 0.0), fisheye=True)
    assert camera.distortion == () and not camera.fisheye


def test_image_size_must_be_the_cameras() -> None:
    CAMERA.require_size(np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(CameraError, match=r"640x480.*got 480x640"):
        CAMERA.require_size(np.zeros((640, 480, 3), np.uint8))


def test_crops_and_scales_move_projections_as_they_move_pixels() -> None:
    """Pixel centres are at integers: scaling by s maps u to (u + 0.5) s - 0.5."""
    pixels = CAMERA.project(POINTS)
    assert np.allclose(CAMERA.cropped(100.5, -20, 50, 60).project(POINTS), pixels - [100.5, -20])
    for factor in (0.5, 2.0, 0.37):
        assert np.allclose(CAMERA.scaled(factor, 10, 10).project(POINTS), (pixels + 0.5) * factor - 0.5)
    there_and_back = CAMERA.scaled(0.25, 160, 120).scaled(4, 640, 480)
    assert np.allclose(there_and_back.project(POINTS), pixels)


def test_scaled_camera_belongs_to_the_resized_image() -> None:
    """OpenCV's area averaging and ours place a dot at the same position."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[198:202, 398:402] = 255
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)[..., 0].astype(float)
    rows, cols = np.mgrid[0:120, 0:160]
    seen = np.array([(small * cols).sum(), (small * rows).sum()]) / small.sum()
    ray = np.array([[(399.5 - CAMERA.cx) / CAMERA.fx, (199.5 - CAMERA.cy) / CAMERA.fy, 1.0]])
    assert CAMERA.scaled(0.25, 160, 120).project(ray)[0] == pytest.approx(seen, abs=0.02)


@pytest.mark.parametrize(("distortion", "fisheye"), [((-0.28, 0.09, 1e-3, -5e-4, 0.0), False),
                                                    ((0.05, -0.01, 0.002, 0.0), True)])
def test_rectified_dots_lie_where_the_pinhole_puts_them(distortion: tuple[float, ...], fisheye: bool) -> None:
    bent = Camera.from_K(CAMERA.K, 640, 480, distortion, fisheye)
    points = np.array([[x, y, 1.0] for x in (-0.3, 0.0, 0.28) for y in (-0.2, 0.05, 0.22)])
    if fisheye:
        where = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), bent.K, np.array(distortion))[0]
    else:
        where = cv2.projectPoints(points, np.zeros(3), np.zeros(3), bent.K, np.array(distortion))[0]
    image = np.zeros((480, 640, 3), np.uint8)
    for u, v in where.reshape(-1, 2):
        cv2.circle(image, (round(u * 16), round(v * 16)), 5 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    flat, camera = bent.rectify(image)
    assert camera.distortion == () and np.array_equal(camera.K, bent.K)
    count, _, _, centroids = cv2.connectedComponentsWithStats((flat[..., 0] > 127).astype(np.uint8))
    assert count == len(points) + 1
    expected = camera.project(points)
    for centre in centroids[1:]:
        assert np.linalg.norm(expected - centre, axis=1).min() < 0.6
    shift = np.linalg.norm(where.reshape(-1, 2) - expected, axis=1).max()
    assert shift > 3  # the lens did something


def test_nothing_to_rectify() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    flat, camera = CAMERA.rectify(image)
    assert flat is image and camera is CAMERA
