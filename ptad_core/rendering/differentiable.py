"""Masks as tensors, differentiable by the pose: what gradient descent takes for a renderer. Needs torch.

``FlowMasks`` takes the derivative from the flow sums, in closed form: splats move and keep their shapes. It does so for
the CPU's renderer here and for the device's in ``ptad_core.gpu``; ``gpu.gsplat_masks`` is a renderer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from ptad_core.camera import Camera
from ptad_core.gaussians import Gaussians
from ptad_core.rendering.splat import render_mask_flow

RenderFlow = Callable[[torch.Tensor, torch.Tensor, int, int], tuple[torch.Tensor, torch.Tensor]]
"""(B, 4, 4) poses, (B, 4) cameras, height, width -> (B, H, W) masks and (B, 4, H, W) flow sums."""


class MaskRenderer(Protocol):
    """Renders masks of one part on its ``device``."""

    @property
    def device(self) -> torch.device: ...

    def __call__(self, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return (B, H, W) masks that carry a gradient to the poses.

        Args:
            poses: (B, 4, 4) float64 T_camera_part. The gradient is exact along rigid motions.
            cameras: (B, 4) float64 fx, fy, cx, cy of each; pixel centres at whole numbers.
            height: of all images.
            width: of all images.
        """


class FlowMasks:
    """A ``MaskRenderer`` of anything that renders flow sums."""

    def __init__(self, render_flow: RenderFlow, device: torch.device) -> None:
        self.device = device
        self._render_flow = render_flow

    def __call__(self, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int) -> torch.Tensor:
        masks: torch.Tensor = _ByFlow.apply(poses, cameras, height, width, self._render_flow)  # type: ignore[no-untyped-call]
        return masks


def cpu_masks(gaussians: Gaussians) -> FlowMasks:
    """Return the CPU's renderer."""

    def render_flow(poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int,
                    ) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = [render_mask_flow(gaussians, Camera(fx, fy, cx, cy, width, height), T)
                 for T, (fx, fy, cx, cy) in zip(poses.numpy(), cameras.tolist(), strict=True)]
        return (torch.from_numpy(np.stack([mask for mask, _ in pairs])),
                torch.from_numpy(np.stack([flow for _, flow in pairs])).permute(0, 3, 1, 2))

    return FlowMasks(render_flow, torch.device("cpu"))


def camera_rows(cameras: list[Camera], device: torch.device) -> torch.Tensor:
    """Return (B, 4) float64 fx, fy, cx, cy."""
    return torch.tensor([[c.fx, c.fy, c.cx, c.cy] for c in cameras], dtype=torch.float64, device=device)


class _ByFlow(torch.autograd.Function):
    """Rendering, and ``rendering.splat.mask_jacobian`` transposed."""

    @staticmethod
    def forward(ctx: Any, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int,
                render_flow: RenderFlow) -> torch.Tensor:
        masks, flow = render_flow(poses.detach(), cameras, height, width)
        ctx.save_for_backward(poses, cameras, flow)
        return masks

    @staticmethod
    def backward(ctx: Any, *by_masks: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        poses, cameras, flow = ctx.saved_tensors
        return _by_pose(poses, _by_twist(by_masks[0], flow, cameras)), None, None, None, None


def _by_twist(by_mask: torch.Tensor, flow: torch.Tensor, cameras: torch.Tensor) -> torch.Tensor:
    """(B, 6) derivative by a left twist (v, w) about each camera's centre, from moments over the pixels' rays x, y."""
    height, width = by_mask.shape[1:]
    fx, fy, cx, cy = (c[:, None] for c in cameras.unbind(1))
    x = (torch.arange(width, device=flow.device) - cx) / fx
    y = (torch.arange(height, device=flow.device) - cy) / fy
    X, Y = (torch.stack([torch.ones_like(r), r, r * r], dim=1).to(flow.dtype)[:, None] for r in (x, y))
    # (B, 4, 3, 3): Σ ∂L/∂M · flow · yⁱ xʲ.
    wu, wv, wuz, wvz = (Y @ ((by_mask[:, None] * flow) @ X.mT)).to(cameras.dtype).unbind(1)
    fx, fy = fx[:, 0], fy[:, 0]
    return torch.stack([
        fx * wuz[:, 0, 0], fy * wvz[:, 0, 0], -(fx * wuz[:, 0, 1] + fy * wvz[:, 1, 0]),
        -fx * wu[:, 1, 1] - fy * (wv[:, 0, 0] + wv[:, 2, 0]), fx * (wu[:, 0, 0] + wu[:, 0, 2]) + fy * wv[:, 1, 1],
        fy * wv[:, 0, 1] - fx * wu[:, 1, 0]], dim=1)


def _by_pose(poses: torch.Tensor, by_twist: torch.Tensor) -> torch.Tensor:
    """(B, 4, 4) derivative by the entries of T: with dT = ξ^ T, the derivative by ξ^ times the transpose of T⁻¹."""
    by_motion = torch.zeros_like(poses)
    by_motion[:, :3, 3] = by_twist[:, :3]
    by_motion[:, 2, 1], by_motion[:, 0, 2], by_motion[:, 1, 0] = by_twist[:, 3:].unbind(1)
    R, t = poses[:, :3, :3], poses[:, :3, 3:]
    inverse_transposed = torch.zeros_like(poses)
    inverse_transposed[:, :3, :3] = R
    inverse_transposed[:, 3:, :3] = -t.mT @ R
    inverse_transposed[:, 3, 3] = 1
    return by_motion @ inverse_transposed
