"""How good a network is on pairs that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from ptad_core.detection.network.weights import Form
from ptad_core.training.augment import as_input
from ptad_core.training.pairs import GOOD
from ptad_core.training.shards import PairSet

BATCH = 32
MOST_PIXELS = 2_000_000


def outputs(network: nn.Module, pairs: PairSet, device: torch.device) -> Iterator[tuple[NDArray[np.float32], ...]]:
    """Yield the network's (n,) logits and its second output, batch by batch."""
    network.eval()
    for start in range(0, len(pairs), BATCH):
        rows = range(start, min(start + BATCH, len(pairs)))
        x = as_input(torch.from_numpy(np.stack([pairs[row][0] for row in rows]))).to(device)
        with torch.inference_mode():
            score, other = network(x.contiguous(memory_format=torch.channels_last))
        yield score.float().cpu().numpy(), other.float().cpu().numpy()


def validate(network: nn.Module, form: Form, pairs: PairSet, device: torch.device) -> dict[str, Any]:
    """Return AUC and accuracy over the pictures, AUC over the pixels, and AUC per kind against all good ones."""
    scores, others = (np.concatenate(part) for part in zip(*outputs(network, pairs, device), strict=True))
    kinds = np.array(pairs.kinds)
    truth = kinds != GOOD
    figures = {"auc": roc_auc_score(truth, scores), "acc": float(((scores > 0) == truth).mean())}
    if form.name != "mmpdn":
        cells = np.stack([pairs[row][1] for row in range(len(pairs))]).max(axis=1) >= 128
        found = others.max(axis=1)
        step = max(1, cells.size // MOST_PIXELS)
        figures["pixel_auroc"] = roc_auc_score(cells.reshape(-1)[::step], found.reshape(-1)[::step])
        figures["pixel_ap"] = average_precision_score(cells.reshape(-1)[::step], found.reshape(-1)[::step])
    for kind in sorted(set(kinds) - {GOOD}):
        these = (kinds == kind) | ~truth
        figures[f"auc_{kind}"] = roc_auc_score(truth[these], scores[these])
    return {name: round(float(value), 4) for name, value in figures.items()}
