"""Rendering -> edges inside the outline: depth steps and creases, which an image may show whatever the texture is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptad_core.filters import blur, sample
from ptad_core.types import FloatArray, MaskImage, Rendering

DEPTH_STEP_IN_DIAMETERS = 0.02
CREASE_DEG = 40.0
CLEAR, FAINT = 0.7, 0.1
"""Strengths, smoothed over a pixel, relative to a step or crease of the sizes above."""


@dataclass(frozen=True, slots=True)
class InnerEdges:
    """Edges of a rendering inside its outline.

    Attributes:
        clear: (H, W) bool, one pixel wide: steps and creases that an image may be expected to show.
        any: (H, W) bool, one pixel wide: whatever might be one, the clear ones included.
        angle: (H, W) direction across the edge, radians, without a sign; 0 where there is none.
    """

    clear: MaskImage
    any: MaskImage
    angle: FloatArray


def inner_edges(rendering: Rendering, diameter_m: float) -> InnerEdges:
    """Find where depth steps or normals turn between neighbouring pixels."""
    depth = np.nan_to_num(rendering.depth, nan=0.0)
    known = np.isfinite(rendering.depth)
    normals = np.nan_to_num(rendering.normals)
    strength = np.zeros(depth.shape, np.float32)
    for axis in (0, 1):
        # Two pixels apart: an edge of splats is about that wide.
        a = [slice(None), slice(None)]
        b = [slice(None), slice(None)]
        m = [slice(None), slice(None)]
        a[axis], b[axis], m[axis] = slice(None, -2), slice(2, None), slice(1, -1)
        both = known[tuple(a)] & known[tuple(b)]
        bend = 2 * depth[tuple(m)] - depth[tuple(a)] - depth[tuple(b)]
        step = np.abs(bend) / (DEPTH_STEP_IN_DIAMETERS * diameter_m)
        turn = 1 - np.einsum("hwk,hwk->hw", normals[tuple(a)], normals[tuple(b)])
        crease = turn / (1 - np.cos(np.radians(CREASE_DEG)))
        strength[tuple(m)] = np.maximum(strength[tuple(m)], np.where(both, np.maximum(step, crease), 0))
    smooth = blur(np.minimum(strength, 3.0), 1.0)
    gy, gx = (np.asarray(g, dtype=np.float32) for g in np.gradient(smooth))
    xx, xy, yy = blur(gx * gx, 1.5), blur(gx * gy, 1.5), blur(gy * gy, 1.5)
    y, x = np.nonzero(smooth > FAINT)
    across = 0.5 * np.arctan2(2 * xy[y, x], xx[y, x] - yy[y, x])
    dx, dy, here = np.cos(across), np.sin(across), smooth[y, x]
    ridge = (here >= sample(smooth, x + dx, y + dy)) & (here > sample(smooth, x - dx, y - dy))
    y, x = y[ridge], x[ridge]
    any_edge, angle = np.zeros(depth.shape, dtype=bool), np.zeros(depth.shape)
    any_edge[y, x], angle[y, x] = True, across[ridge]
    return InnerEdges(any_edge & (smooth > CLEAR), any_edge, angle)
