"""Normal equations of the silhouette's level, in torch: what ``pose.refine`` sets up for one pose, for many.

Where a rendered mask crosses that level between two pixels lies a point of its outline. It is paired with the nearest
point of the query's outline whose normal agrees, and its motion by a pose step follows from the flow sums.

The points' normals are the flow's directions here; on the CPU they are those of a blurred mask. They only say which
points of the query may be paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptad_core.gpu.splat_sums import mask_and_flow
from ptad_core.outline import MIN_NORMAL_AGREEMENT, Outline
from ptad_core.rendering.splat import SILHOUETTE

H_SIZE, G_SIZE = 21, 6
WEIGHT, ERROR2, COUNT, LOSS, LOSS_NEXT, LOSS_FINAL, COST = range(H_SIZE + G_SIZE, H_SIZE + G_SIZE + 7)
STATS = COST + 1
"""Columns of the statistics: JᵀWJ (upper triangle, row by row), JᵀWe, Σw, Σwe², number of points, Tukey's loss at this
step's reach, at the next step's and at the final one, and Σ of the distance up to the final reach."""
UPPER = [(i, j) for i in range(6) for j in range(i, 6)]
MIN_SLOPE = 1e-6


@dataclass(frozen=True, slots=True)
class DeviceQueries:
    """The outlines of Q queries on a device, and which of them each of B hypotheses is held against.

    Attributes:
        outline: (m, 4) x, y and unit normal, in raster order, one query after the other.
        row_start: (Q, H + 1) int32, the first point of each row and those after it; the last is where the query ends.
        seen: (Q, H, W) uint8, which pixels were seen.
        of: (B,) int32 the hypotheses' queries.
    """

    outline: torch.Tensor
    row_start: torch.Tensor
    seen: torch.Tensor
    of: torch.Tensor

    @classmethod
    def of_queries(cls, queries: Sequence[tuple[Outline, NDArray[np.bool_]]], of: Sequence[int], device: torch.device,
                   dtype: torch.dtype = torch.float32) -> DeviceQueries:
        """Copy outlines and what was seen to a device; outlines in raster order, as ``find_outline`` returns them."""
        tables, starts, first = [], [], 0
        for outline, seen in queries:
            rows = np.maximum.accumulate(np.floor(outline.points[:, 1])) if len(outline) else np.empty(0)
            starts.append(first + np.searchsorted(rows, np.arange(seen.shape[0] + 1)).astype(np.int32))
            tables.append(np.concatenate([outline.points, outline.normals], axis=1))
            first += len(outline)
        seen_all = np.stack([seen.astype(np.uint8) for _, seen in queries])
        return cls(torch.from_numpy(np.concatenate(tables)).to(device, dtype),
                   torch.from_numpy(np.stack(starts)).to(device), torch.from_numpy(seen_all).to(device),
                   torch.tensor(list(of), dtype=torch.int32, device=device))


def level_set_sums(sums: torch.Tensor, queries: DeviceQueries, cameras: torch.Tensor, pivots: torch.Tensor,
                   reaches: tuple[float, float, float]) -> torch.Tensor:
    """Return the (B, STATS) statistics of rendered outlines against their queries'.

    Args:
        sums: (B, 5, H, W) of ``splat_sums``.
        queries: the outlines to reach.
        cameras: (B, 4) fx, fy, cx, cy of each.
        pivots: (B, 3) what twists turn about, camera frame.
        reaches: at this step, at the next and at the last, pixels; the first limits pairs and weighs them.
    """
    mask, flow = mask_and_flow(sums)
    height, width = mask.shape[1:]
    out = torch.zeros((len(mask), STATS), dtype=sums.dtype, device=sums.device)
    for down, across in ((0, 1), (1, 0)):
        near = (slice(None), slice(0, height - down), slice(0, width - across))
        far = (slice(None), slice(down, height), slice(across, width))
        b, row, col = torch.nonzero((mask[near] >= SILHOUETTE) != (mask[far] >= SILHOUETTE), as_tuple=True)
        m, m2 = mask[b, row, col], mask[b, row + down, col + across]
        share = (SILHOUETTE - m) / (m2 - m)
        at = torch.lerp(flow[b, :, row, col], flow[b, :, row + down, col + across], share[:, None])
        x, y = col + across * share, row + down * share
        slope = torch.hypot(at[:, 0], at[:, 1])
        seen = queries.seen[queries.of[b].long(), torch.round(y).long(), torch.round(x).long()]
        kept = (slope > MIN_SLOPE) & (seen > 0)
        b, x, y, at, slope = b[kept], x[kept], y[kept], at[kept], slope[kept]
        ends = queries.row_start[:, [0, -1]][queries.of[b].long()]
        e, distance = _nearest(x, y, at[:, :2] / slope[:, None], queries.outline, ends, reaches[0])
        J = _columns(at, slope, x, y, cameras[b], pivots[b])
        inside = (distance / reaches[0]).clamp(max=1)
        w = (1 - inside**2) ** 2
        H = torch.stack([w * J[i] * J[j] for i, j in UPPER])
        g = torch.stack([w * J[i] * e for i in range(6)])
        losses = torch.stack([1 - (1 - (distance / r).clamp(max=1) ** 2) ** 3 for r in reaches])
        rest = torch.stack([w, w * e * e, torch.ones_like(w)])
        values = torch.cat([H, g, rest, losses, distance.clamp(max=reaches[2])[None]])
        out += (b == torch.arange(len(mask), device=b.device)[:, None]).to(out.dtype) @ values.T.to(out.dtype)
    return out


def _nearest(x: torch.Tensor, y: torch.Tensor, normal: torch.Tensor, outline: torch.Tensor, ends: torch.Tensor,
             limit: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) signed distance along the query's normal (0 where nothing is near), and plain distance (else inf).

    ``ends`` (n, 2) says where each point's query begins and ends in ``outline``.
    """
    if not len(outline) or not len(x):
        return torch.zeros_like(x), torch.full_like(x, torch.inf)
    dx, dy = outline[:, 0] - x[:, None], outline[:, 1] - y[:, None]
    d2 = dx * dx + dy * dy
    place = torch.arange(len(outline), device=outline.device)
    own = (place >= ends[:, :1]) & (place < ends[:, 1:])
    agree = (normal @ outline[:, 2:].T > MIN_NORMAL_AGREEMENT) & own
    d2 = torch.where(agree & (d2 < limit * limit), d2, torch.inf)
    best, k = d2.min(dim=1)
    found = torch.isfinite(best)
    along = (torch.gather(dx, 1, k[:, None])[:, 0] * outline[k, 2] + torch.gather(dy, 1, k[:, None])[:, 0]
             * outline[k, 3])
    return torch.where(found, along, 0), best.sqrt()


def _columns(at: torch.Tensor, slope: torch.Tensor, x_px: torch.Tensor, y_px: torch.Tensor, cameras: torch.Tensor,
             pivot: torch.Tensor) -> list[torch.Tensor]:
    """Six (n,) columns: motion along the outline's normal by a twist (v, w) about the pivot, px per m and rad."""
    fx, fy, cx, cy = cameras.unbind(1)
    x, y = (x_px - cx) / fx, (y_px - cy) / fy
    wu, wv, wuz, wvz = (at[:, k] * f / slope for k, f in enumerate((fx, fy, fx, fy)))
    v = [wuz, wvz, -(x * wuz + y * wvz)]
    w = [-(x * y) * wu - (1 + y * y) * wv, (1 + x * x) * wu + (x * y) * wv, x * wv - y * wu]
    px, py, pz = pivot.unbind(1)
    # From a twist about the camera's centre to one about the pivot: J_w + J_v [pivot]ₓ.
    return [*v, w[0] + v[1] * pz - v[2] * py, w[1] - v[0] * pz + v[2] * px, w[2] + v[0] * py - v[1] * px]
