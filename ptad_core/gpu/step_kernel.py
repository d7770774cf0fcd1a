"""Triton kernel of the damped steps: the loop of ``solver.solve``, each step's hundred small operations in one kernel.

Import with a device only. One program is one pose; what it knows lies in a row of float64.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ptad_core.gpu.contour_kernel import entry, rodrigues, solved, turned
from ptad_core.gpu.level_set import COUNT, LOSS, LOSS_FINAL, LOSS_NEXT, STATS, WEIGHT
from ptad_core.gpu.solver import Linearise, Solution, reaches, require_reach, tolerance2
from ptad_core.pose.refine import INITIAL_DAMPING, MIN_POINTS

ROTATION, CENTRE, DAMPING, TAKEN, CONVERGED, LOST = 0, 9, 12, 13, 14, 15
TRIED, TRIED_CENTRE, MOVED2, KEPT = 16, 25, 28, 29
"""Columns of a pose's row: what is known of it, the pose to be tried, and from ``KEPT`` on the statistics so far."""
ROW = KEPT + STATS


def solve(R: torch.Tensor, centre: torch.Tensor, centre_part: torch.Tensor, steps: int, start_reach_px: float,
          linearise: Linearise) -> Solution:
    """Take up to ``steps`` damped steps from each pose; see ``solver.solve``."""
    require_reach(start_reach_px)
    batch, device = len(centre), centre.device
    rows = torch.zeros((batch, ROW), dtype=torch.float64, device=device)
    rows[:, TRIED:TRIED_CENTRE], rows[:, TRIED_CENTRE:MOVED2] = R.reshape(batch, 9), centre
    rows[:, DAMPING] = INITIAL_DAMPING
    poses = torch.cat([R, (centre - R @ centre_part)[:, :, None]], dim=2).float()
    pivots, active = centre.float(), torch.ones(batch, dtype=torch.bool, device=device)
    for k in range(steps + 1):
        reach = reaches(start_reach_px, k)
        stats = linearise(poses, pivots, reach, active)
        # The first pose is taken as it is. From the second step on all reaches are the final one.
        _step[(batch,)](rows, stats, centre_part, poses, pivots, active, reach[0] ** 2 / 6,
                        tolerance2(start_reach_px, k), k == 0, LOSS_NEXT if k <= 1 else LOSS_FINAL, LOSS, COUNT, WEIGHT,
                        STATS, ROW, KEPT, MIN_POINTS, num_warps=1)
    return Solution(rows[:, ROTATION:CENTRE].reshape(batch, 3, 3), rows[:, CENTRE:DAMPING], rows[:, KEPT:],
                    rows[:, TAKEN], rows[:, CONVERGED] > 0, rows[:, LOST] > 0)


@triton.jit
def _step(rows, stats, centre_part, poses, pivots, active, size, tolerance2, FIRST: tl.constexpr, OLD: tl.constexpr,
          LOSS: tl.constexpr, COUNT: tl.constexpr, WEIGHT: tl.constexpr, STATS: tl.constexpr, ROW: tl.constexpr,
          KEPT: tl.constexpr, MIN_POINTS: tl.constexpr):
    """One program: judge the step that was tried, keep it or not, and set out the next one."""
    b = tl.program_id(0)
    pose = rows + b * ROW
    kept = pose + KEPT
    new = stats + b * STATS
    damping = tl.load(pose + 12)
    converged = tl.load(pose + 14) > 0
    lost = tl.load(pose + 15) > 0
    running = (converged == 0) & (lost == 0)
    count = tl.load(new + COUNT)
    meets = (count >= MIN_POINTS) & (tl.load(new + WEIGHT) >= MIN_POINTS / 2)
    n0, n1, n2 = tl.load(pose + 25), tl.load(pose + 26), tl.load(pose + 27)
    if FIRST:
        took = running
        lost = meets == 0
    else:
        lost_now = running & ((n2 <= 0) | (meets == 0))
        before = tl.load(kept + OLD) / tl.maximum(tl.load(kept + COUNT), 1.0)
        after = tl.load(new + LOSS) / tl.maximum(count, 1.0)
        took = running & (lost_now == 0) & (after * size <= before * size * 1.001 + 1e-6)
        damping = tl.where(took, tl.maximum(0.3 * damping, 1e-6), tl.where(running, 10 * damping, damping))
        converged = converged | (running & (lost_now == 0) & (tl.load(pose + 28) < tolerance2))
        lost = lost | lost_now
        tl.store(pose + 13, tl.load(pose + 13) + running.to(tl.float64))
    tl.store(pose + 12, damping)
    tl.store(pose + 14, converged.to(tl.float64))
    tl.store(pose + 15, lost.to(tl.float64))
    r00, r01, r02 = _either(pose, took, 0), _either(pose, took, 1), _either(pose, took, 2)
    r10, r11, r12 = _either(pose, took, 3), _either(pose, took, 4), _either(pose, took, 5)
    r20, r21, r22 = _either(pose, took, 6), _either(pose, took, 7), _either(pose, took, 8)
    c0, c1, c2 = _either(pose, took, 9), _either(pose, took, 10), _either(pose, took, 11)

    # The normal equations at the pose that is kept, as a tile: rows and columns 0-5, right side in column 6.
    row, col = tl.arange(0, 8)[:, None], tl.arange(0, 8)[None, :]
    low, high = tl.minimum(row, col), tl.maximum(row, col)
    at = tl.where(col == 6, 21 + row, low * 6 - low * (low - 1) // 2 + high - low)
    inside = (row < 6) & (col < 7)
    A = tl.where(took, tl.load(new + at, mask=inside, other=0.0), tl.load(kept + at, mask=inside, other=0.0))
    weight = tl.where(took, tl.load(new + WEIGHT), tl.load(kept + WEIGHT))
    H = tl.where(col < 6, A, 0.0)
    A = solved(A, row, col, damping)
    down = tl.sum(tl.where(col == 6, A, 0.0), axis=1)[:, None]
    right = tl.sum(tl.where(row == col, down, 0.0), axis=0)[None, :]
    moved2 = tl.sum(tl.sum(down * H * right, axis=1), axis=0) / tl.maximum(weight, 1e-9)
    w0, w1, w2 = entry(A, row, col, 3), entry(A, row, col, 4), entry(A, row, col, 5)
    n0, n1, n2 = c0 + entry(A, row, col, 0), c1 + entry(A, row, col, 1), c2 + entry(A, row, col, 2)
    angle2, f, g = rodrigues(w0, w1, w2)
    t00, t10, t20 = turned(r00, r10, r20, w0, w1, w2, angle2, f, g)
    t01, t11, t21 = turned(r01, r11, r21, w0, w1, w2, angle2, f, g)
    t02, t12, t22 = turned(r02, r12, r22, w0, w1, w2, angle2, f, g)

    # Everything has been read: what is kept, and what is tried next.
    tl.debug_barrier()
    k = tl.arange(0, 64)
    tl.store(kept + k, tl.load(new + k, mask=(k < STATS) & took, other=0.0), mask=(k < STATS) & took)
    _keep(pose, r00, r01, r02, r10, r11, r12, r20, r21, r22, c0, c1, c2)
    _keep(pose + 16, t00, t01, t02, t10, t11, t12, t20, t21, t22, n0, n1, n2)
    tl.store(pose + 28, moved2)
    p0, p1, p2 = tl.load(centre_part), tl.load(centre_part + 1), tl.load(centre_part + 2)
    out = poses + b * 12
    tl.store(out, t00.to(tl.float32))
    tl.store(out + 1, t01.to(tl.float32))
    tl.store(out + 2, t02.to(tl.float32))
    tl.store(out + 3, (n0 - t00 * p0 - t01 * p1 - t02 * p2).to(tl.float32))
    tl.store(out + 4, t10.to(tl.float32))
    tl.store(out + 5, t11.to(tl.float32))
    tl.store(out + 6, t12.to(tl.float32))
    tl.store(out + 7, (n1 - t10 * p0 - t11 * p1 - t12 * p2).to(tl.float32))
    tl.store(out + 8, t20.to(tl.float32))
    tl.store(out + 9, t21.to(tl.float32))
    tl.store(out + 10, t22.to(tl.float32))
    tl.store(out + 11, (n2 - t20 * p0 - t21 * p1 - t22 * p2).to(tl.float32))
    tl.store(pivots + b * 3, n0.to(tl.float32))
    tl.store(pivots + b * 3 + 1, n1.to(tl.float32))
    tl.store(pivots + b * 3 + 2, n2.to(tl.float32))
    tl.store(active + b, (converged == 0) & (lost == 0))


@triton.jit
def _either(pose, took, k: tl.constexpr):
    """An entry of the pose that was tried, or of the pose so far."""
    return tl.where(took, tl.load(pose + 16 + k), tl.load(pose + k))


@triton.jit
def _keep(out, r00, r01, r02, r10, r11, r12, r20, r21, r22, c0, c1, c2):
    """Write a rotation and a centre."""
    tl.store(out, r00)
    tl.store(out + 1, r01)
    tl.store(out + 2, r02)
    tl.store(out + 3, r10)
    tl.store(out + 4, r11)
    tl.store(out + 5, r12)
    tl.store(out + 6, r20)
    tl.store(out + 7, r21)
    tl.store(out + 8, r22)
    tl.store(out + 9, c0)
    tl.store(out + 10, c1)
    tl.store(out + 11, c2)
