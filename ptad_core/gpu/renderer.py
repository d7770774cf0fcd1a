"""The reference at a pose, rendered on a device: for the detector, the depth image and the overlay."""

from __future__ import annotations

import numpy as np
import torch

from ptad_core.camera import Camera
from ptad_core.gaussians import Gaussians
from ptad_core.gpu import surface
from ptad_core.gpu.fallback import Fallback
from ptad_core.gpu.splat_sums import DeviceGaussians
from ptad_core.rendering.splat import FRONT_LAYER_IN_DIAMETERS, render
from ptad_core.types import FloatArray, Rendering

MAX_MASK_DIFFERENCE = 0.02
"""A splat's edge (1/255) may count in one precision and not in the other, several of them at one pixel."""
SAME_DEPTH_IN_DIAMETERS = 1e-3
SAME_NORMAL = 1e-2
MAX_SHARE = 0.01
"""Of the pixels that may show another depth or normal: where a layer is on the brink of being another's."""


class DeviceRenderer:
    """Renders one part on a device; a ``rendering.view.Render``."""

    def __init__(self, gaussians: Gaussians, device: str, uploaded: DeviceGaussians | None = None,
                 fallback: Fallback | None = None) -> None:
        """Take the Gaussians where they were ``uploaded`` before, or upload them."""
        self._device = torch.device(device)
        if self._device.type == "cuda":
            from ptad_core.gpu import surface_kernel
            self._composite = surface_kernel.composite
        else:
            self._composite = surface.composite
        self._gaussians = gaussians
        self._uploaded = uploaded or DeviceGaussians.upload(gaussians, self._device)
        self._layer_m = FRONT_LAYER_IN_DIAMETERS * gaussians.diameter_m
        self._fallback = fallback or Fallback()

    def __call__(self, camera: Camera, T_camera_part: FloatArray) -> Rendering | None:
        """Render as ``rendering.splat.render`` does; None where the CPU is to do it."""
        return self._fallback.tried(lambda: self._render(camera, T_camera_part))

    def difference_to_cpu(self, camera: Camera, T: FloatArray) -> str:
        """Render one view on both; '' where they agree, else what differs."""
        ours, theirs = self._render(camera, T), render(self._gaussians, camera, T)
        off = float(np.abs(ours.mask - theirs.mask).max())
        if not off <= MAX_MASK_DIFFERENCE:
            return f"its mask of the surface differs from the CPU's by {off:.3g}, expected {MAX_MASK_DIFFERENCE:g}"
        for what, got, expected, same in (
                ("depth", ours.depth, theirs.depth, SAME_DEPTH_IN_DIAMETERS * self._gaussians.diameter_m),
                ("normal", ours.normals, theirs.normals, SAME_NORMAL)):
            wrong = ~np.isclose(got, expected, rtol=0, atol=same, equal_nan=True).reshape(*got.shape[:2], -1).all(2)
            share = float(wrong.sum() / np.isfinite(theirs.depth).sum())
            if not share <= MAX_SHARE:
                return f"its {what} differs from the CPU's at {share:.1%} of the part, expected {MAX_SHARE:.0%}"
        return ""

    def _render(self, camera: Camera, T: FloatArray) -> Rendering:
        rows = torch.from_numpy(np.ascontiguousarray(T[:3], dtype=np.float64)).to(self._device)
        found = surface.render(self._uploaded, camera, rows, self._layer_m, self._composite).cpu().numpy()
        size, shape = camera.height * camera.width, (camera.height, camera.width)
        return Rendering(found[:size].reshape(shape), found[size:2 * size].reshape(shape),
                         found[2 * size:].reshape(*shape, 3))
