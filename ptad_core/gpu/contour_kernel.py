"""Triton kernel of the contour fit: ``contour.fit_contours``, all steps of a pose in one program. Import with a device.

A program holds its pose in registers and reads the view's points anew at each step. All pairs of the view's points with
some of the query's are looked at in one go.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ptad_core.gpu.contour import NEAREST_CENTRE_M, NEAREST_POINT_M, DeviceViews
from ptad_core.pose.contour_fit import DAMPING, FAR_PX2, MIN_AGREEMENT

PAIRS = 4096
"""Looked at in one go: more would not fit into the registers of a program."""


def fit_contours(views: DeviceViews, T: torch.Tensor, camera: torch.Tensor, query: torch.Tensor, reaches: torch.Tensor,
                 stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the outlines of B poses to the query's; all tensors float32."""
    found = torch.empty_like(T)
    costs = torch.empty(len(T), dtype=torch.float32, device=T.device)
    per_view = views.points.shape[1]
    n = per_view // stride
    room = max(triton.next_power_of_2(n), 16)
    _fit[(len(T),)](views.directions, views.points, views.normals, views.reach_m, len(views.directions), per_view, n,
                    stride, T, camera, query, len(query), reaches, len(reaches), found, costs,
                    triton.next_power_of_2(len(views.directions)), room, max(PAIRS // room, 16),
                    float(FAR_PX2), MIN_AGREEMENT, DAMPING, NEAREST_POINT_M, NEAREST_CENTRE_M, num_warps=8)
    return found, costs


@triton.jit
def _fit(directions, points, normals, reach_m, view_count, per_view, n, stride, poses, camera, query, m, reaches, turns,
         found, costs, VIEWS: tl.constexpr, N: tl.constexpr, M: tl.constexpr, FAR: tl.constexpr, AGREE: tl.constexpr,
         DAMPING: tl.constexpr, NEAR_POINT: tl.constexpr, NEAR_CENTRE: tl.constexpr):
    """One program: one pose, all steps."""
    pose = poses + tl.program_id(0) * 12
    r00, r01, r02, c0 = tl.load(pose), tl.load(pose + 1), tl.load(pose + 2), tl.load(pose + 3)
    r10, r11, r12, c1 = tl.load(pose + 4), tl.load(pose + 5), tl.load(pose + 6), tl.load(pose + 7)
    r20, r21, r22, c2 = tl.load(pose + 8), tl.load(pose + 9), tl.load(pose + 10), tl.load(pose + 11)
    fx, fy, cx, cy, q_half = (tl.load(camera), tl.load(camera + 1), tl.load(camera + 2), tl.load(camera + 3),
                              tl.load(camera + 4))
    v = tl.arange(0, VIEWS)
    d0 = tl.load(directions + 3 * v, mask=v < view_count, other=0.0)
    d1 = tl.load(directions + 3 * v + 1, mask=v < view_count, other=0.0)
    d2 = tl.load(directions + 3 * v + 2, mask=v < view_count, other=0.0)
    i = tl.arange(0, N)
    there = i < n
    row, col = tl.arange(0, 8)[:, None], tl.arange(0, 8)[None, :]
    final = tl.load(reaches + turns - 1)
    cost = 0.0
    lost = c2 < NEAR_POINT  # for the type: such a pose is lost below, too
    for turn in range(turns):
        reach = tl.load(reaches + turn)
        towards = (-(r00 * c0 + r10 * c1 + r20 * c2) * d0 - (r01 * c0 + r11 * c1 + r21 * c2) * d1
                   - (r02 * c0 + r12 * c1 + r22 * c2) * d2)
        view = tl.argmax(tl.where(v < view_count, towards, float("-inf")), axis=0)
        half = stride * tl.load(reach_m + view) * fx / tl.maximum(c2, NEAR_POINT)
        at = (view * per_view + i) * 3
        a0 = tl.load(points + at, mask=there, other=0.0)
        a1 = tl.load(points + at + 1, mask=there, other=0.0)
        a2 = tl.load(points + at + 2, mask=there, other=0.0)
        x0 = r00 * a0 + r01 * a1 + r02 * a2
        x1 = r10 * a0 + r11 * a1 + r12 * a2
        x2 = r20 * a0 + r21 * a1 + r22 * a2
        lost = lost | (tl.min(tl.where(there, x2 + c2, 1.0), axis=0) < NEAR_POINT)
        z = tl.maximum(x2 + c2, NEAR_POINT)
        px = fx * (x0 + c0) / z + cx
        py = fy * (x1 + c1) / z + cy
        b0 = tl.load(normals + at, mask=there, other=0.0)
        b1 = tl.load(normals + at + 1, mask=there, other=0.0)
        b2 = tl.load(normals + at + 2, mask=there, other=0.0)
        nx = r00 * b0 + r01 * b1 + r02 * b2
        ny = r10 * b0 + r11 * b1 + r12 * b2
        length = tl.sqrt(nx * nx + ny * ny) + 1e-12
        nx = nx / length
        ny = ny / length

        nearest = tl.full((N,), 4 * FAR, tl.float32)
        which = tl.zeros((N,), tl.int32)
        A = tl.zeros((8, 8), tl.float32)
        back = 0.0
        for first in range(0, m, M):
            j = first + tl.arange(0, M)
            in_query = j < m
            qx = tl.load(query + 4 * j, mask=in_query, other=0.0)
            qy = tl.load(query + 4 * j + 1, mask=in_query, other=0.0)
            qnx = tl.load(query + 4 * j + 2, mask=in_query, other=0.0)
            qny = tl.load(query + 4 * j + 3, mask=in_query, other=0.0)
            dx = qx[None, :] - px[:, None]
            dy = qy[None, :] - py[:, None]
            agreement = nx[:, None] * qnx[None, :] + ny[:, None] * qny[None, :]
            apart = tl.where(agreement < AGREE, FAR, 0.0) + tl.where(there[:, None] & in_query[None, :], 0.0, 2 * FAR)
            across = dx * qnx[None, :] + dy * qny[None, :]
            along = tl.maximum(tl.abs(dx * qny[None, :] - dy * qnx[None, :]) - q_half, 0.0)
            here, place = tl.min(across * across + along * along + apart, axis=1, return_indices=True)
            which = tl.where(here < nearest, first + place, which)
            nearest = tl.minimum(here, nearest)
            across = dx * nx[:, None] + dy * ny[:, None]
            along = tl.maximum(tl.abs(dx * ny[:, None] - dy * nx[:, None]) - half, 0.0)
            d_p, near = tl.min(across * across + along * along + apart, axis=0, return_indices=True)
            back += tl.sum(tl.where(in_query, tl.minimum(tl.sqrt(d_p), final), 0.0), axis=0)
            # The query's points, and the view's points that are nearest to them.
            back_at = (view * per_view + near) * 3
            e0 = tl.load(points + back_at, mask=in_query, other=0.0)
            e1 = tl.load(points + back_at + 1, mask=in_query, other=0.0)
            e2 = tl.load(points + back_at + 2, mask=in_query, other=0.0)
            A += _pairs(r00 * e0 + r01 * e1 + r02 * e2, r10 * e0 + r11 * e1 + r12 * e2, r20 * e0 + r21 * e1 + r22 * e2,
                        c0, c1, c2, fx, fy, cx, cy, qx, qy, qnx, qny, d_p, reach, in_query, m, col, NEAR_POINT)
        # The view's points, and the query's points that are nearest to them.
        tx = tl.load(query + 4 * which, mask=there, other=0.0)
        ty = tl.load(query + 4 * which + 1, mask=there, other=0.0)
        tnx = tl.load(query + 4 * which + 2, mask=there, other=0.0)
        tny = tl.load(query + 4 * which + 3, mask=there, other=0.0)
        forth = tl.sum(tl.where(there, tl.minimum(tl.sqrt(nearest), final), 0.0), axis=0)
        cost = 0.5 * (forth / n + back / m)
        A += _pairs(x0, x1, x2, c0, c1, c2, fx, fy, cx, cy, tx, ty, tnx, tny, nearest, reach, there, n, col, NEAR_POINT)

        if turn < turns - 1:
            A = solved(A, row, col, DAMPING)
            s3, s4, s5 = entry(A, row, col, 3), entry(A, row, col, 4), entry(A, row, col, 5)
            n0 = c0 + entry(A, row, col, 0)
            n1 = c1 + entry(A, row, col, 1)
            n2 = c2 + entry(A, row, col, 2)
            lost = lost | ((n2 >= NEAR_CENTRE) == 0)
            if lost == 0:
                c0, c1, c2 = n0, n1, n2
                angle2, f, g = rodrigues(s3, s4, s5)
                r00, r10, r20 = turned(r00, r10, r20, s3, s4, s5, angle2, f, g)
                r01, r11, r21 = turned(r01, r11, r21, s3, s4, s5, angle2, f, g)
                r02, r12, r22 = turned(r02, r12, r22, s3, s4, s5, angle2, f, g)
    out = found + tl.program_id(0) * 12
    tl.store(out, r00)
    tl.store(out + 1, r01)
    tl.store(out + 2, r02)
    tl.store(out + 3, c0)
    tl.store(out + 4, r10)
    tl.store(out + 5, r11)
    tl.store(out + 6, r12)
    tl.store(out + 7, c1)
    tl.store(out + 8, r20)
    tl.store(out + 9, r21)
    tl.store(out + 10, r22)
    tl.store(out + 11, c2)
    tl.store(costs + tl.program_id(0), tl.where(lost, float("inf"), cost))


@triton.jit
def _pairs(x0, x1, x2, c0, c1, c2, fx, fy, cx, cy, qx, qy, qnx, qny, d2, reach, there, count, col,
           NEAR_POINT: tl.constexpr):
    """(8, 8) sums over pairs: JᵀWJ, and JᵀWe in column and row 6."""
    z = tl.maximum(x2 + c2, NEAR_POINT)
    x = (x0 + c0) / z
    y = (x1 + c1) / z
    v0 = qnx * fx / z
    v1 = qny * fy / z
    v2 = -(v0 * x + v1 * y)
    e = qnx * (qx - fx * x - cx) + qny * (qy - fy * y - cy)
    share = d2 / (reach * reach)
    left = 1.0 - share
    w = tl.where(there & (share < 1.0), left * left / count, 0.0)
    J = tl.where(col == 0, v0[:, None], 0.0) + tl.where(col == 1, v1[:, None], 0.0)
    J += tl.where(col == 2, v2[:, None], 0.0) + tl.where(col == 3, (x1 * v2 - x2 * v1)[:, None], 0.0)
    J += tl.where(col == 4, (x2 * v0 - x0 * v2)[:, None], 0.0) + tl.where(col == 5, (x0 * v1 - x1 * v0)[:, None], 0.0)
    J += tl.where(col == 6, e[:, None], 0.0)
    return tl.sum((w[:, None] * J)[:, :, None] * J[:, None, :], axis=0)


@triton.jit
def solved(A, row, col, damping):
    """Gauss-Jordan on the damped (6, 7) system in (8, 8), scaled to a diagonal of ones: the solution is in column 6."""
    A = tl.where((row == col) & (row < 6), A * (1.0 + damping) + 1e-12, A)
    on_diagonal = tl.where((row == col) & (row < 6), A, 0.0)
    down = tl.where(row < 6, 1.0 / tl.sqrt(tl.maximum(tl.sum(on_diagonal, axis=1), 1e-30))[:, None], 0.0)
    right = tl.where(col < 6, 1.0 / tl.sqrt(tl.maximum(tl.sum(on_diagonal, axis=0), 1e-30))[None, :],
                     tl.where(col == 6, 1.0, 0.0))
    A = A * down * right
    for k in tl.static_range(6):
        pivot = tl.sum(tl.sum(tl.where((row == k) & (col == k), A, 0.0), axis=1), axis=0)
        of_row = tl.sum(tl.where(row == k, A, 0.0), axis=0)[None, :] / pivot
        of_col = tl.sum(tl.where(col == k, A, 0.0), axis=1)[:, None]
        A = tl.where(row == k, of_row, A - of_col * of_row)
    return A * down


@triton.jit
def entry(A, row, col, k: tl.constexpr):
    """A[k, 6]."""
    return tl.sum(tl.sum(tl.where((row == k) & (col == 6), A, 0.0), axis=1), axis=0)


@triton.jit
def rodrigues(w0, w1, w2):
    """φ², sin(φ)/φ and (1 - cos(φ))/φ² by series: to 1e-6 below 2 radians, farther than any step goes."""
    s = w0 * w0 + w1 * w1 + w2 * w2
    f = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110 * (1 - s / 156)))))
    g = 0.5 - s / 24 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90 * (1 - s / 132 * (1 - s / 182)))))
    return s, f, g


@triton.jit
def turned(x, y, z, w0, w1, w2, angle2, f, g):
    """A vector turned by a rotation vector: p + f w x p + g w x (w x p)."""
    along = w0 * x + w1 * y + w2 * z
    return (x + f * (w1 * z - w2 * y) + g * (w0 * along - angle2 * x),
            y + f * (w2 * x - w0 * z) + g * (w1 * along - angle2 * y),
            z + f * (w0 * y - w1 * x) + g * (w2 * along - angle2 * z))
