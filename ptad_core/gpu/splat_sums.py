"""Masks and flow sums of many poses at once, in torch: what ``rendering.kernels`` computes for one.

A mask needs no depth order: 1 - Π(1 - α_i) = 1 - exp(Σ log(1 - α_i)), so that splats may be added in any order.
Autograd goes through it: a mask's gradient by the pose may be had from here, shapes of the splats included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ptad_core.gaussians import Gaussians
from ptad_core.rendering.kernels import LOW_PASS_PX2, MAX_ALPHA, MIN_ALPHA, NEAR_M

CHANNELS = 5
"""Of the sums: log(1 - α), then the four of ``rendering.kernels.splat_flow``."""

EDGE_ON_PX4 = 1e-12
"""A splat whose plain covariance has a smaller determinant is far below ``MIN_ALPHA``; its root has a derivative."""


@dataclass(frozen=True, slots=True)
class DeviceGaussians:
    """Gaussians on a device, uploaded once: (n, 3) means, (n, 2, 3) tangents, (n,) opacities, (n, 3) normals.

    All float32 and contiguous.
    """

    means: torch.Tensor
    tangents: torch.Tensor
    opacities: torch.Tensor
    normals: torch.Tensor

    @classmethod
    def upload(cls, gaussians: Gaussians, device: torch.device) -> DeviceGaussians:
        """Copy to a device."""
        return cls(*(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)).to(device)
                     for a in (gaussians.means, gaussians.tangents, gaussians.opacities, gaussians.normals)))

    def __len__(self) -> int:
        return len(self.means)


def splat_sums(gaussians: DeviceGaussians, cameras: torch.Tensor, poses: torch.Tensor, height: int, width: int,
               active: torch.Tensor | None = None) -> torch.Tensor:
    """Return the (B, 5, H, W) sums of the Gaussians as seen from each pose.

    Args:
        gaussians: in the part frame.
        cameras: (B, 4) fx, fy, cx, cy of each.
        poses: (B, 3, 4) T_camera_part; poses and cameras have one dtype, that of the result.
        height: of all images.
        width: of all images.
        active: (B,) bool, which poses are rendered; None: all.
    """
    fx, fy, cx, cy = (c[:, None] for c in cameras.unbind(1))
    R, t = poses[:, :, :3], poses[:, :, 3]
    centres = torch.einsum("bij,nj->bni", R, gaussians.means.to(poses)) + t[:, None]
    inverse_z = 1 / centres[..., 2].clamp(min=NEAR_M)
    x, y = centres[..., 0] * inverse_z, centres[..., 1] * inverse_z
    u, v = fx * x + cx, fy * y + cy
    axes = torch.einsum("bij,nkj->bnki", R, gaussians.tangents.to(poses))
    a = (fx * inverse_z)[..., None] * (axes[..., 0] - x[..., None] * axes[..., 2])
    b = (fy * inverse_z)[..., None] * (axes[..., 1] - y[..., None] * axes[..., 2])
    saa, sab, sbb = (a * a).sum(-1), (a * b).sum(-1), (b * b).sum(-1)
    flat = saa * sbb - sab * sab
    saa, sbb = saa + LOW_PASS_PX2, sbb + LOW_PASS_PX2
    det = saa * sbb - sab * sab
    alpha = (gaussians.opacities.to(poses) * (flat.clamp(min=EDGE_ON_PX4) / det).sqrt()).clamp(max=float(MAX_ALPHA))
    seen = (alpha >= float(MIN_ALPHA)) & (centres[..., 2] >= NEAR_M)
    if active is not None:
        seen = seen & active[:, None]
    reach = 2 * torch.log((alpha / float(MIN_ALPHA)).clamp(min=1))
    left, right = _span(u, (reach * saa).sqrt(), width)
    top, bottom = _span(v, (reach * sbb).sqrt(), height)
    columns = (right - left).clamp(min=0)
    area = torch.where(seen, columns * (bottom - top).clamp(min=0), 0)

    # One entry per splat and pixel of its box.
    which = torch.repeat_interleave(torch.arange(area.numel(), device=area.device), area.flatten())
    first = (torch.cumsum(area.flatten(), 0) - area.flatten())[which]
    within = torch.arange(len(which), device=area.device) - first
    wide = columns.flatten()[which]
    row, col = top.flatten()[which] + within // wide, left.flatten()[which] + within % wide
    du, dv = col.to(poses) - u.flatten()[which], row.to(poses) - v.flatten()[which]
    qu = (sbb / det).flatten()[which] * du - (sab / det).flatten()[which] * dv
    qv = (saa / det).flatten()[which] * dv - (sab / det).flatten()[which] * du
    distance2 = qu * du + qv * dv
    g = alpha.flatten()[which] * torch.exp(-0.5 * distance2)
    g = torch.where(distance2 <= reach.flatten()[which], g, 0)
    w = g / (1 - g)
    iz = inverse_z.flatten()[which]
    at = (which // len(gaussians) * height + row) * width + col
    empty = torch.zeros(len(poses) * height * width, dtype=poses.dtype, device=poses.device)
    sums = [empty.scatter_add(0, at, v) for v in (torch.log1p(-g), w * qu, w * qv, w * qu * iz, w * qv * iz)]
    return torch.stack(sums).reshape(CHANNELS, len(poses), height, width).transpose(0, 1).contiguous()


def mask_and_flow(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (B, H, W) masks and (B, 4, H, W) flow, as ``rendering.splat.render_mask_flow`` has them."""
    through = torch.exp(sums[:, 0])
    return 1 - through, sums[:, 1:] * through[:, None]


def _span(middle: torch.Tensor, half: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and one-past-last pixel within ``half`` of ``middle``, inside 0..size."""
    # Beyond the image nothing counts; the clamp keeps far projections within the range of integers.
    first = torch.ceil((middle - half).clamp(-1.0, float(size))).clamp(min=0).long()
    last = torch.floor((middle + half).clamp(-1.0, float(size))).clamp(max=size - 1).long() + 1
    return first, last
