"""Recorded computations: the many small kernels of a computation of fixed shapes, sent to the GPU as one CUDA graph."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock

import torch

MOST = 16
"""Recordings kept; each holds the memory that its computation needs, and the one not used for longest goes first."""

Tensors = tuple[torch.Tensor, ...]
Compute = Callable[[Tensors], Tensors]
"""Takes tensors on the device and returns new ones; reads nothing back and has no branch that depends on them."""
Recorder = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], None]]]
"""Records a computation; returns the tensors that hold its results, and what computes them anew in place."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Recording:
    inputs: Tensors
    outputs: Tensors
    replay: Callable[[], None]


class Recordings:
    """Runs computations on a device: each is recorded at its first call and replayed from then on.

    Where a recording fails, the reason is logged once, and everything is computed step by step from then on.
    """

    def __init__(self, device: torch.device, record: Recorder | None) -> None:
        self._device = device
        self._record = record
        self._kept: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._lock = Lock()

    def run(self, key: Hashable, compute: Compute, inputs: Tensors) -> Tensors:
        """Return ``compute(inputs)``; the inputs may lie on the host.

        Args:
            key: stands for the computation, and for all of its arguments that are not among the inputs.
            compute: the computation.
            inputs: its tensors; the recording is looked up by their shapes as well.
        """
        key = (key, *(tuple(t.shape) for t in inputs))
        with self._lock:
            if self._record is not None and key not in self._kept:
                self._add(key, compute, inputs)
            if key not in self._kept:
                return compute(tuple(t.to(self._device) for t in inputs))
            recording = self._kept[key]
            self._kept.move_to_end(key)
            for buffer, given in zip(recording.inputs, inputs, strict=True):
                buffer.copy_(given)
            recording.replay()
            return tuple(t.clone() for t in recording.outputs)

    def _add(self, key: Hashable, compute: Compute, inputs: Tensors) -> None:
        assert self._record is not None
        buffers = tuple(t.to(self._device, copy=True) for t in inputs)
        if len(self._kept) == MOST:
            self._kept.popitem(last=False)
        try:
            outputs, replay = self._record(lambda: compute(buffers))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            # A device that is broken fails again below, where that is dealt with.
            self._record = None
            reason = str(error).split("\n", maxsplit=1)[0]
            logger.warning("device: steps cannot be recorded as a CUDA graph, they are sent one by one: %s", reason)
            return
        self._kept[key] = _Recording(buffers, outputs, replay)


def cuda_graph(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    """Record a CUDA graph; a ``Recorder``."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # compiles kernels and fills caches, which no recording may do
        for _ in range(2):
            compute()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on using the GPU
        outputs = compute()
    return outputs, graph.replay
