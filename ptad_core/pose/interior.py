"""What lies inside the outline: tells poses apart whose outlines are alike.

From opposite sides a part shows nearly the same outline, but other creases and steps, and a wheel seen aslant shows by
its spokes alone how it is turned. Where the rendered edges fall on edges of the image, the pose is supported; the
measure is relative to what edges drawn anywhere on the part would find, so a busy texture supports no pose and a plain
one supports the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ptad_core.camera import Camera
from ptad_core.filters import colour_gradient, distance_to, sample
from ptad_core.frames import invert, transform_points
from ptad_core.pose.query import Query
from ptad_core.reference.build import Reference
from ptad_core.rendering.edges import inner_edges
from ptad_core.rendering.splat import render
from ptad_core.segmentation.mask import to_lab
from ptad_core.types import ColorImage, FloatArray, FloatImage

CLEARANCE_PX = 4.0
"""Edges nearer to the outline than this are already judged by the outline."""
MIN_EDGE_PX = 25
"""Fewer rendered edge pixels than this say nothing."""
FLOOR_LAB = 1.0
"""Gradient, CIELAB units per pixel, that flat areas reach by noise."""
SLACK_PX = 1.5
REACH_PX = 4
"""How far across a rendered edge its image is looked for."""
LEAST_SUPPORT = 1e-3


@dataclass(frozen=True, slots=True)
class InnerEdgePoints:
    """Points on a part's inner edges as seen from one pose; good for poses that see it much alike.

    Attributes:
        points_m: (n, 3) part frame.
        along_m: (n, 3) part frame, a pixel further along the edge.
    """

    points_m: FloatArray
    along_m: FloatArray

    def __len__(self) -> int:
        return len(self.points_m)

    def placed(self, camera: Camera, T_camera_part: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where a pose puts the points, and the directions across the edge there: (n, 2) and (n, 2) pixels."""
        at, ahead = (camera.project(transform_points(T_camera_part, p)) for p in (self.points_m, self.along_m))
        along = ahead - at
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        return at, across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)

    def unlike(self, camera: Camera, T_here: FloatArray, others: InnerEdgePoints, T_there: FloatArray,
               ) -> InnerEdgePoints:
        """Return the points that lie off the edges which another pose shows."""
        shown = np.zeros((camera.height, camera.width), np.bool_)
        cols, rows = np.rint(others.placed(camera, T_there)[0]).astype(np.int64).T
        inside = (cols >= 0) & (cols < camera.width) & (rows >= 0) & (rows < camera.height)
        shown[rows[inside], cols[inside]] = True
        x, y = self.placed(camera, T_here)[0].T
        off = sample(distance_to(shown), x, y) > SLACK_PX if shown.any() else np.ones(len(self), np.bool_)
        return InnerEdgePoints(self.points_m[off], self.along_m[off])


def edges_seen(reference: Reference, camera: Camera, T_camera_part: FloatArray) -> InnerEdgePoints:
    """Render a part and lift its inner edges onto it."""
    rendering = render(reference.gaussians, camera, T_camera_part)
    edges = inner_edges(rendering, reference.diameter_m)
    solid = distance_to(rendering.mask < 0.5) > CLEARANCE_PX
    rows, cols = np.nonzero(edges.clear & solid & np.isfinite(rendering.depth))
    depth, angle = rendering.depth[rows, cols].astype(np.float64), edges.angle[rows, cols]
    T_part_camera = invert(T_camera_part)
    at = np.stack([cols, rows], 1).astype(np.float64)
    ahead = at + np.stack([-np.sin(angle), np.cos(angle)], 1)
    points, along = (transform_points(T_part_camera, camera.lift(pixels, depth)) for pixels in (at, ahead))
    return InnerEdgePoints(points, along)


class Interior:
    """A picture inside the outline of a query.

    Args:
        query: the outline.
        image_bgr: (H, W, 3) rectified, the whole image.
    """

    def __init__(self, query: Query, image_bgr: ColorImage) -> None:
        self._query, self._image_bgr = query, image_bgr

    @property
    def camera(self) -> Camera:
        """Of the query."""
        return self._query.camera

    @cached_property
    def _gradient(self) -> FloatImage:
        crop = self._query.window.crop(self._image_bgr.astype(np.float32)).clip(0, 255).astype(np.uint8)
        return colour_gradient(to_lab(crop))

    @cached_property
    def _anywhere(self) -> FloatArray:
        """(n,) gradients on the part, wherever."""
        solid = distance_to(self._query.mask < 0.5) > CLEARANCE_PX
        return np.linalg.norm(self._gradient[solid], axis=1) if solid.any() else np.zeros(1)

    @cached_property
    def _chance(self) -> float:
        return float(np.median(self._anywhere)) + FLOOR_LAB

    @cached_property
    def _expected(self) -> float:
        return max(float(np.mean(self._anywhere / (self._anywhere + self._chance))), 1e-3)

    def support(self, edges: InnerEdgePoints, T_camera_part: FloatArray) -> float:
        """Return how much better the picture supports edges at a pose than chance, 1 is chance."""
        if len(edges) < MIN_EDGE_PX:
            return 1.0
        at, across = edges.placed(self.camera, T_camera_part)
        steps = np.array([-SLACK_PX, 0.0, SLACK_PX])
        slope = sample(self._gradient, *(at[:, k, None] + across[:, k, None] * steps for k in (0, 1)))
        found = np.abs(slope[..., 0] * across[:, :1] + slope[..., 1] * across[:, 1:]).max(axis=1)
        return float(np.mean(found / (found + self._chance))) / self._expected

    def offsets(self, edges: InnerEdgePoints, T_camera_part: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return how far across the edges at a pose the picture's lie.

        Returns:
            (n, 2) directions across the edge, (n,) offsets along them in pixels, up to ``REACH_PX``, and (n,) 0..1 how
            clearly an edge is there.
        """
        at, across = edges.placed(self.camera, T_camera_part)
        steps = np.arange(-REACH_PX, REACH_PX + 1, dtype=np.float64)
        slope = sample(self._gradient, *(at[:, k, None] + across[:, k, None] * steps for k in (0, 1)))
        strength = np.abs(slope[..., 0] * across[:, :1] + slope[..., 1] * across[:, 1:])
        best = np.argmax(strength, axis=1)
        found = np.take_along_axis(strength, best[:, None], 1)[:, 0]
        return across, steps[best], found / (found + self._chance)
