"""Pairs of bytes -> batches of floats, each time looking different.

They are mirrored, turned, recoloured, shaded, painted over, noisy and cluttered, with masks as segmentations err. What
differs between picture and reference stays as it is: nothing that is done depends on the shape that the CAD has.
"""

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
MASK_SHIFTED = 0.2
"""Share of object masks whose rim lies off by a pixel or two, here and there, as that of a segmentation does."""
MIXED, INVERTED = 0.35, 0.06
"""Share of pictures whose channels are mixed with each other, and whose light and dark are exchanged."""
SHADED, PAINTED, STUCK = 0.4, 0.3, 0.15
"""Share of parts over which light falls off, which are painted with bands or blotches, and which bear stickers."""


def as_input(pairs: Tensor) -> Tensor:
    """Return (N, 9, S, S) bytes as floats 0..1."""
    return pairs.float().div_(255.0)


def augment(pairs: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return (N, 9, S, S) bytes and (N, 2, s, s) bytes as floats 0..1, augmented."""
    x, y = as_input(pairs), as_input(targets)
    for k in range(len(x)):
        x[k], y[k] = _turned(x[k], y[k], rng)
        if rng.random() < SHADED:
            x[k, IMAGE] *= _field(x.shape[-1], int(rng.integers(2, 5)), rng).mul_(rng.uniform(0.1, 0.5)).exp_()
        if rng.random() < PAINTED:
            _paint(x[k], rng)
        if rng.random() < STUCK:
            _stick(x[k], rng)
        x[k, IMAGE] = _recoloured(x[k, IMAGE], rng)
        if rng.random() < CLUTTER:
            _clutter(x[k], rng)
        if rng.random() < MASK_LOST:
            _disturb_mask(x[k], rng)
        elif rng.random() < MASK_SHIFTED:
            _shift_rim(x[k], rng)
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
    if rng.random() < MIXED:
        mixer = np.eye(3) + rng.normal(0, 0.25, (3, 3))
        image = torch.einsum("ij,jhw->ihw", torch.from_numpy(mixer / mixer.sum(1, keepdims=True).clip(0.4)).float(),
                             image)
        image = image.clamp(0, 1)
    if rng.random() < INVERTED:
        image = 1 - image
    if rng.random() < 0.15:
        image = image.mean(0, keepdim=True).expand(3, -1, -1)
    gain = torch.from_numpy(rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3)).float()[:, None, None]
    image = (image * gain).clamp(0, 1) ** float(np.exp(rng.uniform(-0.35, 0.35)))
    if rng.random() < 0.2:
        image = functional.avg_pool2d(image[None], 3, 1, 1)[0]
    if rng.random() < 0.5:
        image = image + torch.randn(image.shape) * float(rng.uniform(0.0, 0.03))
    return image.clamp(0, 1)


def _field(size: int, cells: int, rng: np.random.Generator, mode: str = "bicubic") -> Tensor:
    """Return a (size, size) field of random values about 0, of spread 1, with so many bumps along a side."""
    coarse = torch.from_numpy(rng.normal(size=(1, 1, cells, cells))).float()
    return functional.interpolate(coarse, size=(size, size), mode=mode)[0, 0]


def _paint(x: Tensor, rng: np.random.Generator) -> None:
    """Mix a second colour into the part, in bands that bend or in blotches, sharp or soft, in place."""
    size, style = x.shape[-1], int(rng.integers(3))
    if style == 0:
        tone = _field(size, int(rng.integers(3, 24)), rng)
    else:
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(5, 60)
        across = torch.arange(size) / pitch * 2 * np.pi
        way = across[None] * float(np.cos(angle)) + across[:, None] * float(np.sin(angle))
        tone = torch.sin(way + _field(size, 4, rng) * (1.5 if style == 1 else 0.2))
    share = torch.sigmoid((tone - float(rng.normal(0, 0.6))) * float(np.exp(rng.uniform(0.0, 3.0))))
    share = share * float(rng.uniform(0.1, 0.8)) * (x[SEEN] > 0.5)
    light = x[IMAGE].mean(0, keepdim=True) + 0.15  # the paint is lit as what is below
    colour = torch.from_numpy(rng.uniform(0, 1.6, (3, 1, 1))).float()
    x[IMAGE] = (x[IMAGE] * (1 - share) + colour * light * share).clamp(0, 1)


def _stick(x: Tensor, rng: np.random.Generator) -> None:
    """Put a few small patches of colour onto the part, half transparent at times, in place."""
    size = x.shape[-1]
    for _ in range(int(rng.integers(1, 4))):
        height, width = (int(k) for k in rng.integers(size // 24, size // 7, 2))
        top, left = int(rng.integers(size - height)), int(rng.integers(size - width))
        patch = slice(top, top + height), slice(left, left + width)
        below = x[IMAGE][:, *patch]
        colour = torch.from_numpy(rng.uniform(0, 1.6, (3, 1, 1))).float() * (below.mean(0, keepdim=True) + 0.1)
        share = float(rng.uniform(0.3, 0.9)) * (x[SEEN][patch] > 0.5)
        x[IMAGE][:, *patch] = (below * (1 - share) + colour * share).clamp(0, 1)


def _shift_rim(x: Tensor, rng: np.random.Generator) -> None:
    """Let the object mask reach a pixel or two too far in some places, and not far enough in others, in place."""
    seen, where = x[SEEN][None], _field(x.shape[-1], int(rng.integers(3, 14)), rng)
    reach = 2 * int(rng.integers(1, 3)) + 1
    wide = functional.max_pool2d(seen, reach, 1, reach // 2)[0]
    narrow = -functional.max_pool2d(-seen, reach, 1, reach // 2)[0]
    limit = float(rng.uniform(0.5, 1.5))
    x[SEEN] = torch.where(where > limit, wide, torch.where(where < -limit, narrow, x[SEEN]))


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
