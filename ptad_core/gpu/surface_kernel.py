"""Triton kernel: ``surface.composite``, one program for each tile. Import on a machine with a device only."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ptad_core.gpu.surface import COLUMNS, OPAQUE, PLANES, TILE_PX, Tiles
from ptad_core.rendering.kernels import SURFACE_TRANSMITTANCE


def composite(tiles: Tiles, layer_m: float) -> torch.Tensor:
    """Blend the splats of all tiles, front to back; see ``surface.Composite``."""
    planes = torch.empty((PLANES, tiles.height, tiles.width), dtype=torch.float32, device=tiles.table.device)
    down, across = tiles.shape
    _composite[(across, down)](tiles.table, tiles.splats, tiles.starts, planes, tiles.height, tiles.width, layer_m,
                               COLUMNS, TILE_PX, OPAQUE, float(SURFACE_TRANSMITTANCE), num_warps=1)
    return planes


@triton.jit(do_not_specialize=["height", "width"])  # windows have every size: one compilation serves all
def _composite(table, splats, starts, planes, height, width, layer, COLUMNS: tl.constexpr, TILE: tl.constexpr,
               OPAQUE: tl.constexpr, SURFACE: tl.constexpr):
    """One program: the pixels of a tile in registers, its splats one after the other."""
    tile = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    at = tl.arange(0, TILE * TILE)
    col = tl.program_id(0) * TILE + at % TILE
    row = tl.program_id(1) * TILE + at // TILE
    x = col.to(tl.float32)
    y = row.to(tl.float32)
    through = tl.zeros_like(x) + 1.0
    before = tl.zeros_like(x) + 1.0
    weight = tl.zeros_like(x)
    depth = tl.zeros_like(x)
    nx = tl.zeros_like(x)
    ny = tl.zeros_like(x)
    nz = tl.zeros_like(x)
    start = tl.load(starts + tile)
    stop = tl.load(starts + tile + 1)
    for k in range(start, stop):
        splat = table + tl.load(splats + k) * COLUMNS
        du = x - tl.load(splat)
        dv = y - tl.load(splat + 1)
        z = tl.load(splat + 2)
        ca = tl.load(splat + 3)
        cb = tl.load(splat + 4)
        cc = tl.load(splat + 5)
        alpha = tl.load(splat + 6)
        reach = tl.load(splat + 7)
        distance2 = ca * du * du + 2.0 * cb * du * dv + cc * dv * dv
        g = tl.where(distance2 <= reach, alpha * tl.exp(-0.5 * distance2), 0.0)
        here = z + tl.load(splat + 8) * du + tl.load(splat + 9) * dv
        here = tl.minimum(tl.maximum(here, z - layer), z + layer)
        behind = (weight > 0.0) & ((here - layer) * weight > depth)
        veil = behind & (before >= SURFACE)
        w = tl.where((before >= OPAQUE) & ((behind == 0) | veil), before * g, 0.0)
        kept = tl.where(veil & (w > 0.0), 0.0, 1.0)
        weight = kept * weight + w
        depth = kept * depth + w * here
        nx = kept * nx + w * tl.load(splat + 10)
        ny = kept * ny + w * tl.load(splat + 11)
        nz = kept * nz + w * tl.load(splat + 12)
        before = tl.where(before >= OPAQUE, before * (1.0 - g), before)
        through = through * (1.0 - g)
    plane = height * width
    pixel = planes + row * width + col
    inside = (row < height) & (col < width)
    tl.store(pixel, through, mask=inside)
    tl.store(pixel + plane, weight, mask=inside)
    tl.store(pixel + 2 * plane, depth, mask=inside)
    tl.store(pixel + 3 * plane, nx, mask=inside)
    tl.store(pixel + 4 * plane, ny, mask=inside)
    tl.store(pixel + 5 * plane, nz, mask=inside)
