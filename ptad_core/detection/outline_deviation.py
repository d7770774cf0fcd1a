"""Material missing or surplus: how far, in millimetres, the seen outline departs from the rendered one.

At a trusted pose the two masks should agree. Where they do not, the distance from a differing pixel to the other mask
says how deep the deviation is; the depth turns pixels into millimetres. So a tolerance is a length on the part and
not a count of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.filters import distance_to
from ptad_core.types import FloatImage, MaskImage


@dataclass(frozen=True, slots=True)
class Deviation:
    """Per pixel, how far the part departs from its CAD.

    Attributes:
        missing: (H, W) float32, mm: on the CAD, not seen; distance to the nearest seen material.
        surplus: (H, W) float32, mm: seen, not on the CAD; distance to the CAD's mask.
        mm_per_px: (H, W) float32, on the part's surface.
        surface: (H, W) row * W + column of the rendered pixel that carries depth and normal for each pixel.
    """

    missing: FloatImage
    surplus: FloatImage
    mm_per_px: FloatImage
    surface: NDArray[np.int64]


def outline_deviation(rendered: MaskImage, depth: FloatImage, seen: MaskImage, focal_px: float,
                      inside_image: MaskImage) -> Deviation:
    """Compare the rendered mask with the seen one.

    Args:
        rendered: (H, W) the CAD's mask at the aligned pose.
        depth: (H, W) metres, NaN outside of it.
        seen: (H, W) the object's mask.
        focal_px: focal length of this window.
        inside_image: (H, W) which pixels the image covers; nothing is missing where nothing was seen.
    """
    solid = rendered & np.isfinite(depth)
    surface = _nearest(solid)
    mm_per_px = (depth.reshape(-1)[surface] * np.float32(1000.0 / focal_px)).astype(np.float32)
    missing = np.where(rendered & ~seen & inside_image, distance_to(seen) * mm_per_px, 0).astype(np.float32)
    surplus = np.where(seen & ~rendered, distance_to(rendered) * mm_per_px, 0).astype(np.float32)
    return Deviation(missing, surplus, mm_per_px, surface)


def _nearest(mask: MaskImage) -> NDArray[np.int64]:
    """(H, W) flat index of the nearest pixel of a non-empty mask."""
    _, labels = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5,
                                                labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    table[labels[mask]] = np.flatnonzero(mask)
    return np.asarray(table[labels], dtype=np.int64)
