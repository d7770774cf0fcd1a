"""MMPDN as published (Sec. 3.3 of the paper): shared ResNet18, cosine distances, FPN, a score and one box.

What the paper leaves open is the width of the pyramid and of the heads; 256 and 1024 meet its 17.62 M parameters
within 1 %.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptad_core.detection.network.inputs import DEPTH, IMAGE
from ptad_core.detection.network.resnet18 import ResNet18

PYRAMID = 256
HIDDEN = 1024


class Mmpdn(nn.Module):
    """Query picture and rendered depth -> score and box."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet18()
        self.lateral = nn.ModuleList(nn.Conv2d(1, PYRAMID, 1) for _ in range(4))
        self.smooth = nn.ModuleList(nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1) for _ in range(4))
        self.score_head = _mlp([4 * PYRAMID, HIDDEN, 1])
        self.box_head = _mlp([4 * PYRAMID, HIDDEN, HIDDEN, HIDDEN, 4])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N,) logits, and (N, 4) boxes: centre x, y, width, height relative to the crop.

        Args:
            x: (N, 9, S, S) in 0..1, see ``inputs``; of the reference the depth alone is used.
        """
        query, depth = x[:, IMAGE], x[:, DEPTH:DEPTH + 1].expand(-1, 3, -1, -1)
        distances = [1 - functional.cosine_similarity(q, r, dim=1).unsqueeze(1)
                     for q, r in zip(self.backbone(query), self.backbone(depth), strict=True)]
        fused: list[Tensor] = []
        above: Tensor | None = None
        for distance, lateral, smooth in zip(distances[::-1], self.lateral[::-1], self.smooth[::-1], strict=True):
            here = lateral(distance)
            if above is not None:
                here = here + functional.interpolate(above, size=here.shape[-2:], mode="nearest")
            above = here
            fused.append(smooth(here).mean(dim=(2, 3)))
        features = torch.cat(fused, dim=1)
        return self.score_head(features).squeeze(1), torch.sigmoid(self.box_head(features))


def _mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])
