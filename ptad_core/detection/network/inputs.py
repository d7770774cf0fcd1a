"""What the networks see: a square crop around the aligned part, and the reference rendered into the same crop.

Training and inspection both go through :func:`network_input`, so that a channel means the same in both. Nine channels
of 8 bits: the picture (B, G, R), its object mask, and of the reference the mask, the depth and the normal (x, y, z).

The reference is ray-cast from the CAD and not splatted: what is compared pixel by pixel must be as sharp as the
picture, and a thousand shapes of a training are ray-cast at once, while their Gaussians would take seconds each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.image_window import ImageWindow
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.types import ColorImage, FloatArray, FloatImage, MaskImage

SIZE_PX = 224
"""Side of the crop."""
CHANNELS = 9
IMAGE, SEEN, MASK, DEPTH, NORMAL = slice(0, 3), 3, 4, 5, slice(6, 9)
"""Where each input lies among the channels."""
DEPTH_RANGE = 1.2
"""Depths of this many diameters, about the part's middle, fill the 8 bits."""
NOWHERE = 0
"""Depth and normal outside of the reference; on it they start at 1."""

Pair = NDArray[np.uint8]
"""(9, S, S)."""


def network_window(window: ImageWindow, size_px: int = SIZE_PX) -> ImageWindow:
    """Return the same square of the image at the network's size."""
    return replace(window, scale=window.scale * size_px / window.size, size=size_px)


def network_input(image_bgr: ColorImage, seen: MaskImage, cad: ExactRenderer, camera: Camera,
                  T_camera_part: FloatArray, window: ImageWindow, diameter_m: float, size_px: int = SIZE_PX) -> Pair:
    """Return the (9, S, S) input of a network, S being ``size_px``.

    Args:
        image_bgr: (H, W, 3) the whole rectified picture.
        seen: (H, W) the object's mask in it.
        cad: what the part should be.
        camera: that sees ``window``, whatever its size.
        T_camera_part: (4, 4) aligned pose.
        window: around the part, see :func:`ptad_core.rendering.view.part_window`.
        diameter_m: of the part.
        size_px: side of the input.
    """
    shown = cad.render(camera.scaled(size_px / window.size, size_px, size_px), T_camera_part)
    return encode(image_bgr, seen, shown.mask.astype(np.float32), shown.depth, shown.normals,
                  network_window(window, size_px), diameter_m)


def encode(image_bgr: ColorImage, seen: MaskImage, mask: FloatImage, depth: FloatImage, normals: FloatImage,
           window: ImageWindow, diameter_m: float) -> Pair:
    """Return the (9, S, S) input of a network.

    Args:
        image_bgr: (H, W, 3) the whole rectified picture.
        seen: (H, W) the object's mask in it.
        mask: (S, S) coverage 0..1 of the reference in the window.
        depth: (S, S) metres, NaN outside.
        normals: (S, S, 3) unit, camera frame, NaN outside.
        window: where S x S lies in the picture.
        diameter_m: of the part.
    """
    out = np.empty((CHANNELS, window.size, window.size), np.uint8)
    out[IMAGE] = window.crop(image_bgr.astype(np.float32)).clip(0, 255).transpose(2, 0, 1)
    out[SEEN] = 255 * window.crop(seen.astype(np.float32)).clip(0, 1)
    out[MASK] = 255 * mask.clip(0, 1)
    solid = np.isfinite(depth)
    middle = 0.5 * float(depth[solid].min() + depth[solid].max()) if solid.any() else 0.0
    relative = (np.nan_to_num(depth) - middle) / (DEPTH_RANGE * diameter_m)
    out[DEPTH] = np.where(solid, (128 + 254 * relative).clip(1, 255), NOWHERE)
    out[NORMAL] = np.where(solid, (128 + 127 * np.nan_to_num(normals.transpose(2, 0, 1))).clip(1, 255), NOWHERE)
    return out
