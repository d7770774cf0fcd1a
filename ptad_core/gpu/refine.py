"""The refinement of ``pose.refine`` for all hypotheses in one batch, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch

from ptad_core.camera import Camera
from ptad_core.frames import make_transform
from ptad_core.gpu import level_set, solver, splat_sums
from ptad_core.gpu.level_set import COST, COUNT, ERROR2, UPPER, WEIGHT, DeviceQueries
from ptad_core.gpu.recordings import Recordings, Tensors, cuda_graph
from ptad_core.gpu.splat_sums import DeviceGaussians, mask_and_flow
from ptad_core.outline import Outline, find_outline, match_outlines
from ptad_core.pose.query import Query
from ptad_core.pose.refine import FINAL_REACH_PX, START_REACH_PX, MaskFit, inside_image
from ptad_core.reference.build import Reference
from ptad_core.rendering.differentiable import camera_rows
from ptad_core.rendering.splat import SILHOUETTE, render_mask_flow
from ptad_core.types import FloatArray, FloatImage

DIAGONAL = [UPPER.index((i, i)) for i in range(6)] + [WEIGHT, ERROR2, COUNT]
CPU = torch.device("cpu")
LEAST_OUTLINE = 4096
"""Room for the points of the queries' outlines; more than most have, so that recordings fit many."""
MAX_DIFFERENCE = 0.02
"""A splat's edge (1/255) may count in one precision and not in the other, several of them at one pixel."""
MAX_RELATIVE_DIFFERENCE = 0.01

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ptad-fits")


class DeviceRefiner:
    """Refines poses of one part on a device; the part's Gaussians are uploaded once.

    ``recorded`` sends all steps as one CUDA graph; without it they are sent one by one.
    """

    def __init__(self, reference: Reference, device: str, *, recorded: bool = True) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            from ptad_core.gpu import kernels, step_kernel
            self._splat_sums, self._level_set_sums = kernels.splat_sums, kernels.level_set_sums
            self._take_steps = step_kernel.solve
        else:
            self._splat_sums, self._level_set_sums = splat_sums.splat_sums, level_set.level_set_sums
            self._take_steps = solver.solve
        self._recordings = Recordings(self._device, cuda_graph if recorded and self._device.type == "cuda" else None)
        self._reference = reference
        self.gaussians = DeviceGaussians.upload(reference.gaussians, self._device)
        self._centre_part = torch.from_numpy(reference.center_m.astype(np.float64)).to(self._device)

    def difference_to_cpu(self, camera: Camera, T: FloatArray) -> str:
        """Render and compare one view on both; '' where they agree, else what differs."""
        expected = render_mask_flow(self._reference.gaussians, camera, T)[0]
        K = camera_rows([camera], self._device).float()
        sums = self._splat_sums(self.gaussians, K, torch.from_numpy(T[None, :3].astype(np.float32)).to(self._device),
                                camera.height, camera.width)
        off = float(np.abs(mask_and_flow(sums)[0][0].cpu().numpy() - expected).max())
        if not off <= MAX_DIFFERENCE:
            return f"its mask differs from the CPU's by {off:.3g}, expected at most {MAX_DIFFERENCE:g}"
        outline = find_outline(expected)
        moved = Outline(outline.points + np.array([1.0, 0.5]), outline.normals)
        pivot = torch.from_numpy((T[:3, :3] @ self._reference.center_m + T[:3, 3])[None].astype(np.float32))
        reach = (FINAL_REACH_PX,) * 3
        ours, theirs = (
            f(sums.to(d), DeviceQueries.of_queries([(moved, expected >= 0)], [0], d), K.to(d), pivot.to(d), reach)[0]
            for f, d in ((self._level_set_sums, self._device), (level_set.level_set_sums, CPU)))
        off = float((ours.cpu().double() / theirs.double() - 1).abs()[DIAGONAL].max())
        if not off <= MAX_RELATIVE_DIFFERENCE:
            return f"its normal equations differ by {off:.3g}, expected at most {MAX_RELATIVE_DIFFERENCE:g}"
        return ""

    def refine(self, query: Query, poses: list[FloatArray], max_iterations: int,
               start_reach_px: float = START_REACH_PX) -> list[MaskFit]:
        """Refine poses that are within ``start_reach_px``; those that never meet the query's outline are left out."""
        return self.refine_all([query], [poses], max_iterations, start_reach_px)[0]

    def refine_all(self, queries: Sequence[Query], poses: Sequence[list[FloatArray]], max_iterations: int,
                   start_reach_px: float = START_REACH_PX) -> list[list[MaskFit]]:
        """Refine the poses of each of several queries of one size, all in one batch; see ``refine``."""
        of = [k for k, own in enumerate(poses) for _ in own]
        if not of:
            return [[] for _ in queries]
        height, width = queries[0].mask.shape
        starts = np.stack([T[:3] for own in poses for T in own]).astype(np.float64)
        room = _room(len(of))  # one recording serves batches of several sizes
        which = np.resize(np.array(of), room)
        outlines = DeviceQueries.of_queries([(q.outline, q.seen) for q in queries], which.tolist(), CPU)
        cameras = camera_rows([queries[k].camera for k in which], CPU).float()
        table = outlines.outline.new_zeros((_room(len(outlines.outline), LEAST_OUTLINE), 4))
        table[:len(outlines.outline)] = outlines.outline
        inputs = (torch.from_numpy(np.resize(starts, (room, 3, 4))), cameras, table, outlines.row_start, outlines.seen,
                  outlines.of)

        def compute(tensors: Tensors) -> Tensors:
            T, cameras, *outline = tensors
            return self._solve(T, cameras, DeviceQueries(*outline), (height, width), max_iterations, start_reach_px)

        found = self._recordings.run((max_iterations, start_reach_px), compute, inputs)
        fitted = iter(_threads.map(self._fit, [queries[k] for k in of],
                                   *(t[:len(of)].cpu().numpy() for t in found)))
        return [[fit for fit in islice(fitted, len(own)) if fit is not None] for own in poses]

    def _solve(self, T: torch.Tensor, cameras: torch.Tensor, queries: DeviceQueries, size: tuple[int, int],
               max_iterations: int, start_reach_px: float) -> Tensors:
        """Everything that runs on the device; returns the fields of ``Solution``, and the masks there."""
        R, centre_part = T[:, :, :3].contiguous(), self._centre_part

        def sums(poses: torch.Tensor, active: torch.Tensor | None = None) -> torch.Tensor:
            return self._splat_sums(self.gaussians, cameras, poses.float().contiguous(), *size, active)

        def linearise(poses: torch.Tensor, pivots: torch.Tensor, reach: tuple[float, float, float],
                      active: torch.Tensor) -> torch.Tensor:
            return self._level_set_sums(sums(poses, active), queries, cameras, pivots.float(), reach)

        found = self._take_steps(R, R @ centre_part + T[:, :, 3], centre_part, max_iterations, start_reach_px,
                                 linearise)
        poses = torch.cat([found.R, (found.centre - found.R @ centre_part)[:, :, None]], dim=2)
        masks = 1 - torch.exp(sums(poses)[:, 0])
        return found.R, found.centre, found.stats, found.taken, found.converged, found.lost, masks

    def _fit(self, query: Query, R: FloatArray, centre: FloatArray, stats: FloatArray, taken: float, converged: bool,
             lost: bool, mask: FloatImage) -> MaskFit | None:
        """Make a fit of what was found; None where the outlines do not meet."""
        if lost:
            return None
        H = np.zeros((6, 6))
        for value, (i, j) in zip(stats, UPPER, strict=False):
            H[i, j] = H[j, i] = value
        outline = inside_image(find_outline(mask, SILHOUETTE), query)
        back = match_outlines(query.outline, outline, FINAL_REACH_PX)[1]
        forth_px = stats[COST] / max(stats[COUNT], 1)
        cost = 0.5 * float(forth_px + np.minimum(back, FINAL_REACH_PX).mean())
        T = make_transform(R, centre - R @ self._reference.center_m)
        points = float(stats[WEIGHT])
        rms = float(np.sqrt(stats[ERROR2] / max(points, 1e-9)))
        return MaskFit(T, mask, outline, H, centre, rms, points, cost, int(taken), bool(converged))


def _room(count: int, least: int = 1) -> int:
    """The next power of two."""
    return max(least, 1 << (count - 1).bit_length())
