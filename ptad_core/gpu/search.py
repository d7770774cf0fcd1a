"""Candidates and contour fit of a part on a device: what ``pose.search`` and ``pose.contour_fit`` do, in batches."""

from __future__ import annotations

import numpy as np
import torch

from ptad_core.frames import make_transform
from ptad_core.gpu import contour, ranking
from ptad_core.gpu.contour import DeviceViews
from ptad_core.pose.contour_fit import FINAL_REACH_PX, ContourFit
from ptad_core.pose.query import Query
from ptad_core.pose.search import Contest
from ptad_core.reference.build import Reference
from ptad_core.types import FloatArray


class DeviceSearch:
    """Searches poses of one part on a device; the part's views are uploaded once."""

    def __init__(self, reference: Reference, device: str) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            from ptad_core.gpu import contour_kernel
            self._fit_contours = contour_kernel.fit_contours
        else:
            self._fit_contours = contour.fit_contours
        self._centre_part = reference.center_m
        self._views = DeviceViews.upload(reference.views, self._device)

    def rank(self, contest: Contest) -> FloatArray:
        """Return the best candidates; see ``pose.search.Rank``."""
        candidates, costs = ranking.rank(
            self._upload(contest.outlines), torch.from_numpy(contest.allowed).to(self._device),
            self._upload(contest.distance), self._upload(contest.query),
            self._upload(np.array([*contest.low, *contest.high, contest.limit])))
        table = torch.cat([candidates, costs[:, None]], dim=1).cpu().numpy().astype(np.float64)
        return np.asarray(table[np.isfinite(table[:, -1]), :-1])

    def fit(self, query: Query, poses: list[FloatArray], start_reach_px: float, iterations: int, stride: int,
            ) -> list[ContourFit]:
        """Fit the reference's outline at each pose to the query's; see ``pose.contour_fit.fit_contour``."""
        if not poses:
            return []
        count = len(query.few) // stride
        points = np.column_stack([query.few.points[:count], query.few.normals[:count]])
        camera = query.camera
        half = query.outline.length_px / (2 * max(count, 1))
        T = np.stack(poses)[:, :3]
        T[:, :, 3] += T[:, :, :3] @ self._centre_part
        along = np.arange(iterations + 1) / max(iterations - 3, 1)
        reaches = np.maximum(FINAL_REACH_PX, start_reach_px * (FINAL_REACH_PX / start_reach_px) ** along)
        found, costs = self._fit_contours(
            self._views, self._upload(T), self._upload(np.array([camera.fx, camera.fy, camera.cx, camera.cy, half])),
            self._upload(points), self._upload(reaches), stride)
        table = torch.cat([found.flatten(1), costs[:, None]], dim=1).cpu().numpy().astype(np.float64)
        T, costs_px = table[:, :12].reshape(-1, 3, 4), table[:, 12]
        U, _, V = np.linalg.svd(T[:, :, :3])  # rounding of many small turns
        R = U @ V
        t = T[:, :, 3] - R @ self._centre_part
        return [ContourFit(make_transform(*pose), float(cost)) for *pose, cost in zip(R, t, costs_px, strict=True)]

    def _upload(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)
