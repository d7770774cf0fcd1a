"""Damped Gauss-Newton for many poses at once: the loop of ``pose.refine`` without a branch, so that a device runs it.

A pose that has converged or was lost keeps its place, changes no more and is not rendered. Every operation is of fixed
shape, and nothing is read back before the last step: the whole loop may be captured as a CUDA graph.

The one difference to the CPU: a step's length is measured over the weighted outline, not over all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ptad_core.gpu.level_set import COUNT, LOSS, LOSS_FINAL, LOSS_NEXT, UPPER, WEIGHT
from ptad_core.pose.refine import FINAL_REACH_PX, INITIAL_DAMPING, MIN_POINTS, STEP_TOLERANCE_PX

Linearise = Callable[[torch.Tensor, torch.Tensor, tuple[float, float, float], torch.Tensor], torch.Tensor]
"""(B, 3, 4) poses, (B, 3) pivots, three reaches, and (B,) which poses matter -> (B, STATS) of ``level_set``."""
SHRINK = 0.7
MAX_START_REACH_PX = FINAL_REACH_PX / SHRINK**2
"""Losses are kept for this reach, the next and the last: from further away a third one would be in between."""


@dataclass(slots=True)
class Solution:
    """Poses, and what is known of them, on the device; float64.

    Attributes:
        R: (B, 3, 3) R_camera_part.
        centre: (B, 3) the part's centre, camera frame.
        stats: (B, STATS) at that pose.
        taken: (B,) steps.
        converged: (B,) bool.
        lost: (B,) bool: the outlines do not meet, or the part came behind the camera.
    """

    R: torch.Tensor
    centre: torch.Tensor
    stats: torch.Tensor
    taken: torch.Tensor
    converged: torch.Tensor
    lost: torch.Tensor


def reaches(start_px: float, step: int) -> tuple[float, float, float]:
    """Return the reach at a step, at the next one and at the last."""
    now, after = (max(FINAL_REACH_PX, start_px * SHRINK**k) for k in (step, step + 1))
    return now, after, FINAL_REACH_PX


def tolerance2(start_px: float, step: int) -> float:
    """Return the squared length that a step which ends the search stays below: none does before the reach is final."""
    return STEP_TOLERANCE_PX**2 if reaches(start_px, step - 1)[0] <= FINAL_REACH_PX else 0.0


def require_reach(start_px: float) -> None:
    """Refuse a reach that no loss is kept for."""
    if start_px > MAX_START_REACH_PX:
        raise ValueError(f"expected a reach of at most {MAX_START_REACH_PX:.1f} px, got {start_px:g}")


def solve(R: torch.Tensor, centre: torch.Tensor, centre_part: torch.Tensor, steps: int, start_reach_px: float,
          linearise: Linearise) -> Solution:
    """Take up to ``steps`` damped steps from each pose.

    Args:
        R: (B, 3, 3) float64.
        centre: (B, 3) float64, where the part's centre is, camera frame.
        centre_part: (3,) float64 the same, part frame.
        steps: most steps.
        start_reach_px: how far the outlines may lie apart, at most ``MAX_START_REACH_PX``.
        linearise: renders and compares.
    """
    require_reach(start_reach_px)
    damping = torch.full_like(centre[:, 0], INITIAL_DAMPING)
    none = torch.zeros_like(damping, dtype=torch.bool)
    stats = _at(R, centre, centre_part, reaches(start_reach_px, 0), ~none, linearise)
    now = Solution(R, centre, stats, torch.zeros_like(damping), none, ~_meets(stats))
    for k in range(1, steps + 1):
        reach = reaches(start_reach_px, k)
        active = ~now.converged & ~now.lost
        H, g = _normal_equations(now.stats)
        ridge = damping[:, None] * torch.diagonal(H, dim1=1, dim2=2) + 1e-12
        step = solve6(H + torch.diag_embed(ridge), g)
        moved2 = (step * (H @ step[:, :, None])[:, :, 0]).sum(1) / now.stats[:, WEIGHT].clamp(min=1e-9)
        next_R, next_centre = rotation(step[:, 3:]) @ now.R, now.centre + step[:, :3]
        behind = next_centre[:, 2] <= 0
        stats = _at(next_R, next_centre, centre_part, reach, active, linearise)
        lost = active & (behind | ~_meets(stats))
        # The loss of the pose so far, at this reach. From the second step on all reaches are the final one.
        old = now.stats[:, LOSS_NEXT if k == 1 else LOSS_FINAL]
        size = reach[0] ** 2 / 6
        better = (_mean(stats[:, LOSS], stats) * size
                  <= _mean(old, now.stats) * size * 1.001 + 1e-6)
        taken = active & ~lost & better
        now.R = torch.where(taken[:, None, None], next_R, now.R)
        now.centre = torch.where(taken[:, None], next_centre, now.centre)
        now.stats = torch.where(taken[:, None], stats, now.stats)
        damping = torch.where(taken, (0.3 * damping).clamp(min=1e-6), torch.where(active, 10 * damping, damping))
        now.taken = now.taken + active
        now.converged = now.converged | (active & ~lost & (moved2 < tolerance2(start_reach_px, k)))
        now.lost = now.lost | lost
    return now


def _at(R: torch.Tensor, centre: torch.Tensor, centre_part: torch.Tensor, reach: tuple[float, float, float],
        active: torch.Tensor, linearise: Linearise) -> torch.Tensor:
    poses = torch.cat([R, (centre - R @ centre_part)[:, :, None]], dim=2)
    return linearise(poses, centre, reach, active).to(torch.float64)


def _mean(total: torch.Tensor, stats: torch.Tensor) -> torch.Tensor:
    return total / stats[:, COUNT].clamp(min=1)


def _meets(stats: torch.Tensor) -> torch.Tensor:
    return (stats[:, COUNT] >= MIN_POINTS) & (stats[:, WEIGHT] >= MIN_POINTS / 2)


def _normal_equations(stats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 6, 6) and (B, 6)."""
    columns = [UPPER.index((min(i, j), max(i, j))) for i in range(6) for j in range(6)]
    H = torch.stack([stats[:, c] for c in columns], dim=1).reshape(-1, 6, 6)
    return H, stats[:, len(UPPER):len(UPPER) + 6]


def solve6(A: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Gauss-Jordan of (B, 6, 6) positive definite systems: library solvers synchronise with the host.

    Rows and columns are scaled to a diagonal of ones first, metres and radians apart as they are.
    """
    scale = torch.diagonal(A, dim1=1, dim2=2).clamp(min=1e-30).rsqrt()
    left = torch.cat([A * scale[:, :, None] * scale[:, None, :], (b * scale)[:, :, None]], dim=2)
    unit = torch.eye(6, dtype=A.dtype, device=A.device)
    for k in range(6):
        row = left[:, k:k + 1] / left[:, k:k + 1, k:k + 1]
        left = left - (left[:, :, k:k + 1] - unit[:, k:k + 1]) * row
    return left[:, :, 6] * scale


def rotation(w: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) rotations of (B, 3) rotation vectors."""
    angle2 = (w * w).sum(1)[:, None, None]
    zero = torch.zeros_like(w[:, 0])
    x, y, z = w.unbind(1)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    safe = angle2.clamp(min=1e-16)  # below that, terms of the second order are nothing
    angle = safe.sqrt()
    a, b = torch.sin(angle) / angle, (1 - torch.cos(angle)) / safe
    return torch.eye(3, dtype=w.dtype, device=w.device) + a * K + b * (K @ K)
