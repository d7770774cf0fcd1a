"""Pairs of bytes -> batches of floats, each time looking different: mirrored, turned, recoloured, noisy, cluttered."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ptad_core.detection.network.inputs import DEPTH, IMAGE, MASK, NORMAL, NOWHERE, SEEN

CLUTTER = 0.35
"""Share of pictures whose background is exchanged."""
MASK_LOST = 0.15
"""Share of pictures whose object mask is disturbed, so that the network looks at the picture too."""


def as_input(pairs: Tensor) -> Tensor:
    """Return (N, 9, S, S) bytes as floats 0..1."""
    return pairs.float().div_(255.0)


def augment(pairs: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return (N, 9, S, S) bytes and (N, 2, s, s) bytes as floats 0..1, augmented."""
    x, y = as_input(pairs), as_input(targets)
    for k in range(len(x)):
        x[k], y[k] = _turned(x[k], y[k], rng)
        x[k, IMAGE] = _recoloured(x[k, IMAGE], rng)
        if rng.random() < CLUTTER:
            _clutter(x[k], rng)
        if rng.random() < MASK_LOST:
            _disturb_mask(x[k], rng)
    return x, y


def _turned(x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror and turn by quarters, the normals with the pixels they stand on."""
    x = x.clone()
    nx, ny = x[NORMAL][:2].clone()
    known = nx > NOWHERE
    if rng.random() < 0.5:
        x[6] = torch.where(known, 256 / 255 - nx, nx)
        x, y = x.flip(2), y.flip(2)
    for _ in range(int(rng.integers(4))):  # a quarter: x' = y, y' = -x
        known, nx, ny = x[6] > NOWHERE, x[6].clone(), x[7].clone()
        x[6], x[7] = ny, torch.where(known, 256 / 255 - nx, nx)
        x, y = x.rot90(1, (1, 2)), y.rot90(1, (1, 2))
        x = x.clone()
    return x, y


def _recoloured(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Exchange channels, change light and contrast, fade to grey, blur, add noise; (3, S, S) in 0..1."""
    image = image[torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.15:
        image = image.mean(0, keepdim=True).expand(3, -1, -1)
    gain = torch.from_numpy(rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3)).float()[:, None, None]
    image = (image * gain).clamp(0, 1) ** float(np.exp(rng.uniform(-0.35, 0.35)))
    if rng.random() < 0.2:
        image = functional.avg_pool2d(image[None], 3, 1, 1)[0]
    if rng.random() < 0.5:
        image = image + torch.randn(image.shape) * float(rng.uniform(0.0, 0.03))
    return image.clamp(0, 1)


def _clutter(x: Tensor, rng: np.random.Generator) -> None:
    """Put coarse and fine blotches of colour where neither picture nor reference has the part, in place."""
    size = x.shape[-1]
    part = torch.maximum(x[SEEN], x[MASK])
    part = functional.max_pool2d(part[None], 5, 1, 2)[0]
    ground = torch.from_numpy(rng.random((3, 1, 1))).float().expand(3, size, size).clone()
    for cells in (4, 12, 40):
        blotches = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.2), (1, 3, cells, cells))).float()
        mode = "bilinear" if rng.random() < 0.5 else "nearest"
        ground += functional.interpolate(blotches, size=(size, size), mode=mode)[0]
    x[IMAGE] = torch.where(part > 0.02, x[IMAGE], ground.clamp(0, 1))


def _disturb_mask(x: Tensor, rng: np.random.Generator) -> None:
    """Take the object mask away, or tear blotches into it, in place."""
    if rng.random() < 0.3:
        x[SEEN] = x[MASK]
        return
    cells = int(rng.integers(6, 24))
    noise = torch.from_numpy(rng.normal(size=(1, 1, cells, cells))).float()
    noise = functional.interpolate(noise, size=x.shape[-2:], mode="bilinear")[0, 0]
    limit = float(rng.uniform(1.3, 2.2))
    x[SEEN] = torch.where(noise > limit, 0.0, x[SEEN])


def resized(pairs: NDArray[np.uint8], targets: NDArray[np.uint8], size_px: int,
            ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (N, 9, S, S) and (N, 2, S / 4, S / 4) bytes at another size of crop.

    Of depth and normals the nearest pixel is taken, as :func:`ptad_core.detection.learned.ask` does.
    """
    if size_px == pairs.shape[-1]:
        return pairs, targets
    shown, surface = _planes(pairs[:, :DEPTH], size_px, cv2.INTER_AREA), pairs[:, DEPTH:]
    return (np.concatenate([shown, _planes(surface, size_px, cv2.INTER_NEAREST_EXACT)], axis=1),
            _planes(targets, size_px // 4, cv2.INTER_AREA))


def _planes(stack: NDArray[np.uint8], size: int, interpolation: int) -> NDArray[np.uint8]:
    planes = [cv2.resize(plane, (size, size), interpolation=interpolation)
              for plane in stack.reshape(-1, *stack.shape[2:])]
    return np.stack(planes).reshape(*stack.shape[:2], size, size).astype(np.uint8, copy=False)
