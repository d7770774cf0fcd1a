"""What a network is taught: the map and the score of the comparer, the score and one box of the published form."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CELL_WEIGHT = 6.0
"""A cell that differs counts as many that do not: they are rare."""
MAP_WEIGHT = 12.0
L1_WEIGHT, GIOU_WEIGHT = 5.0, 2.0
"""Of the box against the score, as DETR has them; the paper names none."""
LEAST_SHARE = 0.25
"""Cells of the target count as different from this share on, where a box is drawn around them."""


def comparer_loss(output: tuple[Tensor, Tensor], target: Tensor, defective: Tensor) -> Tensor:
    """Return the loss of (N,) and (N, 2, s, s) logits against a (N, 2, s, s) target 0..1 and (N,) labels 0 or 1."""
    score, cells = output
    weight = torch.tensor(CELL_WEIGHT, device=cells.device)
    dense = functional.binary_cross_entropy_with_logits(cells, target, pos_weight=weight)
    return MAP_WEIGHT * dense + functional.binary_cross_entropy_with_logits(score, defective)


def mmpdn_loss(output: tuple[Tensor, Tensor], target: Tensor, defective: Tensor) -> Tensor:
    """Return the loss of (N,) logits and (N, 4) boxes against the same truth."""
    score, boxes = output
    loss = functional.binary_cross_entropy_with_logits(score, defective)
    truth, known = boxes_of(target)
    known &= defective > 0.5
    if known.any():
        loss = loss + L1_WEIGHT * functional.l1_loss(boxes[known], truth[known])
        loss = loss + GIOU_WEIGHT * (1 - generalised_iou(boxes[known], truth[known])).mean()
    return loss


def boxes_of(target: Tensor) -> tuple[Tensor, Tensor]:
    """Return (N, 4) boxes around differences, centre x, y, width, height relative to the crop, and (N,) which exist."""
    different = target.amax(dim=1) >= LEAST_SHARE
    size = different.shape[-1]
    at = torch.arange(size, device=target.device)
    limits = []
    for axis in (1, 2):  # columns, then rows
        line = different.any(dim=axis)
        low = torch.where(line, at, size).amin(dim=1)
        high = torch.where(line, at + 1, 0).amax(dim=1)
        limits.append((low / size, high / size))
    (x0, x1), (y0, y1) = limits
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=1), different.flatten(1).any(dim=1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the (N,) generalised IoU of (N, 4) boxes given as centre and size (Rezatofighi et al. 2019)."""
    a0, a1, b0, b1 = a[:, :2] - a[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
    shared = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp(min=0).prod(dim=1)
    union = a[:, 2:].prod(dim=1) + b[:, 2:].prod(dim=1) - shared
    hull = (torch.maximum(a1, b1) - torch.minimum(a0, b0)).prod(dim=1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)
