"""A picture and the aligned CAD to a network; its map -> where it lies in the image, and its regions on the part."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.detection.geometry import Geometry
from ptad_core.detection.network.inputs import network_input
from ptad_core.detection.regions import region_of
from ptad_core.filters import distance_to
from ptad_core.image_window import ImageWindow
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.rendering.view import View
from ptad_core.types import AnomalyRegion, Box, ColorImage, FloatArray, FloatImage, MaskImage, RegionKind

if TYPE_CHECKING:  # needs torch, which an inspection by geometry alone does without
    from ptad_core.detection.network.judge import Judge, Opinion

BOTH_WAYS = 0.25
"""A region where at least this share is missing and at least this share surplus is a portion that moved."""
SAME_PLACE = 0.5
"""Share of the smaller box that two regions have in common where they are one."""
FAINT = 0.5
"""Where no cell reaches the limit, those above this share of the strongest one make the region."""

_beside = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ptad-network")


@dataclass(frozen=True, slots=True)
class Examiner:
    """A network with the CAD that it holds pictures against."""

    judge: Judge
    cad: ExactRenderer

    def ask(self, image_bgr: ColorImage, mask: MaskImage, view: View, diameter_m: float) -> Opinion:
        """Show a rectified (H, W, 3) image with its (H, W) object mask and the aligned CAD to the network."""
        return self._ask(image_bgr, mask, view.camera, view.T_camera_part, view.window, diameter_m)

    def begin(self, image_bgr: ColorImage, mask: MaskImage, camera: Camera, T_camera_part: FloatArray,
              window: ImageWindow, diameter_m: float) -> Future[Opinion]:
        """Ask beside what goes on: the network needs the pose, but nothing that is rendered or measured at it.

        Args:
            image_bgr: (H, W, 3) rectified.
            mask: (H, W) of the object.
            camera: of the window.
            T_camera_part: (4, 4) aligned pose.
            window: as :func:`ptad_core.rendering.view.part_window` has it.
            diameter_m: of the part.
        """
        return _beside.submit(self._ask, image_bgr, mask, camera, T_camera_part, window, diameter_m)

    def _ask(self, image_bgr: ColorImage, mask: MaskImage, camera: Camera, T_camera_part: FloatArray,
             window: ImageWindow, diameter_m: float) -> Opinion:
        return self.judge(network_input(image_bgr, mask, self.cad, camera, T_camera_part, window, diameter_m,
                                        self.judge.size_px))


def learned_regions(opinion: Opinion, cell_limit: float, score: float, view: View, geometry: Geometry,
                    ) -> tuple[FloatImage, list[AnomalyRegion]]:
    """Return the (S, S) map relative to its limit, and the regions in it, unsorted.

    Args:
        opinion: of the network.
        cell_limit: probability from which on a cell belongs to a region.
        score: the strongest region's.
        view: the window.
        geometry: measured in it.
    """
    size = (view.window.size, view.window.size)
    missing, surplus = (cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in (opinion.missing, opinion.surplus))
    either = np.asarray(np.maximum(missing, surplus), np.float32)
    peak = float(either.max())
    count, labels = cv2.connectedComponents((either >= min(cell_limit, FAINT * peak)).astype(np.uint8), connectivity=8)
    found = []
    for label in range(1, count):
        inside = labels == label
        weights = float(missing[inside].sum()), float(surplus[inside].sum())
        kind = RegionKind.MISSING if weights[0] >= weights[1] else RegionKind.SURPLUS
        if min(weights) >= BOTH_WAYS * sum(weights):
            kind = RegionKind.DISPLACED
        thickness = 2 * distance_to(~inside) * geometry.deviation.mm_per_px
        relative = either * np.float32(score / max(peak, 1e-6))
        found.append(region_of(inside, relative, thickness, kind, view, geometry.deviation.surface))
    return either * np.float32(min(score, 1.0) / cell_limit), found


def merged(measured: list[AnomalyRegion], learned: list[AnomalyRegion]) -> list[AnomalyRegion]:
    """Return all regions, one for each place and kind: where the network draws it, with the size that was measured.

    A measured region is what is out of tolerance, often a rim of what is wrong; the network shows all of it.
    """
    out, told = [], set()
    for region in learned:
        same = [k for k, other in enumerate(measured) if overlap(region.box_px, other.box_px) >= SAME_PLACE]
        told.update(same)
        worst = {other.kind: other for other in sorted((measured[k] for k in same), key=lambda other: other.score)}
        out += [replace(region, kind=kind, size_mm=other.size_mm, score=max(region.score, other.score))
                for kind, other in worst.items()] or [region]
    return out + [region for k, region in enumerate(measured) if k not in told]


def overlap(a: Box, b: Box) -> float:
    """Return the share of the smaller box that lies in the other one."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(width, 0) * max(height, 0) / min(a.area, b.area)
