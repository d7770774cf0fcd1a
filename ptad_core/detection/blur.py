"""Missing, or blurred away: what is thinner than the picture's edges are wide leaves no outline of its own.

A camera that moves or is out of focus smears each edge over some pixels. Two edges that lie closer together than that
run into each other, and a rod between them fades into the background: neither present nor missing can be said then.
"""

from __future__ import annotations

import numpy as np

from ptad_core.detection.occlusion import Absence
from ptad_core.filters import distance_to, sample
from ptad_core.outline import Outline, find_outline
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, FloatArray, FloatImage

REACH_PX = 8
"""How far to either side of the outline an edge is looked for, window pixels; widths above 13 are taken for less."""
CONTRAST_LAB = 15.0
"""Across less, the width of an edge is that of the noise."""
LEAST_POINTS = 20
"""Edges, alike in direction, whose width is known; fewer tell nothing, and what is missing is missing."""
ALIKE = 0.8
"""Cosine between normals that look across the same direction: motion blurs along one only."""
NEAR_PX = 3
"""Outline points this near to a place, window pixels, are its own."""


def blurred_regions(lab: FloatImage, missing: list[Absence], view: View) -> list[AnomalyRegion]:
    """Return the missing regions where the part is thinner than its edges are wide, in the direction across them.

    Args:
        lab: (S, S, 3) the view's window of the picture, CIELAB.
        missing: in it.
        view: the window that was measured.
    """
    outline = find_outline(view.rendering.mask)
    half_px = distance_to(view.rendering.mask < 0.5)
    return [absence.region for absence in missing
            if absence.place.any() and _unresolved(lab, absence, outline, 2 * float(half_px[absence.place].max()))]


def _unresolved(lab: FloatImage, absence: Absence, outline: Outline, thickness_px: float) -> bool:
    """Tell whether edges that look across a place are wider than the part is thick there."""
    at = np.rint(outline.points).astype(np.int64)
    here = distance_to(absence.place)[at[:, 1], at[:, 0]] <= NEAR_PX
    if not here.any():
        return False
    across = np.linalg.eigh(outline.normals[here].T @ outline.normals[here])[1][:, -1]
    alike = ~here & (np.abs(outline.normals @ across) > ALIKE)
    widths = _edge_widths(lab, Outline(outline.points[alike], outline.normals[alike]))
    return len(widths) >= LEAST_POINTS and thickness_px < float(np.median(widths))


def _edge_widths(lab: FloatImage, outline: Outline) -> FloatArray:
    """(k,) widths of clear edges across outline points, window pixels: the whole change over the steepest one."""
    steps = np.arange(-REACH_PX, REACH_PX + 1)
    x, y = (outline.points[:, k, None] + outline.normals[:, k, None] * steps for k in range(2))
    colours = sample(lab, x, y)
    change = colours[:, -REACH_PX // 2:].mean(1) - colours[:, :REACH_PX // 2].mean(1)
    size = np.linalg.norm(change, axis=1)
    clear = size > CONTRAST_LAB
    profile = (colours[clear] * (change / np.maximum(size, 1e-6)[:, None])[clear, None]).sum(2)
    return np.asarray(size[clear] / np.maximum(np.abs(np.diff(profile, axis=1)).max(1), 1e-3))
