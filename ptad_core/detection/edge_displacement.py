"""Parts moved or turned inside the outline: rendered depth and normal edges that the image shows somewhere else.

The query's texture is unknown, so an image edge that the CAD does not have means nothing, and a CAD edge that the
image does not show may be hidden by flat light. What is evidence is a stretch of CAD edge with a clear image edge
beside it, parallel, at the same offset all along, and none at its own place. A seam of the paint that runs along a
crease can still look like that; a portion that moved takes several edges along. So stretches count only where a
second edge close by moved with it. That is deliberately strict: this detector must not reject good parts for their
paint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.config import DetectionConfig
from ptad_core.filters import colour_gradient, distance_to, sample
from ptad_core.rendering.edges import inner_edges
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import ColorImage, FloatArray, FloatImage, MaskImage, Rendering

CLEARANCE_PX = 5
"""Edges closer than this to the outline belong to the outline's judgement."""
IN_PLACE_PX = 3.0
"""An image edge this close to a CAD edge is that edge: what alignment and lens leave."""
MAX_SEARCH_PX = 40
MIN_EDGE_CONTRAST = 3.0
"""CIELAB units per pixel that a displaced edge must have."""
MIN_GAIN = 3.0
"""How much stronger the image edge beside must be than the one at the edge's own place."""
COMPANION_PX = 50.0
"""How close a second stretch must lie that moved along."""
PARALLEL_DEG = 30.0
"""Stretches at a smaller angle must have moved by the same vector; across each other any two motions agree."""
SAME_SHIFT_PX = 1.1
BESIDE_PX = 2.5
"""Parallel stretches this far apart across are two edges, and not two stretches of one."""
MIN_CONSENSUS = 0.75
"""Share of a stretch that must show the edge at the common offset."""


def displaced_edges(image_bgr: ColorImage, rendering: Rendering, seen: MaskImage, diameter_m: float,
                    config: DetectionConfig, tolerance_px: float) -> FloatImage:
    """Look beside every inner edge of the rendering for the image edge that should lie on it.

    Offsets up to about ``tolerance_px`` are in place. Beyond it they are looked for up to ``edge_search_px``, and to
    twice the tolerance where that is further.

    Returns:
        (H, W) float32, by how many pixels an edge is displaced; 0 elsewhere.
    """
    out = np.zeros(seen.shape, np.float32)
    found = inner_edges(rendering, diameter_m)
    solid = (rendering.mask >= 0.5) & seen
    edges = found.clear & (distance_to(~solid) > CLEARANCE_PX)
    if not edges.any():
        return out
    gradient = colour_gradient(to_lab(image_bgr))
    # Any other edge of the CAD, however faint, or the outline explains an image edge.
    explained = distance_to(found.any | ~solid)
    reach = max(config.edge_search_px, min(math.ceil(2 * tolerance_px) + 2, MAX_SEARCH_PX))
    offsets = np.arange(-reach, reach + 1)
    in_place_px = min(tolerance_px, IN_PLACE_PX)
    moved = []
    for rows, cols in _chains(edges, config.edge_min_length_px):
        for part in _stretches(rows, cols, config.edge_min_length_px):
            offset = _common_offset(rows[part], cols[part], found.angle, gradient, explained, offsets, in_place_px)
            if abs(offset) > in_place_px:
                moved.append(_Moved(rows[part], cols[part], _main_angle(found.angle[rows[part], cols[part]]), offset))
    for one in moved:
        if any(_together(one, other) for other in moved):
            line = np.zeros(seen.shape, dtype=bool)
            line[one.rows, one.cols] = True
            out[distance_to(line) < 2] = abs(one.offset_px)
    return out


@dataclass(frozen=True, slots=True)
class _Moved:
    """A stretch of edge that the image shows beside its place; the angle is that across it."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    angle: float
    offset_px: float


def _together(a: _Moved, b: _Moved) -> bool:
    """Whether two stretches are different edges, close to each other, that one motion can have shifted."""
    between = np.array([b.cols.mean() - a.cols.mean(), b.rows.mean() - a.rows.mean()])
    if np.linalg.norm(between) > COMPANION_PX:
        return False
    n_a, n_b = (np.array([np.cos(m.angle), np.sin(m.angle)]) for m in (a, b))
    if abs(n_a @ n_b) < np.cos(np.radians(PARALLEL_DEG)):
        return True
    same_shift = np.linalg.norm(a.offset_px * n_a - b.offset_px * n_b) < SAME_SHIFT_PX
    return bool(same_shift and abs(between @ n_a) > BESIDE_PX)


def _main_angle(angle: FloatArray) -> float:
    """Mean of angles without a sign."""
    return float(0.5 * np.arctan2(np.sin(2 * angle).mean(), np.cos(2 * angle).mean()))


def _chains(edges: MaskImage, least: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and columns of each connected chain of at least ``least`` edge pixels."""
    labels = cv2.connectedComponents(edges.astype(np.uint8), connectivity=8)[1]
    rows, cols = np.nonzero(edges)
    label = labels[rows, cols]
    order = np.argsort(label, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [(rows[piece], cols[piece]) for piece in pieces if len(piece) >= least]


def _stretches(rows: NDArray[np.int64], cols: NDArray[np.int64], length: int) -> list[NDArray[np.int64]]:
    """Cut a chain of edge pixels into pieces of about ``length`` pixels along its main direction."""
    if len(rows) < length:
        return []
    points = np.column_stack([cols, rows]).astype(np.float64)
    axis = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
    order = np.argsort(points @ axis, kind="stable")
    return [piece for piece in np.array_split(order, len(order) // length) if len(piece) >= length]


def _common_offset(rows: NDArray[np.int64], cols: NDArray[np.int64], direction: FloatArray, gradient: FloatImage,
                   explained: FloatImage, offsets: NDArray[np.int64], in_place_px: float) -> float:
    """The offset in pixels across a stretch at which the image has the edge; 0 where it is in place or not seen."""
    angle = direction[rows, cols]
    # Angles across an edge have no sign: turn all to one side.
    flip = np.cos(angle - _main_angle(angle)) < 0
    nx, ny = np.cos(angle) * np.where(flip, -1, 1), np.sin(angle) * np.where(flip, -1, 1)
    x, y = cols[:, None] + nx[:, None] * offsets, rows[:, None] + ny[:, None] * offsets
    slope = sample(gradient, x, y)
    across = np.abs(slope[..., 0] * nx[:, None] + slope[..., 1] * ny[:, None])
    free = sample(explained, x, y) > 2.5
    profile = across.mean(axis=0)
    near = np.abs(offsets) <= in_place_px
    usable = ~near & (free.mean(axis=0) > 0.9)
    if not usable.any():
        return 0.0
    at = int(np.argmax(np.where(usable, profile, -1)))
    if at in (0, len(offsets) - 1):
        # Still rising where the search ends: the edge of something further away.
        return 0.0
    here = max(float(profile[near].max()), 0.3)
    rest = float(np.median(profile))
    consensus = float((across[:, at] > np.maximum(2 * across[:, near].max(axis=1), MIN_EDGE_CONTRAST)).mean())
    clear = profile[at] > MIN_EDGE_CONTRAST and profile[at] > MIN_GAIN * max(here, rest)
    return float(offsets[at]) if clear and consensus >= MIN_CONSENSUS else 0.0
