"""Raw foreground -> the object's mask: cleaned, with the share of its outline that the image carries."""

from __future__ import annotations

import cv2
import numpy as np

from ptad_core.config import SegmentationConfig
from ptad_core.filters import sample
from ptad_core.outline import find_outline
from ptad_core.types import Box, ColorImage, FloatImage, MaskImage, Reason, Segmentation

COMPANION_AREA = 0.05
"""Pieces of at least this share of the largest one, and close to it, belong to the object: a defect may part it."""
COMPANION_REACH = 0.25
"""How close, in diagonals of the largest piece's box."""
SPECK_AREA = 0.0005
"""Holes smaller than this share of the object are noise."""
CONTRAST_LAB = 8.0
"""CIELAB difference across the outline that counts as an edge of the object."""


def to_lab(image_bgr: ColorImage) -> FloatImage:
    """Return the (H, W, 3) float32 CIELAB picture: L 0..100, a and b about -127..127."""
    return np.asarray(cv2.cvtColor(image_bgr.astype(np.float32) / 255.0, cv2.COLOR_BGR2LAB), dtype=np.float32)


def finish(foreground: MaskImage, lab: FloatImage, method: str, config: SegmentationConfig) -> Segmentation:
    """Clean a (H, W) foreground and judge it as the object's mask."""
    mask = _clean(foreground, config.fill_holes)
    area = int(mask.sum())
    if area < config.min_area_px:
        empty = np.zeros_like(mask)
        return Segmentation(empty, method, 0.0, None, (Reason.NO_OBJECT,),
                            f"no object found: the largest foreground has {area} px, expected at least "
                            f"{config.min_area_px}")
    box = box_of(mask)
    confidence = outline_contrast(mask, lab)
    reasons, words = [], []
    if confidence < config.min_confidence:
        reasons.append(Reason.MASK_UNRELIABLE)
        words.append(f"the image carries only {100 * confidence:.0f} % of the mask's outline, expected "
                     f"{100 * config.min_confidence:.0f} %")
    cut = border_contact(mask)
    if cut and not config.allow_cut:
        reasons.append(Reason.CUT_BY_BORDER)
        words.append(f"the {' and '.join(cut)} image border cuts the object")
    return Segmentation(mask, method, confidence, box, tuple(reasons), "; ".join(words))


def box_of(mask: MaskImage) -> Box:
    """Return the tight box of a non-empty mask."""
    cols, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return Box(int(cols[0]), int(rows[0]), int(cols[-1] - cols[0] + 1), int(rows[-1] - rows[0] + 1))


def border_contact(mask: MaskImage, least_px: int = 4) -> list[str]:
    """Return which image borders the object touches over at least ``least_px`` pixels."""
    sides = {"left": mask[:, 0], "right": mask[:, -1], "upper": mask[0], "lower": mask[-1]}
    return [name for name, line in sides.items() if int(line.sum()) >= least_px]


def outline_contrast(mask: MaskImage, lab: FloatImage, reach_px: float = 3.0) -> float:
    """Return the share of the outline across which the colour changes, 0..1."""
    outline = find_outline(mask.astype(np.float32)).thinned(600)
    if len(outline) == 0:
        return 0.0
    inside, outside = (sample(lab, *(outline.points + side * reach_px * outline.normals).T) for side in (-1, 1))
    return float((np.linalg.norm(inside - outside, axis=1) > CONTRAST_LAB).mean())


def _clean(foreground: MaskImage, fill_holes: bool) -> MaskImage:
    """Keep the main piece with its companions, without specks; fill pinholes, or all holes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros(foreground.shape, dtype=bool)
    main = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, area = stats[main]
    reach = COMPANION_REACH * float(np.hypot(w, h))
    apart_x = np.maximum(stats[:, 0] - (x + w), x - (stats[:, 0] + stats[:, 2]))
    apart_y = np.maximum(stats[:, 1] - (y + h), y - (stats[:, 1] + stats[:, 3]))
    kept = (stats[:, 4] >= COMPANION_AREA * area) & (np.maximum(apart_x, apart_y) <= reach)
    kept[0] = False
    mask = np.asarray(kept[labels], dtype=bool)
    box = box_of(mask)
    around = mask[box.y:box.y + box.height, box.x:box.x + box.width]  # what lies outside the object reaches its border
    holes, hole_labels, hole_stats, _ = cv2.connectedComponentsWithStats((~around).astype(np.uint8), connectivity=4)
    inner = np.ones(holes, dtype=bool)
    inner[np.unique(np.concatenate([hole_labels[0], hole_labels[-1], hole_labels[:, 0], hole_labels[:, -1]]))] = False
    small = hole_stats[:, 4] < max(SPECK_AREA * area, 4)
    fill = inner & (small | fill_holes)
    fill[hole_labels[around]] = False
    around |= fill[hole_labels]
    return mask
