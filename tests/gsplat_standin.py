"""A stand-in for gsplat's ``rasterization`` (1.5), from its documentation: signature, conventions and results.

Every splat at every pixel, in torch, differentiable; for small images. It insists on what gsplat insists on.
"""

from __future__ import annotations

import torch

MIN_ALPHA, MAX_ALPHA = 1 / 255, 0.999


def rasterization(means: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor,
                  colors: torch.Tensor, viewmats: torch.Tensor, Ks: torch.Tensor, width: int, height: int,
                  near_plane: float = 0.01, far_plane: float = 1e10, radius_clip: float = 0.0, eps2d: float = 0.3,
                  sh_degree: int | None = None, packed: bool = True, tile_size: int = 16,
                  backgrounds: torch.Tensor | None = None, render_mode: str = "RGB", sparse_grad: bool = False,
                  absgrad: bool = False, rasterize_mode: str = "classic",
                  channel_chunk: int = 32) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Return (C, H, W, D) colours or depths, (C, H, W, 1) alphas, and what came in between."""
    n, cameras = len(means), len(viewmats)
    given = {"means": (means, (n, 3)), "quats": (quats, (n, 4)), "scales": (scales, (n, 3)),
             "opacities": (opacities, (n,)), "viewmats": (viewmats, (cameras, 4, 4)), "Ks": (Ks, (cameras, 3, 3))}
    for name, (tensor, shape) in given.items():
        assert tensor.shape == shape and tensor.dtype == torch.float32 and tensor.is_contiguous(), name
    assert sh_degree is None and colors.shape[:-1] == (n,) and render_mode in {"RGB", "D", "ED"}
    assert not (packed or sparse_grad or absgrad) and backgrounds is None and radius_clip == 0.0
    assert (tile_size, channel_chunk) == (16, 32) and rasterize_mode in {"classic", "antialiased"}
    assert torch.equal(viewmats[:, 3].detach(), torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(cameras, 4))
    axes = rotations(quats) * scales[:, None, :]
    images = [_one(means, axes, opacities, colors, T, K, (width, height), (near_plane, far_plane), eps2d,
                   render_mode, rasterize_mode == "antialiased") for T, K in zip(viewmats, Ks, strict=True)]
    return torch.stack([i[0] for i in images]), torch.stack([i[1] for i in images]), {}


def rotations(quats: torch.Tensor) -> torch.Tensor:
    """(n, 3, 3) of w, x, y, z, of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=1).reshape(-1, 3, 3)


def _one(means: torch.Tensor, axes: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, T: torch.Tensor,
         K: torch.Tensor, size: tuple[int, int], planes: tuple[float, float], eps2d: float, render_mode: str,
         antialiased: bool) -> tuple[torch.Tensor, torch.Tensor]:
    centres = means @ T[:3, :3].T + T[:3, 3]
    kept = (centres[:, 2] >= planes[0]) & (centres[:, 2] <= planes[1])
    order = torch.argsort(centres[:, 2].detach())
    order = order[kept[order]]
    (x, y, z), axes = centres[order].unbind(1), T[:3, :3] @ axes[order]
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    a = fx / z[:, None] * (axes[:, 0] - (x / z)[:, None] * axes[:, 2])
    b = fy / z[:, None] * (axes[:, 1] - (y / z)[:, None] * axes[:, 2])
    saa, sab, sbb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
    plain = (saa * sbb - sab * sab).clamp(min=1e-12)
    saa, sbb = saa + eps2d, sbb + eps2d
    det = saa * sbb - sab * sab
    opacity = opacities[order] * (plain / det).sqrt() if antialiased else opacities[order]
    rows, cols = torch.meshgrid(torch.arange(size[1]) + 0.5, torch.arange(size[0]) + 0.5, indexing="ij")
    du = (fx * x / z + cx)[:, None] - cols.reshape(1, -1)
    dv = (fy * y / z + cy)[:, None] - rows.reshape(1, -1)
    sigma = 0.5 * ((sbb / det)[:, None] * du * du + (saa / det)[:, None] * dv * dv) - (sab / det)[:, None] * du * dv
    alpha = (opacity[:, None] * torch.exp(-sigma)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha < MIN_ALPHA, 0, alpha)
    log_through = torch.log1p(-alpha)
    summed = torch.cumsum(log_through, dim=0)
    weights = alpha * torch.exp(summed - log_through)
    values = colors[order] if render_mode == "RGB" else z[:, None]
    image, through = weights.T @ values, torch.exp(log_through.sum(dim=0))[:, None]
    if render_mode == "ED":
        image = image / (1 - through).clamp(min=1e-10)
    return image.reshape(size[1], size[0], -1), (1 - through).reshape(size[1], size[0], 1)
