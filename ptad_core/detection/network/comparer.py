"""The form that learns well from nothing: picture and reference go in together, a map of what differs comes out.

Where the two lie on each other to a pixel, features need not be matched across the picture: the first convolution
already sees both, and how much of the picture's light the reference explains. The target is dense, where material is
missing and where there is more (the synthesis knows), and the score looks at that map and at the features. The encoder
is a ResNet18 again, of any width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptad_core.detection.network import light
from ptad_core.detection.network.inputs import CHANNELS, IMAGE
from ptad_core.detection.network.resnet18 import ResNet18
from ptad_core.errors import NetworkError

PYRAMID = 64
STRONGEST = 16
"""So many cells of the map, the strongest ones, stand for it in the score."""


class Comparer(nn.Module):
    """(N, 9, S, S) in 0..1 -> map of missing and surplus material at a quarter of the resolution, and a score.

    ``query_only`` makes it blind to all but the picture: what can be told without a reference, for comparison.
    """

    def __init__(self, width: int = 32, query_only: bool = False) -> None:
        """Take how many channels the first stage has.

        Raises:
            NetworkError: if that is no multiple of 16: training with 8, PyTorch's convolutions on a CPU wrote out of
                bounds (2.13, crops of 192 pixels and more).
        """
        super().__init__()
        if width <= 0 or width % 16:
            raise NetworkError(f"expected a width that is a multiple of 16, got {width}")
        self._query_only = query_only
        self.backbone = ResNet18(CHANNELS + light.CHANNELS, width)
        sizes = [width, 2 * width, 4 * width, 8 * width]
        self.lateral = nn.ModuleList(nn.Conv2d(size, PYRAMID, 1) for size in sizes)
        cells = nn.Conv2d(PYRAMID, 2, 3, padding=1)
        assert cells.bias is not None
        nn.init.constant_(cells.bias, -4.0)  # most cells show no difference
        self.smooth = nn.Sequential(nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1, bias=False), nn.BatchNorm2d(PYRAMID),
                                    nn.ReLU(inplace=True), cells)
        self.score_head = nn.Sequential(nn.Linear(sizes[-1] + 2 * PYRAMID + 2, 128), nn.ReLU(inplace=True),
                                        nn.Linear(128, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N,) logits of the score, and (N, 2, S / 4, S / 4) logits of the map."""
        x = torch.cat([x, light.explained_and_not(x)], dim=1).contiguous(memory_format=torch.channels_last)
        if self._query_only:
            x = torch.cat([x[:, IMAGE], torch.zeros_like(x[:, IMAGE.stop:])], dim=1)
        maps = self.backbone(x)
        fused = self.lateral[3](maps[3])
        for lateral, features in zip(self.lateral[2::-1], maps[2::-1], strict=True):
            fused = lateral(features) + functional.interpolate(fused, size=features.shape[-2:], mode="bilinear")
        fused = torch.relu(fused)
        cells = self.smooth(fused)
        strongest = cells.flatten(2).topk(STRONGEST, dim=2).values.mean(dim=2)
        features = torch.cat([maps[3].mean(dim=(2, 3)), fused.mean(dim=(2, 3)), fused.amax(dim=(2, 3)), strongest], 1)
        with torch.autocast(x.device.type, enabled=False):  # a logit in bfloat16 has steps of a thirtieth
            return self.score_head(features.float()).squeeze(1), cells
