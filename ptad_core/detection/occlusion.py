"""Missing, or hidden: where material is not seen, the background must be, or something stands in front of it.

The colours where the part should be are held against those of the background around the part, away from the place: what
hides the part seldom ends at its outline. A shadow on the background is still background. This judges measured regions
only: where the network finds a difference inside the outline, what is behind is the part itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ptad_core.detection.geometry import Geometry
from ptad_core.filters import distance_to
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, FloatImage, MaskImage, RegionKind

NEAR_PX, FAR_PX = 3.0, 24.0
"""How far from the part the background is looked at: beyond the blur of edges, and still close by."""
AWAY_PX = 24.0
"""How far from the place in question."""
LEAST_PIXELS = 30
"""Fewer pixels of place or background than this tell nothing: then nothing is said to be hidden."""
PALETTE = 160
SAME_LAB = 14.0
SHADOW_CHROMA = 8.0
"""A colour that is darker than one of the background by any amount, and no further off in chroma, is its shadow."""
LEAST_GROUND = 0.05
"""A colour that less of the background has than this may be that of what hides the part."""
FOREIGN_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Absence:
    """A measured missing region, and (S, S) bool where exactly its material is not seen."""

    region: AnomalyRegion
    place: MaskImage


def absences(view: View, geometry: Geometry) -> list[Absence]:
    """Return what is missing in a window that was measured."""
    return [Absence(region, _place_of(region, view, geometry)) for region in geometry.regions
            if region.kind is RegionKind.MISSING]


def hidden_regions(lab: FloatImage, missing: list[Absence], view: View, geometry: Geometry) -> list[AnomalyRegion]:
    """Return the missing regions at whose place something else than the background is seen.

    Args:
        lab: (S, S, 3) the view's window of the picture, CIELAB.
        missing: in it.
        view: the window that was measured.
        geometry: what was measured in it.
    """
    solid = view.rendering.mask >= 0.5
    away = distance_to(solid | geometry.seen)
    ground = (away > NEAR_PX) & (away < FAR_PX) & view.window.inside_image()
    return [absence.region for absence in missing if _is_foreign(lab, absence.place, ground)]


def _place_of(region: AnomalyRegion, view: View, geometry: Geometry) -> MaskImage:
    """(S, S) the largest piece of what is not seen inside a missing region's box."""
    window = view.window
    unseen = (view.rendering.mask >= 0.5) & ~geometry.seen & window.inside_image()
    labels = cv2.connectedComponents(unseen.astype(np.uint8), connectivity=8)[1]
    inside = np.zeros(labels.shape, np.float32)
    box = region.box_px
    x0, y0 = (box.x - window.x) * window.scale, (box.y - window.y) * window.scale
    x1, y1 = x0 + box.width * window.scale, y0 + box.height * window.scale
    inside[max(int(y0), 0):int(np.ceil(y1)) + 1, max(int(x0), 0):int(np.ceil(x1)) + 1] = 1
    counts = np.bincount(labels[inside > 0], minlength=2)
    counts[0] = 0
    return np.asarray((labels == int(np.argmax(counts))) & (inside > 0) & (labels > 0))


def _is_foreign(lab: FloatImage, place: MaskImage, ground: MaskImage) -> bool:
    """Tell whether most of a place shows colours that the background around it does not have."""
    core = cv2.erode(place.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    around = ground & (distance_to(place) > AWAY_PX)
    if core.sum() < LEAST_PIXELS or around.sum() < LEAST_PIXELS:
        return False
    colours = lab[around]
    palette = colours[np.linspace(0, len(colours) - 1, min(PALETTE, len(colours))).astype(np.int64)]
    difference = lab[core][:, None] - palette
    chroma = np.linalg.norm(difference[..., 1:], axis=2)
    same = np.linalg.norm(difference, axis=2) < SAME_LAB
    shadow = (chroma < SHADOW_CHROMA) & (difference[..., 0] < 0)
    return float(((same | shadow).mean(axis=1) < LEAST_GROUND).mean()) > FOREIGN_SHARE
