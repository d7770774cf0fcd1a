"""A trained network at work: one aligned picture in, an opinion out. Importing this needs torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ptad_core.detection.network.bfloat16 import MULTIPLIES_BFLOAT16
from ptad_core.detection.network.inputs import Pair
from ptad_core.detection.network.weights import digest_of, load_weights
from ptad_core.errors import NetworkError
from ptad_core.types import FloatImage

Answer = tuple[float, FloatImage]
"""A network's logit, and the (2, s, s) float32 probabilities of its map: missing and surplus."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a network says of one picture.

    Attributes:
        logit: of the part being defective.
        missing: (s, s) probability of each cell that material of the reference is missing there.
        surplus: (s, s) likewise that there is more.
    """

    logit: float
    missing: FloatImage
    surplus: FloatImage


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a network's opinion and the geometric evidence become one score: a logistic regression.

    Attributes:
        bias, network, outline, edges: coefficients of 1, the logit, and log(1 + x) of the two geometric measures.
        cell_limit: probability from which on a cell of the map belongs to a region.
        limit: logit above which a part is failed without a calibration. High on purpose: what the network says of a
            part that it never saw, under a light it never saw, is an opinion; images of good parts make it a measure.
        fitted_on: on what, in words.
    """

    bias: float = 0.0
    network: float = 1.0
    outline: float = 0.0
    edges: float = 0.0
    cell_limit: float = 0.5
    limit: float = 0.0
    fitted_on: str = ""

    def logit(self, network: float, outline_pct: float, edges_pct: float) -> float:
        """Return the logit of a defect; the geometric measures are lengths in percent of the diameter."""
        return (self.bias + self.network * network + self.outline * math.log1p(outline_pct)
                + self.edges * math.log1p(edges_pct))


class Judge:
    """A network with its fusion, ready for pictures."""

    def __init__(self, path: Path) -> None:
        """Load weights, and the fusion from the JSON file of the same name beside them, where there is one.

        Raises:
            NetworkError: if the files are not usable, or the network gives no map.
        """
        network, self.form, self.about = load_weights(path)
        if self.form.name == "mmpdn":
            raise NetworkError(f"{path}: expected a network of the form comparer, got {self.form.name}: the published "
                               "form is a baseline, it gives one box and no map")
        self.network: nn.Module = _folded(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device: Callable[[Pair], Answer | None] | None = None
        beside = path.with_suffix(".json")
        self.fusion = Fusion(**_fusion_of(beside)) if beside.exists() else Fusion()
        self.digest = digest_of(path) + (digest_of(beside) if beside.exists() else "")

    @property
    def size_px(self) -> int:
        return self.form.size_px

    def on(self, device: Callable[[Pair], Answer | None]) -> Judge:
        """Return this judge with its network on a device; where that answers None the CPU does it."""
        moved = copy(self)
        moved.device = device
        return moved

    def __call__(self, pair: Pair) -> Opinion:
        """Judge one (9, S, S) input."""
        answer = self.device(pair) if self.device is not None else None
        logit, (missing, surplus) = answer if answer is not None else self.answer(pair)
        return Opinion(logit, missing, surplus)

    def answer(self, pair: Pair, mixed: bool = MULTIPLIES_BFLOAT16) -> Answer:
        """Run the network on the CPU; in mixed precision where that is faster: the logit moves by some hundredths."""
        with torch.inference_mode(), _one_thread(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logit, cells = evaluate(self.network, torch.from_numpy(pair))
            return float(logit), cells.numpy()


def evaluate(network: nn.Module, pair: Tensor) -> tuple[Tensor, Tensor]:
    """Return the () logit and the (2, s, s) probabilities of one (9, S, S) uint8 input, all on its device."""
    x = pair[None].float().div_(255.0).contiguous(memory_format=torch.channels_last)
    score, cells = network(x)
    return score[0].float(), torch.sigmoid(cells[0].float())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread for a while: so little work is done sooner by one than more are woken, by far where
    others keep the cores busy. What else the process does with torch goes on as it was set.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fusion_of(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["fusion"]
        return {name: values[name] for name in Fusion.__dataclass_fields__}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{path}: expected the fusion that belongs to the weights: {error!r}") from error


def _folded(network: nn.Module) -> nn.Module:
    """Fold each normalisation into the convolution before it: the same result, less to do."""
    for module in network.modules():
        names = dict(module.named_children())
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
            a, b = names.get(conv), names.get(norm)
            if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(a, b))
                setattr(module, norm, nn.Identity())
    return network
