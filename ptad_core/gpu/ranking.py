"""The chamfer ranking of ``pose.search`` for all candidates at once, in torch, on any device.

Every operation is of fixed shape and nothing is read back: views and rolls that are not allowed cost infinitely much.
"""

from __future__ import annotations

import math

import torch

from ptad_core.pose.search import FORWARD_POINTS, LEAST_DIFFERENCE, PLACEMENTS, ROLLS, SHORTLIST

PLACES = 5
"""Columns of a candidate: its view, its roll in radians, and scale and origin of how it was laid over the query."""


def rank(outlines: torch.Tensor, allowed: torch.Tensor, distance: torch.Tensor, query: torch.Tensor,
         box: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rank views, rolls and placements by how far their outlines lie from the query's.

    Args:
        outlines: (V, n, 2) of the views, in diameters.
        allowed: (V, rolls) bool.
        distance: (H, W) from each pixel to the query's outline.
        query: (m, 2) some of the query's outline.
        box: (5,) low x, y and high x, y of the query's outline, and the distance beyond which nothing counts.

    Returns:
        (k, 5) the candidates of the shortlist, best first, and their (k,) costs.
    """
    angle = torch.arange(ROLLS, device=outlines.device) * (2 * math.pi / ROLLS)
    c, s = torch.cos(angle).to(outlines), torch.sin(angle).to(outlines)
    turned = torch.stack([c[:, None] * outlines[:, None, :, 0] - s[:, None] * outlines[:, None, :, 1],
                          s[:, None] * outlines[:, None, :, 0] + c[:, None] * outlines[:, None, :, 1]], dim=3)
    placed = place(turned, box)
    forward = _forward(turned[:, :, :FORWARD_POINTS], placed, distance, box[4])
    forward = torch.where(allowed[:, :, None] & (placed[..., 0] > 0), forward, torch.inf).flatten()
    costs, order = torch.topk(forward, min(SHORTLIST, forward.numel()), largest=False)
    order, by_number = torch.sort(order)  # ties are decided as on the CPU
    view = order // (ROLLS * PLACEMENTS)
    roll = order // PLACEMENTS % ROLLS
    how = placed.reshape(-1, 3)[order]
    both = _both_ways(turned[view, roll] * how[:, None, :1] + how[:, None, 1:], query, box[4])
    both, best = torch.sort(torch.where(torch.isfinite(costs[by_number]), both, torch.inf), stable=True)
    candidates = torch.cat([view[:, None].to(how), angle[roll][:, None].to(how), how], dim=1)
    return candidates[best], both


def place(turned: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Return (V, rolls, placements, 3) scales and origins of (V, rolls, n, 2) outlines; see ``search._place``."""
    low, high = turned.amin(dim=2), turned.amax(dim=2)
    size, wanted = (high - low).clamp(min=1e-9), box[2:4] - box[:2]
    ratio = wanted / size
    differ = torch.log(ratio[..., 0] / ratio[..., 1]).abs() >= LEAST_DIFFERENCE
    middle = torch.linalg.vector_norm(wanted) / torch.linalg.vector_norm(size, dim=2)
    larger, smaller = (torch.where(differ, r, 0) for r in (ratio.amax(dim=2), ratio.amin(dim=2)))
    scale = torch.stack([middle, larger, larger, smaller, smaller], dim=2)[..., None]
    end = torch.stack([torch.full_like(middle, e) for e in (0.0, -0.5, 0.5, -0.5, 0.5)], dim=2)[..., None]
    centre, own_centre = (box[:2] + box[2:4]) / 2, ((low + high) / 2)[:, :, None]
    return torch.cat([scale, centre + end * (wanted - scale * size[:, :, None]) - scale * own_centre], dim=3)


def _forward(turned: torch.Tensor, placed: torch.Tensor, distance: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """(V, rolls, placements) mean truncated distance from each placed outline to the query's."""
    height, width = distance.shape
    # Truncated, not floored: a point less than a pixel outside counts as on the border, as on the CPU.
    at = (placed[:, :, :, None, :1] * turned[:, :, None] + placed[:, :, :, None, 1:] + 0.5).trunc()
    col, row = at.unbind(4)
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    pixel = (row.clamp(0, height - 1) * width + col.clamp(0, width - 1)).long()
    return torch.where(inside, torch.minimum(distance.flatten()[pixel], limit), limit).mean(dim=3)


def _both_ways(outlines: torch.Tensor, query: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """(k,) truncated chamfer distance, both ways, of (k, n, 2) outlines."""
    d2 = ((outlines[:, :, None] - query) ** 2).sum(3)
    return sum(torch.minimum(d2.amin(dim=k).sqrt(), limit).mean(dim=1) for k in (1, 2))  # type: ignore[return-value]
