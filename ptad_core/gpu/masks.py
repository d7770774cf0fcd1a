"""Differentiable masks on a device, by this project's own sums: the fast renderer of ``pose.descent``."""

from __future__ import annotations

import torch

from ptad_core.gaussians import Gaussians
from ptad_core.gpu import splat_sums
from ptad_core.gpu.splat_sums import DeviceGaussians, mask_and_flow
from ptad_core.rendering.differentiable import FlowMasks


def device_masks(gaussians: Gaussians, device: str) -> FlowMasks:
    """Return a renderer of all poses of a batch at once; the Gaussians are uploaded here."""
    where = torch.device(device)
    uploaded = DeviceGaussians.upload(gaussians, where)
    if where.type == "cuda":
        from ptad_core.gpu import kernels
        sums = kernels.splat_sums
    else:
        sums = splat_sums.splat_sums

    def render_flow(poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int,
                    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows = poses[:, :3].float().contiguous()
        return mask_and_flow(sums(uploaded, cameras.float().contiguous(), rows, height, width))

    return FlowMasks(render_flow, where)
