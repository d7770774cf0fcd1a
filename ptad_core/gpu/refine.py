"""The refinement of ``pose.refine`` for all hypotheses in one batch, on a device."""

from __future__ import annotations

import logging

import numpy as np
import torch

from ptad_core.camera import Camera
from ptad_core.frames import make_transform
from ptad_core.gpu import level_set, splat_sums
from ptad_core.gpu.level_set import COST, COUNT, ERROR2, UPPER, WEIGHT, DeviceQuery
from ptad_core.gpu.solver import Solution, solve
from ptad_core.gpu.splat_sums import DeviceGaussians, camera_tensor, mask_and_flow
from ptad_core.outline import Outline, find_outline, match_outlines
from ptad_core.pose.query import Query
from ptad_core.pose.refine import FINAL_REACH_PX, START_REACH_PX, MaskFit, inside_image
from ptad_core.reference.build import Reference
from ptad_core.reference.views import look_at
from ptad_core.rendering.splat import render_mask_flow
from ptad_core.types import FloatArray

DIAGONAL = [UPPER.index((i, i)) for i in range(6)] + [WEIGHT, ERROR2, COUNT]
PROBE_PX = 128
PROBE_DISTANCE_IN_DIAMETERS = 3.0
MAX_DIFFERENCE = 0.02
"""A splat's edge (1/255) may count in one precision and not in the other, several of them at one pixel."""
MAX_RELATIVE_DIFFERENCE = 0.01

logger = logging.getLogger(__name__)


class DeviceRefiner:
    """Refines poses of one part on a device; the part's Gaussians are uploaded once."""

    def __init__(self, reference: Reference, device: str) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            from ptad_core.gpu import kernels
            self._splat_sums, self._level_set_sums = kernels.splat_sums, kernels.level_set_sums
        else:
            self._splat_sums, self._level_set_sums = splat_sums.splat_sums, level_set.level_set_sums
        self._reference = reference
        self._gaussians = DeviceGaussians.upload(reference.gaussians, self._device)
        self._centre_part = torch.from_numpy(reference.center_m.astype(np.float64)).to(self._device)
        self._broken = False

    @property
    def name(self) -> str:
        """The device's name, for people."""
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "the CPU, by torch"

    def difference_to_cpu(self) -> str:
        """Render and compare one view on both; '' where they agree, else what differs."""
        distance = PROBE_DISTANCE_IN_DIAMETERS * self._reference.diameter_m
        middle = (PROBE_PX - 1) / 2
        camera = Camera(0.8 * PROBE_PX * PROBE_DISTANCE_IN_DIAMETERS, 0.8 * PROBE_PX * PROBE_DISTANCE_IN_DIAMETERS,
                        middle, middle, PROBE_PX, PROBE_PX)
        R = look_at(np.array([0.5, -0.6, 0.62]))
        T = make_transform(R, np.array([0.0, 0.0, distance]) - R @ self._reference.center_m)
        expected = render_mask_flow(self._reference.gaussians, camera, T)[0]
        K = camera_tensor(camera, self._device)
        sums = self._splat_sums(self._gaussians, K, torch.from_numpy(T[None, :3].astype(np.float32)).to(self._device),
                                PROBE_PX, PROBE_PX)
        off = float(np.abs(mask_and_flow(sums)[0][0].cpu().numpy() - expected).max())
        if not off <= MAX_DIFFERENCE:
            return f"its mask differs from the CPU's by {off:.3g}, expected at most {MAX_DIFFERENCE:g}"
        outline = find_outline(expected)
        moved = Outline(outline.points + np.array([1.0, 0.5]), outline.normals)
        pivot = torch.tensor([[0.0, 0.0, distance]], dtype=torch.float32)
        reach = (FINAL_REACH_PX,) * 3
        ours, theirs = (f(sums.to(d), DeviceQuery.upload(moved, expected >= 0, d), K.to(d), pivot.to(d), reach)[0]
                        for f, d in ((self._level_set_sums, self._device),
                                     (level_set.level_set_sums, torch.device("cpu"))))
        off = float((ours.cpu().double() / theirs.double() - 1).abs()[DIAGONAL].max())
        if not off <= MAX_RELATIVE_DIFFERENCE:
            return f"its normal equations differ by {off:.3g}, expected at most {MAX_RELATIVE_DIFFERENCE:g}"
        return ""

    def __call__(self, query: Query, poses: list[FloatArray], max_iterations: int) -> list[MaskFit] | None:
        """Refine poses, best first; None where the device cannot: the CPU is to do it then."""
        if self._broken:
            return None
        try:
            return sorted(self.refine(query, poses, max_iterations), key=lambda fit: fit.cost_px)
        except torch.OutOfMemoryError as error:
            logger.warning("device: out of memory, the CPU takes over for this image: %s", _first_line(error))
        except torch.AcceleratorError as error:
            # A CUDA context does not recover from it.
            self._broken = True
            logger.error("device: failed, the CPU takes over from now on: %s", _first_line(error))  # noqa: TRY400 - the words suffice
        return None

    def refine(self, query: Query, poses: list[FloatArray], max_iterations: int,
               start_reach_px: float = START_REACH_PX) -> list[MaskFit]:
        """Refine poses that are within ``start_reach_px``; those that never meet the query's outline are left out."""
        if not poses:
            return []
        T = torch.from_numpy(np.stack(poses)[:, :3].astype(np.float64)).to(self._device)
        R = T[:, :, :3].contiguous()
        centre = R @ self._centre_part + T[:, :, 3]
        size = query.mask.shape
        camera = camera_tensor(query.camera, self._device)
        outline = DeviceQuery.upload(query.outline, query.seen, self._device)

        def sums(poses: torch.Tensor) -> torch.Tensor:
            return self._splat_sums(self._gaussians, camera, poses.float().contiguous(), *size)

        def linearise(poses: torch.Tensor, pivots: torch.Tensor, reach: tuple[float, float, float]) -> torch.Tensor:
            return self._level_set_sums(sums(poses), outline, camera, pivots.float(), reach)

        found = solve(R, centre, self._centre_part, max_iterations, start_reach_px, linearise)
        poses_found = torch.cat([found.R, (found.centre - found.R @ self._centre_part)[:, :, None]], dim=2)
        masks = mask_and_flow(sums(poses_found))[0].cpu().numpy()
        return self._fits(query, found, masks)

    def _fits(self, query: Query, found: Solution, masks: FloatArray) -> list[MaskFit]:
        R, centre, stats = (t.cpu().numpy() for t in (found.R, found.centre, found.stats))
        taken, converged, lost = (t.cpu().numpy() for t in (found.taken, found.converged, found.lost))
        fits = []
        for k in np.flatnonzero(~lost):
            H = np.zeros((6, 6))
            for value, (i, j) in zip(stats[k], UPPER, strict=False):
                H[i, j] = H[j, i] = value
            outline = inside_image(find_outline(masks[k]), query)
            back = match_outlines(query.outline, outline, FINAL_REACH_PX)[1]
            forth_px = stats[k, COST] / max(stats[k, COUNT], 1)
            cost = 0.5 * float(forth_px + np.minimum(back, FINAL_REACH_PX).mean())
            T = make_transform(R[k], centre[k] - R[k] @ self._reference.center_m)
            points = float(stats[k, WEIGHT])
            rms = float(np.sqrt(stats[k, ERROR2] / max(points, 1e-9)))
            fits.append(MaskFit(T, masks[k], outline, H, centre[k], rms, points, cost, int(taken[k]),
                                bool(converged[k])))
        return fits


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0]
