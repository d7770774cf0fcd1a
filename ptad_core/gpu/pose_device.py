"""The pose stage of one part on a device; what fails there is left to the CPU."""

from __future__ import annotations

import numpy as np
import torch

from ptad_core.camera import Camera
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.gpu.fallback import Fallback
from ptad_core.gpu.refine import DeviceRefiner
from ptad_core.gpu.search import DeviceSearch
from ptad_core.pose.contour_fit import ContourFit, fit_contour
from ptad_core.pose.query import Query, make_query
from ptad_core.pose.refine import MaskFit
from ptad_core.pose.search import Contest
from ptad_core.reference.build import Reference
from ptad_core.reference.views import look_at
from ptad_core.rendering.splat import render_mask
from ptad_core.types import Box, FloatArray

PROBE_PX = 256
"""The default of the settings: kernels are compiled for a size."""
PROBE_OFF_DEG = 4.0
PROBE_STEPS = 4
PROBE_REACH_PX = 10.0
MAX_DIFFERENCE_PX = 0.3
"""Pairs of points that are equally near may be made otherwise, and part the paths a little."""


class TorchPoseDevice:
    """Ranks candidates, fits contours and refines poses on a device; a ``pose.align.PoseDevice``."""

    def __init__(self, reference: Reference, device: str, fallback: Fallback | None = None) -> None:
        self.refiner = DeviceRefiner(reference, device)
        self.search = DeviceSearch(reference, device)
        self._device = torch.device(device)
        self._reference = reference
        self._fallback = fallback or Fallback()

    @property
    def name(self) -> str:
        """The device's name, for people."""
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "the CPU, by torch"

    def rank(self, contest: Contest) -> FloatArray | None:
        """Rank candidates; see ``pose.search.Rank``."""
        return self._fallback.tried(lambda: self.search.rank(contest))

    def fit(self, query: Query, poses: list[FloatArray], start_reach_px: float, iterations: int, stride: int,
            ) -> list[ContourFit] | None:
        """Fit the contour of each pose; see ``pose.contour_fit.fit_contour``."""
        return self._fallback.tried(lambda: self.search.fit(query, poses, start_reach_px, iterations, stride))

    def refine(self, query: Query, poses: list[FloatArray], max_iterations: int) -> list[MaskFit] | None:
        """Refine poses, best first; those that never meet the query's outline are left out."""
        fits = self._fallback.tried(lambda: self.refiner.refine(query, poses, max_iterations))
        return None if fits is None else sorted(fits, key=lambda fit: fit.cost_px)

    def difference_to_cpu(self) -> str:
        """Render, compare and fit one view on both; '' where they agree, else what differs."""
        camera, T = probe(self._reference)
        mask = render_mask(self._reference.gaussians, camera, T)
        query = make_query(mask >= 0.5, Box(0, 0, PROBE_PX, PROBE_PX), camera, PROBE_PX)
        return self.refiner.difference_to_cpu(camera, T) or self._difference_of_fits(query, T)

    def _difference_of_fits(self, query: Query, T: FloatArray) -> str:
        turn = rotation_exp(np.radians(PROBE_OFF_DEG) * np.array([0.6, -0.48, 0.64]))
        start = make_transform(turn @ T[:3, :3], T[:3, 3] + (T[:3, :3] - turn @ T[:3, :3]) @ self._reference.center_m)
        for stride in (2, 1):
            (ours,) = self.search.fit(query, [start], PROBE_REACH_PX, PROBE_STEPS, stride)
            theirs = fit_contour(query, self._reference, start, PROBE_REACH_PX, PROBE_STEPS, stride)
            # Poses may differ: about the axis of a bottle nothing holds them.
            off_px = abs(ours.cost_px - theirs.cost_px)
            if not off_px <= MAX_DIFFERENCE_PX:
                return f"its contour fit ends {off_px:.3g} px from the CPU's, expected at most {MAX_DIFFERENCE_PX:g}"
        return ""


def probe(reference: Reference) -> tuple[Camera, FloatArray]:
    """Return a camera and a pose that show all of a part."""
    middle = (PROBE_PX - 1) / 2
    camera = Camera(2.4 * PROBE_PX, 2.4 * PROBE_PX, middle, middle, PROBE_PX, PROBE_PX)
    R = look_at(np.array([0.5, -0.6, 0.62]))
    return camera, make_transform(R, np.array([0.0, 0.0, 3 * reference.diameter_m]) - R @ reference.center_m)
