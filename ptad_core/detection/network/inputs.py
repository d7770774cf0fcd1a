"""What the networks see: a square crop around the aligned part, and the reference rendered into the same crop.

Training and inspection both go through :func:`encode`, so that a channel means the same in both. Nine channels of
8 bits: the picture (B, G, R), its object mask, and of the reference the mask, the depth and the normal (x, y, z).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptad_core.image_window import ImageWindow
from ptad_core.types import ColorImage, FloatImage, MaskImage

SIZE_PX = 160
"""Side of the crop."""
MARGIN = 0.05
"""Room around the part, relative to its larger side: that of :func:`ptad_core.rendering.view.look`."""
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
