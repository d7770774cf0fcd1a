"""What lies inside the outline: tells poses apart whose outlines are alike.

From opposite sides a part shows nearly the same outline, but other creases and steps. Where the rendered ones fall on
edges of the image, the pose is supported; the measure is relative to what edges drawn anywhere on the part would
find, so a busy texture supports no pose and a plain one supports the right one.
"""

from __future__ import annotations

import numpy as np

from ptad_core.camera import Camera
from ptad_core.filters import distance_to, sample
from ptad_core.reference.build import Reference
from ptad_core.rendering.edges import inner_edges
from ptad_core.rendering.splat import render
from ptad_core.types import FloatArray, FloatImage

CLEARANCE_PX = 4.0
"""Edges nearer to the outline than this are already judged by the outline."""
MIN_EDGE_PX = 25
"""Fewer rendered edge pixels than this say nothing."""
FLOOR_LAB = 1.0
"""Gradient, CIELAB units per pixel, that flat areas reach by noise."""
SLACK_PX = 1.5


def interior_support(gradient: FloatImage, camera: Camera, reference: Reference, T_camera_part: FloatArray) -> float:
    """Return how much better the image supports a pose's inner edges than chance, 1 is chance.

    Args:
        gradient: (S, S, 2) of the picture's crop, CIELAB units per pixel.
        camera: of the crop.
        reference: the part.
        T_camera_part: the pose.
    """
    rendering = render(reference.gaussians, camera, T_camera_part)
    edges = inner_edges(rendering, reference.diameter_m)
    solid = distance_to(rendering.mask < 0.5) > CLEARANCE_PX
    rows, cols = np.nonzero(edges.clear & solid)
    if len(rows) < MIN_EDGE_PX:
        return 1.0
    nx, ny = np.cos(edges.angle[rows, cols]), np.sin(edges.angle[rows, cols])
    steps = np.array([-SLACK_PX, 0.0, SLACK_PX])
    x, y = cols[:, None] + nx[:, None] * steps, rows[:, None] + ny[:, None] * steps
    slope = sample(gradient, x, y)
    across = np.abs(slope[..., 0] * nx[:, None] + slope[..., 1] * ny[:, None]).max(axis=1)
    anywhere = np.linalg.norm(gradient[solid], axis=1)
    chance = float(np.median(anywhere)) + FLOOR_LAB
    found = float(np.mean(across / (across + chance)))
    expected = float(np.mean(anywhere / (anywhere + chance)))
    return found / max(expected, 1e-3)
