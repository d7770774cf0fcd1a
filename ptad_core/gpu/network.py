"""The detection network on a device: uploaded once, all of its layers recorded as one CUDA graph."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from ptad_core.detection.network.inputs import CHANNELS, DEPTH, IMAGE, MASK, NORMAL, SEEN, Pair
from ptad_core.detection.network.judge import Answer, Judge, evaluate
from ptad_core.gpu.fallback import Fallback
from ptad_core.gpu.recordings import Recordings, Tensors, cuda_graph
from ptad_core.types import FloatImage

MAX_LOGIT_DIFFERENCE = 0.01
MAX_PROBABILITY_DIFFERENCE = 0.005
"""Of convolutions whose inputs a GPU rounds to TF32, torch's default: a tenth of this on pictures of parts."""


class DeviceNetwork:
    """Answers as the network of a judge does; see ``Judge.on``."""

    def __init__(self, judge: Judge, device: str, fallback: Fallback) -> None:
        self._device = torch.device(device)
        self._judge = judge
        self._network = deepcopy(judge.network).to(self._device)
        self._fallback = fallback
        self._recordings = Recordings(self._device, cuda_graph if self._device.type == "cuda" else None)

    def __call__(self, pair: Pair) -> Answer | None:
        """Judge one (9, S, S) input; None where the CPU is to do it."""
        return self._fallback.tried(lambda: self._answer(pair))

    def difference_to_cpu(self) -> str:
        """Judge a picture on both; '' where they agree, else what differs."""
        pair = _displaced_disc(self._judge.size_px)
        (logit, cells), (logit_cpu, cells_cpu) = self._answer(pair), self._judge.answer(pair, mixed=False)
        off = abs(logit - logit_cpu)
        if not off <= MAX_LOGIT_DIFFERENCE * max(1.0, abs(logit_cpu)):
            return f"its network's logit differs from the CPU's by {off:.3g} of {logit_cpu:.3g}"
        off = float(np.abs(cells - cells_cpu).max())
        if not off <= MAX_PROBABILITY_DIFFERENCE:
            return (f"its network's map differs from the CPU's by {off:.3g}, expected at most "
                    f"{MAX_PROBABILITY_DIFFERENCE:g}")
        return ""

    def _answer(self, pair: Pair) -> tuple[float, FloatImage]:
        with torch.inference_mode():
            (found,) = self._recordings.run("network", self._compute, (torch.from_numpy(pair),))
            numbers = found.cpu().numpy()
        side = round(((len(numbers) - 1) / 2) ** 0.5)
        return float(numbers[0]), numbers[1:].reshape(2, side, side)

    def _compute(self, tensors: Tensors) -> Tensors:
        """One tensor of all that is wanted, so that one transfer brings it."""
        logit, cells = evaluate(self._network, tensors[0])
        return (torch.cat([logit[None], cells.flatten()]),)


def _displaced_disc(size: int) -> Pair:
    """A noisy disc beside where the reference has it: its map goes through all values, while that of noise may not."""
    rng, (rows, cols) = np.random.default_rng(0), np.mgrid[:size, :size] / size - 0.5
    seen, part = np.hypot(rows, cols) < 0.3, np.hypot(rows, cols - 0.1) < 0.3
    pair = np.zeros((CHANNELS, size, size), np.uint8)
    pair[IMAGE] = 40 + 120 * seen + rng.integers(0, 30, (3, size, size))
    pair[SEEN], pair[MASK], pair[DEPTH] = 255 * seen, 255 * part, 128 * part
    pair[NORMAL] = np.array([128, 128, 1])[:, None, None] * part
    return pair
