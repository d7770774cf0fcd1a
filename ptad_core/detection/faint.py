"""Missing, or hardly told from the background: a white print before a white wall, a thin rod in a blurred picture.

Where material is gone, the background goes on across the place where the part's outline would be. Where the picture
changes just there, and less so further out, the part is there after all, and it is the mask that lost it. Neither
missing nor good can be said then. A background that looks different along the very outline, such as the nest that a
part lies in, is taken for the part: such regions are not judged either.
"""

from __future__ import annotations

import cv2
import numpy as np

from ptad_core.detection.occlusion import Absence
from ptad_core.filters import sample
from ptad_core.outline import find_outline
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, FloatImage

ACROSS_PX = 3.0
"""How far to either side of the outline colours are compared, image pixels: beyond the blur of an edge."""
OUTSIDE_PX = 9.0
"""And how far outside, to learn how the background itself changes."""
NEAR_PX = 2
LEAST_POINTS = 8
CONTRAST_LAB = 5.0
"""Hardly seen by eye; noise, shadows and gradients of a plain background stay below over six pixels."""
CLEARER = 2.0
"""How many times more the picture must change across the outline than outside of it."""


def faint_regions(lab: FloatImage, missing: list[Absence], view: View) -> list[AnomalyRegion]:
    """Return the missing regions along whose outline the picture shows the part's edge.

    Args:
        lab: (S, S, 3) the view's window of the picture, CIELAB.
        missing: in it.
        view: the window that was measured.
    """
    outline = find_outline(view.rendering.mask)
    at = np.rint(outline.points).astype(np.int64)
    found = []
    for absence in missing:
        reach = np.ones((2 * NEAR_PX + 1, 2 * NEAR_PX + 1), np.uint8)
        here = cv2.dilate(absence.place.astype(np.uint8), reach)[at[:, 1], at[:, 0]] > 0
        if here.sum() < LEAST_POINTS:
            continue
        points, normals = outline.points[here], outline.normals[here] * max(view.window.scale, 1.0)
        inside, border, outside = (sample(lab, *(points + offset * normals).T)
                                   for offset in (-ACROSS_PX, ACROSS_PX, OUTSIDE_PX))
        contrast, ground = (float(np.median(np.linalg.norm(d, axis=1))) for d in (inside - border, border - outside))
        if contrast > max(CONTRAST_LAB, CLEARER * ground):
            found.append(absence.region)
    return found
