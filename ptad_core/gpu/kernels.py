"""Triton kernels: the arithmetic of ``splat_sums`` and ``level_set``, fused. Import on a machine with a device only.

Each kernel stands beside the torch function of the same name, takes the same tensors and returns the same sums. Splats
are added with atomics, so the last bits of a sum depend on the order in which they came.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ptad_core.gpu.level_set import MIN_SLOPE, STATS, DeviceQueries
from ptad_core.gpu.splat_sums import CHANNELS, DeviceGaussians
from ptad_core.outline import MIN_NORMAL_AGREEMENT
from ptad_core.rendering import kernels as cpu
from ptad_core.rendering.splat import SILHOUETTE

SPLATS = 16
"""Per program; a program goes on until its largest splat is done, so fewer are better where sizes differ."""
PIXELS = 32
"""Of each splat's box, per turn."""


def splat_sums(gaussians: DeviceGaussians, cameras: torch.Tensor, poses: torch.Tensor, height: int, width: int,
               active: torch.Tensor | None = None) -> torch.Tensor:
    """Return the (B, 5, H, W) sums of the Gaussians as (B, 4) cameras see them at (B, 3, 4) poses, all float32."""
    if active is None:
        active = torch.ones(len(poses), dtype=torch.bool, device=poses.device)
    sums = torch.zeros((len(poses), CHANNELS, height, width), dtype=torch.float32, device=poses.device)
    grid = (triton.cdiv(len(gaussians), SPLATS), len(poses))
    _splat_sums[grid](gaussians.means, gaussians.tangents, gaussians.opacities, cameras, poses, active, sums,
                      len(gaussians), height, width, SPLATS, PIXELS, cpu.LOW_PASS_PX2, float(cpu.MIN_ALPHA),
                      float(cpu.MAX_ALPHA), cpu.NEAR_M)
    return sums


def level_set_sums(sums: torch.Tensor, queries: DeviceQueries, cameras: torch.Tensor, pivots: torch.Tensor,
                   reaches: tuple[float, float, float]) -> torch.Tensor:
    """Return the (B, STATS) statistics of rendered outlines against their queries'."""
    batch, _, height, width = sums.shape
    rows = torch.empty((batch, 2 * height, STATS), dtype=torch.float32, device=sums.device)
    _level_set_row[(height, 2, batch)](sums, queries.outline, queries.row_start, queries.seen, queries.of, cameras,
                                       pivots, rows, height, width, *reaches, STATS, triton.next_power_of_2(width),
                                       SILHOUETTE, MIN_SLOPE, MIN_NORMAL_AGREEMENT)
    return rows.sum(dim=1, dtype=torch.float64)


@triton.jit
def _splat_sums(means, tangents, opacities, cameras, poses, active, sums, count, height, width, SPLATS: tl.constexpr,
                PIXELS: tl.constexpr, LOW_PASS: tl.constexpr, MIN_ALPHA: tl.constexpr, MAX_ALPHA: tl.constexpr,
                NEAR: tl.constexpr):
    """One program: ``SPLATS`` Gaussians under one pose, projected in registers and added pixel by pixel."""
    which = tl.program_id(0) * SPLATS + tl.arange(0, SPLATS)
    there = (which < count) & (tl.load(active + tl.program_id(1)) != 0)
    pose = poses + tl.program_id(1) * 12
    camera = cameras + tl.program_id(1) * 4
    fx, fy, cx, cy = tl.load(camera), tl.load(camera + 1), tl.load(camera + 2), tl.load(camera + 3)
    r00, r01, r02, tx = tl.load(pose), tl.load(pose + 1), tl.load(pose + 2), tl.load(pose + 3)
    r10, r11, r12, ty = tl.load(pose + 4), tl.load(pose + 5), tl.load(pose + 6), tl.load(pose + 7)
    r20, r21, r22, tz = tl.load(pose + 8), tl.load(pose + 9), tl.load(pose + 10), tl.load(pose + 11)
    px = tl.load(means + 3 * which, mask=there, other=0.0)
    py = tl.load(means + 3 * which + 1, mask=there, other=0.0)
    pz = tl.load(means + 3 * which + 2, mask=there, other=0.0)
    z = r20 * px + r21 * py + r22 * pz + tz
    iz = 1.0 / tl.maximum(z, NEAR)
    x = (r00 * px + r01 * py + r02 * pz + tx) * iz
    y = (r10 * px + r11 * py + r12 * pz + ty) * iz
    u = fx * x + cx
    v = fy * y + cy
    saa = tl.zeros_like(u)
    sab = tl.zeros_like(u)
    sbb = tl.zeros_like(u)
    for axis in tl.static_range(2):
        ax = tl.load(tangents + 6 * which + 3 * axis, mask=there, other=0.0)
        ay = tl.load(tangents + 6 * which + 3 * axis + 1, mask=there, other=0.0)
        az = tl.load(tangents + 6 * which + 3 * axis + 2, mask=there, other=0.0)
        along = r20 * ax + r21 * ay + r22 * az
        a = fx * iz * (r00 * ax + r01 * ay + r02 * az - x * along)
        b = fy * iz * (r10 * ax + r11 * ay + r12 * az - y * along)
        saa += a * a
        sab += a * b
        sbb += b * b
    flat = tl.maximum(saa * sbb - sab * sab, 0.0)
    saa += LOW_PASS
    sbb += LOW_PASS
    det = saa * sbb - sab * sab
    alpha = tl.minimum(tl.load(opacities + which, mask=there, other=0.0) * tl.sqrt(flat / det), MAX_ALPHA)
    shown = there & (alpha >= MIN_ALPHA) & (z >= NEAR)
    reach = 2.0 * tl.log(tl.maximum(alpha / MIN_ALPHA, 1.0))
    rx = tl.sqrt(reach * saa)
    ry = tl.sqrt(reach * sbb)
    left = tl.ceil(tl.minimum(tl.maximum(u - rx, 0.0), width * 1.0)).to(tl.int32)
    right = tl.floor(tl.minimum(tl.maximum(u + rx, -1.0), width - 1.0)).to(tl.int32) + 1
    top = tl.ceil(tl.minimum(tl.maximum(v - ry, 0.0), height * 1.0)).to(tl.int32)
    bottom = tl.floor(tl.minimum(tl.maximum(v + ry, -1.0), height - 1.0)).to(tl.int32) + 1
    wide = tl.maximum(right - left, 0)
    area = tl.where(shown, wide * tl.maximum(bottom - top, 0), 0)
    wide = tl.maximum(wide, 1)
    ca = (sbb / det)[:, None]
    cb = (-sab / det)[:, None]
    cc = (saa / det)[:, None]
    image = sums + tl.program_id(1).to(tl.int64) * 5 * height * width
    for first in range(0, tl.max(area), PIXELS):
        at = first + tl.arange(0, PIXELS)[None, :]
        row = top[:, None] + at // wide[:, None]
        col = left[:, None] + at % wide[:, None]
        du = col.to(tl.float32) - u[:, None]
        dv = row.to(tl.float32) - v[:, None]
        qu = ca * du + cb * dv
        qv = cb * du + cc * dv
        distance2 = qu * du + qv * dv
        inside = (at < area[:, None]) & (distance2 <= reach[:, None])
        g = tl.where(inside, alpha[:, None] * tl.exp(-0.5 * distance2), 0.0)
        w = g / (1.0 - g)
        pixel = image + row * width + col
        plane = height * width
        tl.atomic_add(pixel, tl.log(1.0 - g), mask=inside, sem="relaxed")
        tl.atomic_add(pixel + plane, w * qu, mask=inside, sem="relaxed")
        tl.atomic_add(pixel + 2 * plane, w * qv, mask=inside, sem="relaxed")
        tl.atomic_add(pixel + 3 * plane, w * qu * iz[:, None], mask=inside, sem="relaxed")
        tl.atomic_add(pixel + 4 * plane, w * qv * iz[:, None], mask=inside, sem="relaxed")


@triton.jit
def _level_set_row(sums, outline, row_start, seen, of, cameras, pivots, rows, height, width, reach, reach_next,
                   reach_final, STATS: tl.constexpr, WIDTH: tl.constexpr, LEVEL: tl.constexpr,
                   MIN_SLOPE: tl.constexpr, AGREE: tl.constexpr):
    """One program: the crossings of one image row, to the right or downwards, in one image; writes sums of its own."""
    row = tl.program_id(0)
    down = tl.program_id(1)
    b = tl.program_id(2)
    plane = height * width
    image = sums + b.to(tl.int64) * 5 * plane
    query = tl.load(of + b).to(tl.int64)
    row_start += query * (height + 1)
    seen += query * plane
    camera = cameras + 4 * b
    pivot = pivots + 3 * b
    out = rows + ((b * 2 + down) * height + row) * STATS
    # The query's points that any point of this row may reach: y lies in row..row + 1.
    start = tl.load(row_start + tl.maximum(tl.floor(row - reach).to(tl.int32) - 1, 0))
    stop = tl.load(row_start + tl.minimum(tl.ceil(row + reach).to(tl.int32) + 3, height))
    col = tl.arange(0, WIDTH)
    inside = (col < width - 1 + down) & (row < height - down)
    near = image + row * width + col
    far = near + 1 + down * (width - 1)
    m = 1.0 - tl.exp(tl.load(near, mask=inside, other=0.0))
    m2 = 1.0 - tl.exp(tl.load(far, mask=inside, other=0.0))
    crosses = inside & ((m >= LEVEL) != (m2 >= LEVEL))
    share = tl.where(crosses, (LEVEL - m) / tl.where(crosses, m2 - m, 1.0), 0.0)
    x = col + (1 - down) * share
    y = row + down * share
    t = 1.0 - m
    t2 = 1.0 - m2
    wu = (1.0 - share) * t * tl.load(near + plane, mask=crosses, other=0.0) \
        + share * t2 * tl.load(far + plane, mask=crosses, other=0.0)
    wv = (1.0 - share) * t * tl.load(near + 2 * plane, mask=crosses, other=0.0) \
        + share * t2 * tl.load(far + 2 * plane, mask=crosses, other=0.0)
    wuz = (1.0 - share) * t * tl.load(near + 3 * plane, mask=crosses, other=0.0) \
        + share * t2 * tl.load(far + 3 * plane, mask=crosses, other=0.0)
    wvz = (1.0 - share) * t * tl.load(near + 4 * plane, mask=crosses, other=0.0) \
        + share * t2 * tl.load(far + 4 * plane, mask=crosses, other=0.0)
    slope = tl.sqrt(wu * wu + wv * wv)
    at = (y + 0.5).to(tl.int32) * width + (x + 0.5).to(tl.int32)
    kept = crosses & (slope > MIN_SLOPE) & (tl.load(seen + at, mask=crosses, other=0) > 0)
    inverse = tl.where(kept, 1.0 / tl.maximum(slope, MIN_SLOPE), 0.0)
    nx = wu * inverse
    ny = wv * inverse

    best = tl.zeros_like(x) + reach * reach
    e = tl.zeros_like(x)
    found = kept & False
    last = tl.where(tl.max(kept.to(tl.int32)) > 0, stop, start)
    for j in range(start, last):
        qx = tl.load(outline + 4 * j)
        qy = tl.load(outline + 4 * j + 1)
        qnx = tl.load(outline + 4 * j + 2)
        qny = tl.load(outline + 4 * j + 3)
        dx = qx - x
        dy = qy - y
        d2 = dx * dx + dy * dy
        nearer = kept & (d2 < best) & (nx * qnx + ny * qny > AGREE)
        best = tl.where(nearer, d2, best)
        e = tl.where(nearer, dx * qnx + dy * qny, e)
        found = found | nearer
    distance = tl.where(found, tl.sqrt(best), 1e9)

    fx, fy, cx, cy = tl.load(camera), tl.load(camera + 1), tl.load(camera + 2), tl.load(camera + 3)
    px, py, pz = tl.load(pivot), tl.load(pivot + 1), tl.load(pivot + 2)
    rx = (x - cx) / fx
    ry = (y - cy) / fy
    wu = nx * fx
    wv = ny * fy
    j0 = wuz * inverse * fx
    j1 = wvz * inverse * fy
    j2 = -(rx * j0 + ry * j1)
    j3 = -(rx * ry) * wu - (1.0 + ry * ry) * wv + j1 * pz - j2 * py
    j4 = (1.0 + rx * rx) * wu + (rx * ry) * wv - j0 * pz + j2 * px
    j5 = rx * wv - ry * wu + j0 * py - j1 * px
    J = (j0, j1, j2, j3, j4, j5)
    far_off = tl.minimum(distance / reach, 1.0)
    w = 1.0 - far_off * far_off
    w = tl.where(kept, w * w, 0.0)
    for i in tl.static_range(6):
        for k in tl.static_range(i, 6):
            tl.store(out + i * 6 - i * (i - 1) // 2 + k - i, tl.sum(w * J[i] * J[k]))
        tl.store(out + 21 + i, tl.sum(w * J[i] * e))
    tl.store(out + 27, tl.sum(w))
    tl.store(out + 28, tl.sum(w * e * e))
    tl.store(out + 29, tl.sum(kept.to(tl.float32)))
    tl.store(out + 30, tl.sum(_loss(distance, reach, kept)))
    tl.store(out + 31, tl.sum(_loss(distance, reach_next, kept)))
    tl.store(out + 32, tl.sum(_loss(distance, reach_final, kept)))
    tl.store(out + 33, tl.sum(tl.where(kept, tl.minimum(distance, reach_final), 0.0)))


@triton.jit
def _loss(distance, reach, kept):
    """Tukey's loss, 0..1."""
    d = tl.minimum(distance / reach, 1.0)
    left = 1.0 - d * d
    return tl.where(kept, 1.0 - left * left * left, 0.0)

