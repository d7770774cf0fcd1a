"""The pose alignment of the PTAD paper (Sec. 3.2), on this renderer: what ours is measured against.

Twenty views of a ring, chamfer distance between masks (Eq. 3), the best view wins; then 150 Adam steps on the L1
distance between rendered and query mask (Eq. 7) over a screw motion of the Gaussians (Eq. 4-6), the camera fixed.

Where the paper leaves a choice, it is made in the baseline's favour:

- The paper's objects are centred at a known distance. Here a view is laid so that its box meets the query's, as in
  our own search, and the masks are compared in the crop around the object.
- The motion is the exponential of the screw, [S]θ, S = (ω, v): Eq. 4-6 for a unit ω, and rigid for any other. It acts
  about the part's centre, lengths in part diameters, so that one learning rate fits parts of all sizes.
- The renderer gives dM/dξ in closed form; Adam sees the exact gradient of the seven parameters.
  On a GPU any renderer of ``ptad_core.gpu`` takes its place.
- The learning rate is not published. ``benchmarks/pose/tune_paper.py`` picked it, and the start of the parameters, on
  parts that no benchmark uses.
- The pose with the lowest loss of all steps is returned, not the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.descent import descend
from ptad_core.pose.query import Query, make_query
from ptad_core.reference.build import Reference
from ptad_core.reference.views import look_at, ring_directions
from ptad_core.rendering.differentiable import MaskRenderer, camera_rows, cpu_masks
from ptad_core.rendering.splat import render_mask
from ptad_core.types import FloatArray, FloatImage, Segmentation

VIEW_SIZE_PX = 256
VIEW_DISTANCE_IN_DIAMETERS = 3.0


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """The recipe's numbers; ``learning_rate`` and ``start_angle`` are ours."""

    views: int = 20
    steps: int = 150
    work_size_px: int = 256
    learning_rate: float = 0.01
    start_angle: float = 1.0
    """θ at the first step; ω and v start at 0, so the motion starts at none."""


@dataclass(frozen=True, slots=True)
class PaperFit:
    """A pose of the baseline.

    Attributes:
        T_camera_part: (4, 4).
        loss: mean absolute difference of the masks there.
        view: which of the ring's views it started from.
        T_start: (4, 4) that view, laid over the query.
    """

    T_camera_part: FloatArray
    loss: float
    view: int
    T_start: FloatArray


@dataclass(frozen=True, slots=True)
class _View:
    """A reference mask (S, S) with its rotation and the box of its mask (low, high) in pixels."""

    mask: FloatImage
    R_camera_part: FloatArray
    low: FloatArray
    high: FloatArray


class PaperBaseline:
    """The paper's alignment for one part; its reference masks are rendered once, as the paper's are.

    ``render`` descends on another device, or by another renderer, than the CPU's.
    """

    def __init__(self, reference: Reference, settings: PaperSettings | None = None,
                 render: MaskRenderer | None = None) -> None:
        self._reference = reference
        self._settings = settings or PaperSettings()
        self._render = render or cpu_masks(reference.gaussians)
        self._views = [_render_view(reference, d) for d in ring_directions(self._settings.views)]

    def align(self, segmentation: Segmentation, camera: Camera) -> PaperFit | None:
        """Find T_camera_part from the object's mask in the rectified image; None where there is no mask."""
        return self.align_all([segmentation], [camera])[0]

    def align_all(self, segmentations: Sequence[Segmentation], cameras: Sequence[Camera]) -> list[PaperFit | None]:
        """Find the pose in each of several images, all in one batch."""
        begun = [self._begin(s, c) for s, c in zip(segmentations, cameras, strict=True)]
        starts = [b for b in begun if b is not None]
        fits = iter(self.descend_from([query for query, _, _ in starts], [T for _, _, T in starts]))
        return [None if b is None else PaperFit(*next(fits), b[1], b[2]) for b in begun]

    def descend_from(self, queries: Sequence[Query], starts: Sequence[FloatArray]) -> list[tuple[FloatArray, float]]:
        """Run Adam from a (4, 4) pose of each query; return the poses of the lowest loss (Eq. 7), with that loss."""
        if not queries:
            return []
        device, settings = self._render.device, self._settings
        targets = torch.from_numpy(np.stack([q.mask for q in queries])).to(device)
        cameras = camera_rows([q.camera for q in queries], device)
        with _threads(1 if device.type == "cpu" else torch.get_num_threads()):
            best, lowest = descend(self._render, targets, cameras, torch.from_numpy(np.stack(starts)).to(device),
                                   torch.from_numpy(self._reference.center_m).to(device), self._reference.diameter_m,
                                   settings.steps, settings.learning_rate, settings.start_angle)
        return list(zip(best.cpu().numpy(), lowest.tolist(), strict=True))

    def _begin(self, segmentation: Segmentation, camera: Camera) -> tuple[Query, int, FloatArray] | None:
        """The crop around a mask, the view that is most like it, and that view laid over it."""
        if segmentation.box_px is None:
            return None
        query = make_query(segmentation.mask, segmentation.box_px, camera, self._settings.work_size_px)
        low, high = _box(query.mask)
        distances = [mask_chamfer(query.mask, _laid(view, low, high, query.mask.shape)) for view in self._views]
        best = int(np.argmin(distances))
        return query, best, _pose(self._reference, self._views[best], low, high, query.camera)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use so many: on small tensors, threads wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def mask_chamfer(query: FloatImage, view: FloatImage) -> float:
    """Return Eq. 3: mean distance of each mask's pixels to the other mask, both ways, in pixels."""
    a, b = query >= 0.5, view >= 0.5
    if not a.any() or not b.any():
        return np.inf
    to_a, to_b = (cv2.distanceTransform((~m).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for m in (a, b))
    return float(to_b[a].mean() + to_a[b].mean())


def _render_view(reference: Reference, direction: FloatArray) -> _View:
    distance = VIEW_DISTANCE_IN_DIAMETERS * reference.diameter_m
    focal, middle = 0.9 * VIEW_SIZE_PX * VIEW_DISTANCE_IN_DIAMETERS, (VIEW_SIZE_PX - 1) / 2
    camera = Camera(focal, focal, middle, middle, VIEW_SIZE_PX, VIEW_SIZE_PX)
    R = look_at(direction)
    T = make_transform(R, np.array([0.0, 0.0, distance]) - R @ reference.center_m)
    mask = render_mask(reference.gaussians, camera, T)
    return _View(mask, R, *_box(mask))


def _box(mask: FloatImage) -> tuple[FloatArray, FloatArray]:
    """Low and high corner (x, y) of a mask, pixel centres."""
    rows, cols = np.nonzero(mask >= 0.5)
    if len(rows) == 0:
        return np.zeros(2), np.zeros(2)
    return np.array([cols.min(), rows.min()], dtype=np.float64), np.array([cols.max(), rows.max()], dtype=np.float64)


def _scale(view: _View, low: FloatArray, high: FloatArray) -> float:
    return float(np.linalg.norm(high - low) / max(float(np.linalg.norm(view.high - view.low)), 1e-9))


def _laid(view: _View, low: FloatArray, high: FloatArray, shape: tuple[int, ...]) -> FloatImage:
    """Lay a view's mask over the query's box: same middle, same diagonal."""
    s = _scale(view, low, high)
    shift = (low + high) / 2 - s * (view.low + view.high) / 2
    return np.asarray(cv2.warpAffine(view.mask, np.array([[s, 0, shift[0]], [0, s, shift[1]]]), shape[::-1]),
                      dtype=np.float32)


def _pose(reference: Reference, view: _View, low: FloatArray, high: FloatArray, camera: Camera) -> FloatArray:
    """The pose that shows a view in the query's box."""
    s = _scale(view, low, high)
    middle = (VIEW_SIZE_PX - 1) / 2
    centre_px = (low + high) / 2 + s * (middle - (view.low + view.high) / 2)
    ray = np.array([(centre_px[0] - camera.cx) / camera.fx, (centre_px[1] - camera.cy) / camera.fy, 1.0])
    depth = camera.fx * reference.diameter_m / (s * 0.9 * VIEW_SIZE_PX)
    across: NDArray[np.float64] = np.cross([0.0, 0.0, 1.0], ray)
    sine = float(np.linalg.norm(across))
    R = rotation_exp(across / max(sine, 1e-12) * np.arctan(sine)) @ view.R_camera_part
    return make_transform(R, depth * ray - R @ reference.center_m)
