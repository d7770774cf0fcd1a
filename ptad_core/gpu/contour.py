"""The contour fit of ``pose.contour_fit`` for many poses at once, in torch; ``contour_kernel`` is the same, fused.

A pose that comes behind the camera or too near keeps its place in the batch, and its cost is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ptad_core.gpu.solver import rotation, solve6
from ptad_core.pose.contour_fit import DAMPING, FAR_PX2, MIN_AGREEMENT
from ptad_core.reference.views import Views

NEAREST_POINT_M = 1e-6
NEAREST_CENTRE_M = 1e-4
"""As near as the CPU lets the part come."""


@dataclass(frozen=True, slots=True)
class DeviceViews:
    """The reference's views on a device, uploaded once; see ``reference.views.Views``."""

    directions: torch.Tensor
    points: torch.Tensor
    normals: torch.Tensor
    reach_m: torch.Tensor

    @classmethod
    def upload(cls, views: Views, device: torch.device, dtype: torch.dtype = torch.float32) -> DeviceViews:
        """Copy to a device."""
        return cls(*(torch.from_numpy(np.ascontiguousarray(a)).to(device, dtype)
                     for a in (views.directions, views.points, views.normals, views.reach_m)))


def fit_contours(views: DeviceViews, T: torch.Tensor, camera: torch.Tensor, query: torch.Tensor, reaches: torch.Tensor,
                 stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the outlines of B poses to the query's.

    Args:
        views: of the reference.
        T: (B, 3, 4) rotations of the part, and where its centre is in the camera's frame; in the dtype of all others.
        camera: (5,) fx, fy, cx, cy, and how far to either side a query's point stands for the outline.
        query: (m, 4) x, y and unit normals of the query's points.
        reaches: (steps + 1,) how far outlines may lie apart at each step; the last limits the cost.
        stride: one in so many of a view's points counts.

    Returns:
        (B, 3, 4) the same of the fitted poses, and (B,) the mean truncated distances, both ways; inf where lost.
    """
    R, c = T[:, :, :3], T[:, :, 3]
    n, m = views.points.shape[1] // stride, len(query)
    lost = torch.zeros(len(T), dtype=torch.bool, device=T.device)
    final = reaches[-1]
    d_q = d_p = torch.empty(0)
    for k in range(len(reaches)):
        view = torch.argmax(-(R.mT @ c[:, :, None])[:, :, 0] @ views.directions.T, dim=1)
        X = views.points[view, :n] @ R.mT
        p, z, x = _project(X, c, camera)
        lost |= (z < NEAREST_POINT_M).any(1)
        across = (views.normals[view, :n] @ R.mT)[:, :, :2]
        normal = across / (torch.linalg.vector_norm(across, dim=2, keepdim=True) + 1e-12)
        half = stride * views.reach_m[view] * camera[0] / c[:, 2]
        d_q, near_q, d_p, near_p = _pair(p, normal, half, query, camera[4])
        if k == len(reaches) - 1:
            break
        near_X, near_x, near_p_px, near_z = (torch.cat([a, _take(a, near_p)], dim=1) for a in (X, x, p, z[:, :, None]))
        target = torch.cat([query[near_q], query.expand(len(T), m, 4)], dim=1)
        d2 = torch.cat([d_q, d_p], dim=1) / (reaches[k] * reaches[k])
        weight = torch.where(d2 < 1, (1 - d2) ** 2, 0)
        weight = torch.cat([weight[:, :n] / n, weight[:, n:] / m], dim=1)
        J = _jacobian(near_X, near_x, near_z[:, :, 0], target[:, :, 2:], camera)
        e = (target[:, :, 2:] * (target[:, :, :2] - near_p_px)).sum(2)
        H, g = torch.einsum("bp,bpi,bpj->bij", weight, J, J), torch.einsum("bp,bpi->bi", weight * e, J)
        step = solve6(H + torch.diag_embed(DAMPING * torch.diagonal(H, dim1=1, dim2=2) + 1e-12), g)
        c_next = c + step[:, :3]
        lost |= ~(c_next[:, 2] >= NEAREST_CENTRE_M)
        c = torch.where(lost[:, None], c, c_next)
        R = torch.where(lost[:, None, None], R, rotation(step[:, 3:]) @ R)
    cost = (d_q.sqrt().clamp(max=final).mean(1) + d_p.sqrt().clamp(max=final).mean(1)) / 2
    return torch.cat([R, c[:, :, None]], dim=2), torch.where(lost, torch.inf, cost)


def _project(X: torch.Tensor, c: torch.Tensor, camera: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, n, 2) pixels, (B, n) depths and (B, n, 2) rays of points about the centre."""
    at = X + c[:, None]
    x = at[:, :, :2] / at[:, :, 2:].clamp(min=NEAREST_POINT_M)
    return x * camera[:2] + camera[2:4], at[:, :, 2], x


def _pair(p: torch.Tensor, normal: torch.Tensor, half: torch.Tensor, query: torch.Tensor, query_half: torch.Tensor,
          ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Squared distance to, and index of, the nearest straight piece whose normal agrees: (B, n) twice, (B, m) twice."""
    dx, dy = query[:, 0] - p[:, :, :1], query[:, 1] - p[:, :, 1:]
    nx, ny, qnx, qny = normal[:, :, :1], normal[:, :, 1:], query[:, 2], query[:, 3]
    apart = torch.where(nx * qnx + ny * qny < MIN_AGREEMENT, float(FAR_PX2), 0.0)
    to_query = (dx * qnx + dy * qny) ** 2 + ((dx * qny - dy * qnx).abs() - query_half).clamp(min=0) ** 2 + apart
    to_view = (dx * nx + dy * ny) ** 2 + ((dx * ny - dy * nx).abs() - half[:, None, None]).clamp(min=0) ** 2 + apart
    return (*to_query.min(2), *to_view.min(1))


def _take(of_points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(B, n, k) at (B, m) -> (B, m, k)."""
    return torch.gather(of_points, 1, index[:, :, None].expand(-1, -1, of_points.shape[2]))


def _jacobian(X: torch.Tensor, x: torch.Tensor, z: torch.Tensor, normal: torch.Tensor, camera: torch.Tensor,
              ) -> torch.Tensor:
    """(B, p, 6) motion of points along normals by a twist (v, w) about the centre, px per m and rad."""
    v0, v1 = (normal * camera[:2] / z[:, :, None].clamp(min=NEAREST_POINT_M)).unbind(2)
    v2 = -(v0 * x[:, :, 0] + v1 * x[:, :, 1])
    X0, X1, X2 = X.unbind(2)
    return torch.stack([v0, v1, v2, X1 * v2 - X2 * v1, X2 * v0 - X0 * v2, X0 * v1 - X1 * v0], dim=2)
