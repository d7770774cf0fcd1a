"""The aligned part as the camera sees it, rendered once: for the detector, for the depth image, for the overlay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ptad_core.camera import Camera
from ptad_core.gaussians import Gaussians
from ptad_core.image_window import ImageWindow
from ptad_core.rendering.splat import render
from ptad_core.types import Box, FloatArray, MaskImage, Rendering

MAX_SIZE_PX = 384
"""Largest side of the window that is rendered; larger parts are scaled down. It bounds the time, whatever the camera's
resolution, and the splats cover the surface without gaps."""
MARGIN = 0.05

Render = Callable[[Camera, FloatArray], Rendering | None]
"""Renders a part as ``splat.render`` does, on another device; None where the CPU is to do it."""


@dataclass(frozen=True, slots=True)
class View:
    """A window around the part, with the part in it.

    Attributes:
        window: where it lies in the image.
        camera: of the window.
        rendering: the reference at the pose, (S, S).
        T_camera_part: the pose.
    """

    window: ImageWindow
    camera: Camera
    rendering: Rendering
    T_camera_part: FloatArray

    def in_image(self) -> Rendering:
        """Return the rendering laid into the whole image."""
        lay = self.window.lay_into_image
        return Rendering(lay(self.rendering.mask, 0.0, True), lay(self.rendering.depth, np.nan, False),
                         lay(self.rendering.normals, np.nan, False))


def part_window(points_m: FloatArray, camera: Camera, T_camera_part: FloatArray, seen: MaskImage | None = None,
                ) -> ImageWindow | None:
    """Return the window that holds a part, and what is ``seen`` (H, W) of it; None where it is out of view.

    Args:
        points_m: (n, 3) points that bound the part, part frame.
        camera: of the image.
        T_camera_part: (4, 4) pose.
        seen: the object's mask in the image.
    """
    points = points_m @ T_camera_part[:3, :3].T + T_camera_part[:3, 3]
    if (points[:, 2] <= 0).any():
        return None
    pixels = camera.project(points).T.copy()  # numpy reduces long rows thirty times as fast as long columns
    low, high = pixels.min(1), pixels.max(1)
    if (high < 0).any() or low[0] > camera.width - 1 or low[1] > camera.height - 1:
        return None
    if seen is not None and seen.any():
        rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        low, high = np.minimum(low, [cols[0], rows[0]]), np.maximum(high, [cols[-1], rows[-1]])
    x0, y0 = np.maximum(np.floor(low), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high), [camera.width - 1, camera.height - 1]).astype(int)
    box = Box(int(x0), int(y0), max(int(x1 - x0) + 1, 8), max(int(y1 - y0) + 1, 8))
    return ImageWindow.around(box, MARGIN, camera.width, camera.height, max_size=MAX_SIZE_PX)


def look(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray, seen: MaskImage | None = None,
         device: Render | None = None) -> View | None:
    """Render the part in a window that holds it, and what is ``seen`` (H, W) of it; None where it is out of view."""
    window = part_window(gaussians.means.astype(np.float64), camera, T_camera_part, seen)
    if window is None:
        return None
    rendering = device(window.camera(camera), T_camera_part) if device is not None else None
    if rendering is None:
        rendering = render(gaussians, window.camera(camera), T_camera_part)
    if not np.isfinite(rendering.depth).any():
        return None
    return View(window, window.camera(camera), rendering, T_camera_part)
