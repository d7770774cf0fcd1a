"""Mask, depth and normals at one pose, in torch: what ``rendering.splat.render`` computes, in tiles of the image.

Depth needs order: a splat counts by what the nearer ones let through, and ends a layer where it lies behind it. So the
splats are sorted by depth once, each is listed in the tiles that it reaches, and every tile goes through its own list
from the front, all tiles at once. ``surface_kernel`` does the last with one program for each tile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ptad_core.camera import Camera
from ptad_core.gpu.splat_sums import DeviceGaussians
from ptad_core.rendering.kernels import LOW_PASS_PX2, MAX_ALPHA, MIN_ALPHA, NEAR_M, SURFACE_TRANSMITTANCE

TILE_PX = 8
"""Small, so that a list holds little that its pixels do not need; a warp has two of a tile's pixels for each thread."""
OPAQUE = 0.01
"""Behind what lets through less than this nothing is blended into depth and normal."""
FACING = 0.1
"""A disk seen further from square on than this has no slope: it would run off to the horizon."""

# Columns of a projected splat, and planes of a composite.
U, V, Z, CA, CB, CC, ALPHA, REACH, SLOPE_X, SLOPE_Y, NX, NY, NZ = range(13)
COLUMNS = 13
THROUGH, WEIGHT, DEPTH, NORMAL = 0, 1, 2, slice(3, 6)
PLANES = 6


@dataclass(frozen=True, slots=True)
class Tiles:
    """Splats of one view, and which of them each tile needs.

    Attributes:
        table: (n, COLUMNS) float32, contiguous; nearest first.
        splats: (m,) int32 rows of the table: the lists of all tiles one after the other, each nearest first.
        starts: (tiles + 1,) int32, where each tile's list begins in ``splats``; row by row.
        height: of the image.
        width: of the image.
    """

    table: torch.Tensor
    splats: torch.Tensor
    starts: torch.Tensor
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.height // TILE_PX), -(-self.width // TILE_PX)


Composite = Callable[[Tiles, float], torch.Tensor]
"""Splats in tiles, and how deep a layer is -> (PLANES, H, W) float32 sums."""


def render(gaussians: DeviceGaussians, camera: Camera, T: torch.Tensor, layer_m: float, composite: Composite,
           ) -> torch.Tensor:
    """Return the (5 H W,) mask, depths and (H, W, 3) normals, one after the other: one transfer brings them.

    Args:
        gaussians: in the part frame.
        camera: of the image.
        T: (3, 4) float64 T_camera_part, on the Gaussians' device.
        layer_m: splats this near to each other belong to one surface.
        composite: blends.
    """
    planes = composite(into_tiles(gaussians, camera, T), layer_m)
    mask, weight = 1 - planes[THROUGH], planes[WEIGHT]
    hidden = (mask < 0.5) | (weight <= 0)
    depth = torch.where(hidden, torch.nan, planes[DEPTH] / weight)
    normals = planes[NORMAL].permute(1, 2, 0)
    normals = normals / torch.linalg.vector_norm(normals, dim=2, keepdim=True)
    normals = torch.where(hidden[..., None], torch.nan, normals)
    return torch.cat([mask.flatten(), depth.flatten(), normals.flatten()])


def into_tiles(gaussians: DeviceGaussians, camera: Camera, T: torch.Tensor) -> Tiles:
    """Project, sort by depth, and list the splats of each tile; the host waits once, for the lists' length."""
    table, rx, ry = _projected(gaussians, camera, T)
    order = torch.argsort(table[:, Z], stable=True)
    table, rx, ry = table[order].contiguous(), rx[order], ry[order]
    left, right = _tiles_between(table[:, U], rx, camera.width)
    top, bottom = _tiles_between(table[:, V], ry, camera.height)
    columns = right - left
    count = columns * (bottom - top)
    which = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    within = torch.arange(len(which), device=which.device) - (torch.cumsum(count, 0) - count)[which]
    down, across = -(-camera.height // TILE_PX), -(-camera.width // TILE_PX)
    tile = (top[which] + within // columns[which]) * across + left[which] + within % columns[which]
    tile, by_tile = torch.sort(tile, stable=True)  # within a tile the order stays that of depth
    starts = torch.searchsorted(tile, torch.arange(down * across + 1, device=tile.device))
    return Tiles(table, which[by_tile].int(), starts.int(), camera.height, camera.width)


def composite(tiles: Tiles, layer_m: float) -> torch.Tensor:
    """Blend the splats of all tiles, front to back; see ``Composite``."""
    down, across = tiles.shape
    table, starts = tiles.table, tiles.starts.long()
    at = torch.arange(TILE_PX * TILE_PX, device=table.device)
    tile = torch.arange(down * across, device=table.device)[:, None]
    x = ((tile % across) * TILE_PX + at % TILE_PX).to(table.dtype)
    y = ((tile // across) * TILE_PX + at // TILE_PX).to(table.dtype)
    through, before = torch.ones_like(x), torch.ones_like(x)
    weight, depth, nx, ny, nz = (torch.zeros_like(x) for _ in range(5))
    longest = int((starts[1:] - starts[:-1]).max())
    for k in range(longest):
        there = (starts[:-1] + k < starts[1:])[:, None]
        row = table[tiles.splats[(starts[:-1] + k).clamp(max=len(tiles.splats) - 1)].long()]
        u, v, z, ca, cb, cc, alpha, reach, slope_x, slope_y, *n = (c[:, None] for c in row.unbind(1))
        du, dv = x - u, y - v
        distance2 = ca * du * du + 2 * cb * du * dv + cc * dv * dv
        g = torch.where(there & (distance2 <= reach), alpha * torch.exp(-0.5 * distance2), 0)
        here = torch.minimum(torch.maximum(z + slope_x * du + slope_y * dv, z - layer_m), z + layer_m)
        behind = (weight > 0) & ((here - layer_m) * weight > depth)
        veil = behind & (before >= float(SURFACE_TRANSMITTANCE))
        w = torch.where((before >= OPAQUE) & (~behind | veil), before * g, 0)
        veil &= w > 0
        weight, depth, nx, ny, nz = (
            torch.where(veil, 0, total) + w * value for total, value in
            zip((weight, depth, nx, ny, nz), (torch.ones_like(here), here, *n), strict=True))
        before = torch.where(before >= OPAQUE, before * (1 - g), before)
        through = through * (1 - g)
    planes = torch.stack([through, weight, depth, nx, ny, nz]).reshape(PLANES, down, across, TILE_PX, TILE_PX)
    whole = planes.transpose(2, 3).reshape(PLANES, down * TILE_PX, across * TILE_PX)
    return whole[:, :tiles.height, :tiles.width]


def _projected(gaussians: DeviceGaussians, camera: Camera, T: torch.Tensor,
               ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(n, COLUMNS) float32 table of all splats, and (n,) how far each reaches to the side and up; negative: not seen.

    In double precision, as on the CPU: what is cut, and which of two splats is nearer, is then the same.
    """
    R, t = T[:, :3], T[:, 3]
    centres = gaussians.means.double() @ R.T + t
    z = centres[:, 2]
    inverse_z = 1 / z.clamp(min=NEAR_M)
    x, y = centres[:, 0] * inverse_z, centres[:, 1] * inverse_z
    u, v = camera.fx * x + camera.cx, camera.fy * y + camera.cy
    axes = gaussians.tangents.double() @ R.T
    a = camera.fx * inverse_z[:, None] * (axes[:, :, 0] - x[:, None] * axes[:, :, 2])
    b = camera.fy * inverse_z[:, None] * (axes[:, :, 1] - y[:, None] * axes[:, :, 2])
    saa, sab, sbb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
    flat = (saa * sbb - sab * sab).clamp(min=0)
    saa, sbb = saa + LOW_PASS_PX2, sbb + LOW_PASS_PX2
    det = saa * sbb - sab * sab
    alpha = (gaussians.opacities.double() * (flat / det).sqrt()).clamp(max=float(MAX_ALPHA))
    reach = 2 * torch.log((alpha / float(MIN_ALPHA)).clamp(min=1))
    shown = (alpha >= float(MIN_ALPHA)) & (z >= NEAR_M)
    rx, ry = (torch.where(shown, (reach * s).sqrt(), -torch.inf) for s in (saa, sbb))
    # The disk's plane gives the depth away from its centre: dz/du, dz/dv.
    normals = gaussians.normals.double() @ R.T
    facing = normals[:, 0] * x + normals[:, 1] * y + normals[:, 2]
    per_px = torch.where(facing.abs() > FACING, -z / facing, 0)
    slope_x, slope_y = per_px * normals[:, 0] / camera.fx, per_px * normals[:, 1] / camera.fy
    normals = torch.where((facing * z > 0)[:, None], -normals, normals)
    table = torch.stack([u, v, z, sbb / det, -sab / det, saa / det, alpha, reach, slope_x, slope_y,
                         *normals.unbind(1)], dim=1)
    return table.float(), rx, ry


def _tiles_between(middle: torch.Tensor, half: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and one-past-last tile that ``half`` of ``middle`` reaches into; equal where none."""
    low, high = middle - half, middle + half
    outside = (half < 0) | (high < 0) | (low > size - 1)
    first, last = (torch.floor(end.clamp(0.0, size - 1.0) / TILE_PX).long() for end in (low, high))
    return first, torch.where(outside, first, last + 1)
