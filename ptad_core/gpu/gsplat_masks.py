"""Masks and depths by gsplat, with gradients to the pose: the paper's own renderer, on an NVIDIA GPU.

gsplat sorts the splats and blends them front to back, so it gives the paper's depth (Eq. 8), and its gradient knows how
splats change their shapes. What its conventions ask for:

- ``viewmats`` map the world, here the part, into the camera: they are T_camera_part.
- Its pixel centres lie half a pixel off the whole numbers, ours on them: cx and cy grow by a half.
- Its quaternions are w, x, y, z.
- ``antialiased`` with ``eps2d`` is the low-pass of ``rendering.kernels``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from ptad_core.errors import DeviceError
from ptad_core.gaussians import Gaussians
from ptad_core.rendering.kernels import LOW_PASS_PX2, NEAR_M

PIXEL_CENTRE = 0.5
"""Where gsplat samples a pixel: pixel (0, 0) covers [0, 1] x [0, 1]."""


class GsplatMasks:
    """A ``MaskRenderer`` that is gsplat; the part's Gaussians are uploaded once."""

    def __init__(self, gaussians: Gaussians, device: str = "cuda") -> None:
        """Load gsplat, which compiles its CUDA code the first time.

        Raises:
            DeviceError: if gsplat is not installed, or cannot render here.
        """
        self.device = torch.device(device)
        self._rasterization = _load()
        self._means, self._quaternions, self._scales, self._opacities = (
            torch.from_numpy(np.ascontiguousarray(a)).to(self.device)
            for a in (gaussians.means, gaussians.quaternions_wxyz(), gaussians.scales(), gaussians.opacities))
        self._channel = torch.ones((len(gaussians), 1), dtype=torch.float32, device=self.device)
        try:
            probe = torch.eye(4, dtype=torch.float64, device=self.device)[None]
            self(probe, torch.ones((1, 4), dtype=torch.float64, device=self.device), 16, 16)
        except (RuntimeError, AttributeError, ImportError, OSError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            raise DeviceError(f"gsplat: expected it to render on {device}, it fails: {reason}") from error

    def __call__(self, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return self.render(poses, cameras, height, width)[0]

    def render(self, poses: torch.Tensor, cameras: torch.Tensor, height: int, width: int,
               depth: Literal["D", "ED"] = "D") -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (B, H, W) masks and z-depths of all poses, in one call and one channel.

        Args:
            poses: (B, 4, 4) T_camera_part; both results carry a gradient to them.
            cameras: (B, 4) fx, fy, cx, cy of each; pixel centres at whole numbers.
            height: of all images.
            width: of all images.
            depth: D accumulates it, Σ w z (Eq. 8); ED divides by the mask, which edges need.
        """
        K = torch.zeros((len(cameras), 3, 3), dtype=torch.float32, device=self.device)
        K[:, 0, 0], K[:, 1, 1] = cameras[:, 0], cameras[:, 1]
        K[:, 0, 2], K[:, 1, 2] = cameras[:, 2] + PIXEL_CENTRE, cameras[:, 3] + PIXEL_CENTRE
        K[:, 2, 2] = 1
        depths, masks, _ = self._rasterization(
            self._means, self._quaternions, self._scales, self._opacities, self._channel, poses.float().contiguous(), K,
            width, height, near_plane=NEAR_M, eps2d=LOW_PASS_PX2, packed=False, render_mode=depth,
            rasterize_mode="antialiased")
        return masks[..., 0], depths[..., 0]


def _load() -> Callable[..., Any]:
    if importlib.util.find_spec("gsplat") is None:
        raise DeviceError("gsplat: expected it to be installed (make gpu), it is not")
    try:
        rasterization: Callable[..., Any] = importlib.import_module("gsplat").rasterization
    except Exception as error:  # its import compiles and loads CUDA code, which fails in ways of its own
        reason = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
        raise DeviceError(f"gsplat: expected it to import, it fails: {reason}") from error
    return rasterization
