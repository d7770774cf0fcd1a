"""What turns gradients into steps: Muon for matrices of weights, AdamW for the rest.

A step of Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) has all its singular values near 1, so
that directions which gradients seldom show are learned as fast as the common ones. A kernel of a convolution is a
matrix of one row per output. The published form is trained by AdamW alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ROOT_MEAN_SQUARE = 0.2
"""Of a step of Muon at a learning rate of 1: what AdamW's have, so that both take one rate (Liu et al. 2025,
arXiv:2502.16982, Sec. 2.2)."""
QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of the iteration, by Jordan: fast; singular values of at least a hundredth of the largest end between
0.5 and 1.3."""
ITERATIONS = 5


def optimizers_of(network: nn.Module, form: str, learning_rate: float, weight_decay: float,
                  ) -> list[torch.optim.Optimizer]:
    """Return what trains a network of this form."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in network.parameters():
        several = parameter.ndim >= 2 and len(parameter) > 2  # an output of one or two rows has nothing to turn
        (matrices if several and form != "mmpdn" else rest).append(parameter)
    adam = torch.optim.AdamW(rest, learning_rate, weight_decay=weight_decay)
    return [Muon(matrices, learning_rate, weight_decay), adam] if matrices else [adam]


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; parameters of two dimensions or more, the first one counts the outputs."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step down the gradients; nothing is evaluated anew.

        Raises:
            TypeError: if a ``closure`` is given.
        """
        if closure is not None:
            raise TypeError("expected no closure, got one: Muon evaluates nothing anew")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                ahead = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)
                step = orthogonal(ahead) * (ROOT_MEAN_SQUARE * max(ahead.shape) ** 0.5)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(step.reshape(parameter.shape), alpha=group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a (m, n) matrix with its singular vectors, and singular values near 1 (Newton-Schulz)."""
    a, b, c = QUINTIC
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = (x if wide else x.T).to(matrix.dtype)
    return found
