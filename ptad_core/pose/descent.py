"""The paper's optimisation (Sec. 3.2, Eq. 4-7): Adam on the L1 distance of masks over a screw motion of the part.

Any ``MaskRenderer`` will do, and a batch of starts, each with its own mask and camera, is descended at once: on a GPU
nothing is read back before the last step.
"""

from __future__ import annotations

import torch

from ptad_core.rendering.differentiable import MaskRenderer

SERIES_BELOW = 1e-2
"""Squared angles below this go through series: the closed forms of Eq. 5 have no derivative at 0."""


def descend(render: MaskRenderer, targets: torch.Tensor, cameras: torch.Tensor, T_start: torch.Tensor,
            centre: torch.Tensor, diameter: float, steps: int, learning_rate: float, start_angle: float,
            ) -> tuple[torch.Tensor, torch.Tensor]:
    """Run Adam from each start; return the (B, 4, 4) poses of the lowest loss with their (B,) losses.

    Args:
        render: the part's renderer; all tensors are on its device, and float64 but the targets.
        targets: (B, H, W) query masks.
        cameras: (B, 4) fx, fy, cx, cy.
        T_start: (B, 4, 4) T_camera_part.
        centre: (3,) what the motion turns about, part frame.
        diameter: the motion's unit of length, metres.
        steps: of Adam.
        learning_rate: of Adam.
        start_angle: θ at the first step; ω and v start at 0, so the motion starts at none.
    """
    parameters = torch.zeros((len(T_start), 7), dtype=torch.float64, device=render.device)
    parameters[:, 6] = start_angle
    optimiser = torch.optim.Adam([parameters.requires_grad_()], lr=learning_rate)
    best, lowest = T_start, torch.full_like(T_start[:, 0, 0], torch.inf)
    for _ in range(steps):
        poses = moved(T_start, centre, diameter, parameters)
        losses = mask_loss(render(poses, cameras, *targets.shape[1:]), targets)
        (parameters.grad,) = torch.autograd.grad(losses.sum(), parameters)
        better = losses.detach() < lowest
        best = torch.where(better[:, None, None], poses.detach(), best)
        lowest = torch.where(better, losses.detach().to(lowest), lowest)
        optimiser.step()
    return best, lowest


def mask_loss(masks: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return Eq. 7: the (B,) mean absolute differences of (B, H, W) masks."""
    return (masks - targets).abs().mean(dim=(1, 2))


def moved(T_start: torch.Tensor, centre: torch.Tensor, diameter: float, parameters: torch.Tensor) -> torch.Tensor:
    """Return the (B, 4, 4) poses that (B, 7) screw parameters make of starts."""
    R, shift = screw_motion(parameters)
    turned = T_start[:, :3, :3] @ R
    # In the part's coordinates the motion is p -> R (p - centre) + diameter · shift + centre.
    t = T_start[:, :3, :3] @ (diameter * shift + centre)[:, :, None] + T_start[:, :3, 3:] - turned @ centre[:, None]
    return torch.cat([torch.cat([turned, t], dim=2), T_start[:, 3:]], dim=1)


def screw_motion(parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (B, 3, 3) rotations and (B, 3) shifts of exp([S]θ) for (B, 7) parameters ω, v, θ.

    These are Eq. 4-6 where ω has unit length, and rigid motions for any.
    """
    w, v = parameters[:, :3] * parameters[:, 6:], parameters[:, 3:6] * parameters[:, 6:]
    zero = torch.zeros_like(w[:, 0])
    x, y, z = w.unbind(1)
    W = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    a, b, c = (k[:, None, None] for k in _rodrigues((w * w).sum(1)))
    eye = torch.eye(3, dtype=w.dtype, device=w.device)
    return eye + a * W + b * W @ W, ((eye + b * W + c * W @ W) @ v[:, :, None])[:, :, 0]


def _rodrigues(angle2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """sin(φ)/φ, (1 - cos(φ))/φ² and (φ - sin(φ))/φ³ of squared angles, with derivatives everywhere."""
    small = angle2 < SERIES_BELOW
    s, safe = torch.where(small, angle2, 0), torch.where(small, 1, angle2)
    angle = safe.sqrt()
    series = (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72))),
              (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90)))) / 2,
              (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110)))) / 6)
    closed = (torch.sin(angle) / angle, (1 - torch.cos(angle)) / safe, (angle - torch.sin(angle)) / (safe * angle))
    a, b, c = (torch.where(small, *pair) for pair in zip(series, closed, strict=True))
    return a, b, c
