"""The pinhole camera: intrinsics, and how cropping and scaling an image changes them.

Pixel centres are at integer coordinates (OpenCV): the image covers [-0.5, width - 0.5] x [-0.5, height - 0.5].
The optical frame is REP-103's: z forward, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ptad_core.errors import CameraError
from ptad_core.types import ColorImage, FloatArray


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole intrinsics in pixels, with the lens distortion that is still in the image.

    ``distortion`` holds OpenCV's coefficients (k1, k2, p1, p2, k3 ...: 4, 5, 8, 12 or 14 of them; 4 with
    ``fisheye``); empty for a rectified image.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @classmethod
    def from_K(cls, K: FloatArray, width: int, height: int, distortion: tuple[float, ...] = (),
               fisheye: bool = False) -> Camera:
        """Check a (3, 3) camera matrix and make a camera of it.

        Raises:
            CameraError: if K is not a finite (3, 3) matrix with positive focal lengths and a principal point near
                the image, the size is not positive, or the distortion is not finite or has a length that no model
                has. A CameraInfo that nobody calibrated has K all zeros. A distortion of zeros is none, at any length.
        """
        K = np.asarray(K, dtype=np.float64)
        if K.shape != (3, 3):
            raise CameraError(f"expected a 3x3 camera matrix K, got shape {K.shape}")
        if not np.isfinite(K).all():
            raise CameraError(f"expected finite intrinsics, got K = {K.ravel().tolist()}")
        if not K.any():
            raise CameraError("expected calibrated intrinsics, got K of all zeros: the camera was never calibrated")
        if width <= 0 or height <= 0:
            raise CameraError(f"expected a positive image size, got {width}x{height}")
        fx, fy, cx, cy = float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])
        if fx <= 0 or fy <= 0:
            raise CameraError(f"expected positive focal lengths, got fx = {fx:g}, fy = {fy:g}")
        if abs(K[0, 1]) > 1e-3 * fx:
            raise CameraError(f"expected a camera without skew, got K[0, 1] = {K[0, 1]:g}")
        if not (-width <= cx <= 2 * width and -height <= cy <= 2 * height):
            raise CameraError(f"expected a principal point near the {width}x{height} image, got ({cx:g}, {cy:g})")
        kept = tuple(float(d) for d in distortion) if any(distortion) else ()
        _require_distortion(kept, fisheye)
        return cls(fx, fy, cx, cy, int(width), int(height), kept, fisheye and bool(kept))

    @property
    def K(self) -> FloatArray:
        """(3, 3) camera matrix."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def require_size(self, image: ColorImage) -> None:
        """Raise CameraError unless the image has this camera's size."""
        height, width = image.shape[:2]
        if (width, height) != (self.width, self.height):
            raise CameraError(
                f"expected an image of {self.width}x{self.height} as the camera info says, got {width}x{height}")

    def cropped(self, x: float, y: float, width: int, height: int) -> Camera:
        """Return the camera of the window that starts at pixel (x, y); it may reach outside the image."""
        return replace(self, cx=self.cx - x, cy=self.cy - y, width=width, height=height)

    def scaled(self, factor: float, width: int, height: int) -> Camera:
        """Return the camera of this image resized by ``factor`` to ``width`` x ``height`` pixels."""
        return replace(
            self, fx=self.fx * factor, fy=self.fy * factor,
            cx=(self.cx + 0.5) * factor - 0.5, cy=(self.cy + 0.5) * factor - 0.5, width=width, height=height)

    def binned(self, x: int, y: int) -> Camera:
        """Return the camera of images in which x * y neighbouring pixels are read out as one."""
        return replace(
            self, fx=self.fx / x, fy=self.fy / y, cx=(self.cx + 0.5) / x - 0.5, cy=(self.cy + 0.5) / y - 0.5,
            width=self.width // x, height=self.height // y)

    def project(self, points_camera: FloatArray) -> FloatArray:
        """Project (n, 3) points in front of the camera to (n, 2) pixels (without distortion)."""
        z = points_camera[:, 2]
        return np.stack([self.fx * points_camera[:, 0] / z + self.cx, self.fy * points_camera[:, 1] / z + self.cy], 1)

    def rectify(self, image: ColorImage) -> tuple[ColorImage, Camera]:
        """Take the lens distortion out of an image; return it with the camera that belongs to it (same K).

        Raises:
            CameraError: if OpenCV cannot use the distortion.
        """
        if not self.distortion:
            return image, self
        D = np.array(self.distortion)
        try:
            if self.fisheye:
                flat = cv2.fisheye.undistortImage(image, self.K, D, Knew=self.K)
            else:
                flat = cv2.undistort(image, self.K, D)
        except cv2.error as error:
            raise CameraError(f"expected a usable lens distortion, got {self.distortion}: {error}") from error
        return np.asarray(flat, dtype=image.dtype), replace(self, distortion=(), fisheye=False)


def _require_distortion(distortion: tuple[float, ...], fisheye: bool) -> None:
    lengths = (4,) if fisheye else (4, 5, 8, 12, 14)
    if distortion and len(distortion) not in lengths:
        expected = ", ".join(map(str, lengths[:-1])) + " or " * (len(lengths) > 1) + str(lengths[-1])
        raise CameraError(f"expected {expected} {'fisheye ' * fisheye}distortion coefficients, got {len(distortion)}")
    if not np.isfinite(distortion).all():
        raise CameraError(f"expected finite distortion coefficients, got {list(distortion)}")
