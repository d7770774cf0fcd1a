"""The training itself: epochs, schedule, checkpoints, curves. One process, or several under ``torchrun``."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ptad_core.detection.network.weights import Form, load_weights, parameters_in, save_weights
from ptad_core.errors import NetworkError
from ptad_core.training.augment import augment, resized
from ptad_core.training.losses import comparer_loss, mmpdn_loss
from ptad_core.training.optimizers import optimizers_of
from ptad_core.training.shards import PairSet, open_pairs
from ptad_core.training.validate import validate

WARM_UP = 0.05
SIZES = (0.35, 0.6), (0.7, 0.8), (1.0, 1.0)
"""Epochs that end before these shares of the training have crops smaller by these factors: cheaper, as good to learn
from."""
EMA = 0.998
"""Per step; the weights that are kept are this running mean."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained; written beside its curves.

    Attributes:
        form: which network.
        epochs: passes over ``pairs_per_epoch`` pairs.
        pairs_per_epoch: drawn anew for each epoch; 0 is all there are.
        batch: pairs per step and process.
        learning_rate: its peak, of a one-cycle schedule.
        weight_decay: relative to the learning rate.
        ratio: share of the training shards that is used.
        seed: of everything random.
        minutes: the schedule ends after this time at the latest; 0: no limit.
        workers: processes that prepare batches.
        init: weights to begin with, as ``ptad train`` writes them, of any size of crop; empty: random ones.
        bfloat16: mixed precision on a CPU too; a GPU always has it.
    """

    form: Form = field(default_factory=Form)
    epochs: int = 30
    pairs_per_epoch: int = 0
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    ratio: float = 1.0
    seed: int = 0
    minutes: float = 0.0
    workers: int = 1
    init: str = ""
    bfloat16: bool = False


class _Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Augmented batches of one epoch, each from a generator of its own."""

    def __init__(self, pairs: PairSet, order: np.ndarray, recipe: Recipe, epoch: int, scale: float) -> None:
        self.pairs, self.order, self.batch, self.seed = pairs, order, recipe.batch, [recipe.seed, epoch, 1]
        self.size_px = 32 * round(scale * recipe.form.size_px / 32)

    def __len__(self) -> int:
        return len(self.order) // self.batch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.order[index * self.batch:(index + 1) * self.batch]
        torch.manual_seed(int(rows[0]))
        made = [self.pairs[int(row)] for row in rows]
        pairs, targets = resized(np.stack([m[0] for m in made]), np.stack([m[1] for m in made]), self.size_px)
        x, y = augment(torch.from_numpy(pairs), torch.from_numpy(targets), np.random.default_rng([*self.seed, index]))
        return x, y, torch.from_numpy(self.pairs.defective[rows].astype(np.float32))


class _Run:
    """State of a training, as far as it goes into a checkpoint."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.network = _initial(recipe).to(device)
        self.mean = copy.deepcopy(self.network).eval()
        self.optimizers = optimizers_of(self.network, recipe.form.name, recipe.learning_rate, recipe.weight_decay)
        self.epoch, self.step, self.seconds = 0, 0, 0.0

    def save(self, path: Path) -> None:
        half = path.with_name(f".{path.name}.half")
        torch.save({"recipe": asdict(self.recipe), "network": self.network.state_dict(),
                    "mean": self.mean.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                    "epoch": self.epoch, "step": self.step, "seconds": self.seconds}, half)
        half.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        if "optimizers" not in state:
            raise NetworkError(f"{path}: expected a checkpoint of this version, got one of an earlier one; remove it "
                               "to begin anew, from its weights with --init")
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]

    def keep_mean(self) -> None:
        """Let the kept weights follow; statistics of normalisations are taken as they are."""
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, now in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - decay)
                else:
                    kept.copy_(now)


def _initial(recipe: Recipe) -> nn.Module:
    if not recipe.init:
        return recipe.form.build()
    network, form, _ = load_weights(Path(recipe.init))
    if replace(form, size_px=recipe.form.size_px) != recipe.form:  # convolutions do not mind another size of crop
        raise NetworkError(f"{recipe.init}: expected weights of {recipe.form}, got {form}")
    return network


def train(data: Path, validation: Path, out: Path, recipe: Recipe, say: Callable[[str], None]) -> dict[str, Any]:
    """Train on the shards in ``data``, go on from ``out/checkpoint.pt`` where there is one.

    Writes ``recipe.json``, ``curves.csv``, ``checkpoint.pt`` and ``weights.safetensors`` into ``out``. Shards that are
    added meanwhile are used from the next epoch on.

    Returns:
        The figures of the last validation.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, device)
    if (out / "checkpoint.pt").exists():
        run.load(out / "checkpoint.pt")
        say(f"goes on after epoch {run.epoch}")
    network: nn.Module = nn.parallel.DistributedDataParallel(run.network) if world > 1 else run.network
    if rank == 0:
        (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n", encoding="utf-8")
        say(f"{recipe.form.name}: {parameters_in(run.network) / 1e6:.2f} M parameters, on {device}")
    figures: dict[str, Any] = {}
    while run.epoch < recipe.epochs and not (recipe.minutes and run.seconds >= 60 * recipe.minutes):
        loss, seen = _epoch(run, network, _open(data, recipe), rank, world)
        run.epoch += 1
        if world > 1:  # all processes go by one clock, or one of them ends before the others
            seconds = torch.tensor(run.seconds, device=device)
            torch.distributed.all_reduce(seconds, torch.distributed.ReduceOp.MAX)
            run.seconds = float(seconds)
        if rank == 0:
            figures = validate(run.mean, recipe.form, _open(validation, recipe, 1.0), device)
            row = {"epoch": run.epoch, "minutes": round(run.seconds / 60, 2), "pairs": seen, "loss": round(loss, 5),
                   "progress": round(_progress(run), 4), **figures}
            _append(out / "curves.csv", row)
            _tensorboard(out, row)
            say(" ".join(f"{key} {value}" for key, value in row.items()))
            run.save(out / "checkpoint.pt")
            save_weights(run.mean, recipe.form, out / "weights.safetensors")
    if world > 1:
        torch.distributed.destroy_process_group()
    return figures


def _open(folder: Path, recipe: Recipe, ratio: float | None = None) -> PairSet:
    """Map the pairs; those whose reference is the defective shape say nothing to a network that sees no reference."""
    pairs = open_pairs(folder, recipe.ratio if ratio is None else ratio)
    return pairs.with_intact_reference() if recipe.form.name == "query" else pairs


def _epoch(run: _Run, network: nn.Module, pairs: PairSet, rank: int, world: int) -> tuple[float, int]:
    """Return the mean loss and how many pairs there are."""
    recipe = run.recipe
    rng = np.random.default_rng([recipe.seed, run.epoch])
    many = (recipe.pairs_per_epoch or len(pairs)) // world * world  # all processes take equally many steps
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(-(-many // len(pairs)))])[:many][rank::world]
    batches = _Batches(pairs, order, recipe, run.epoch * world + rank, _scale(_progress(run, 1.0)))
    loader = DataLoader(batches, batch_size=None, shuffle=False, num_workers=recipe.workers,
                        prefetch_factor=4 if recipe.workers else None, pin_memory=run.device.type == "cuda")
    loss_of = mmpdn_loss if recipe.form.name == "mmpdn" else comparer_loss
    amp = torch.autocast(run.device.type, torch.bfloat16, enabled=recipe.bfloat16 or run.device.type == "cuda")
    network.train()
    start, before, total = time.monotonic(), run.seconds, 0.0
    for index, batch in enumerate(loader):
        x, y, defective = (t.to(run.device, non_blocking=True) for t in batch)
        progress = _progress(run, index / len(batches))
        for group in (group for optimizer in run.optimizers for group in optimizer.param_groups):
            group["lr"] = recipe.learning_rate * _one_cycle(progress)
        with amp:
            output = network(x.contiguous(memory_format=torch.channels_last))
            loss = loss_of(tuple(o.float() for o in output), y, defective)
        network.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        for optimizer in run.optimizers:
            optimizer.step()
        run.step += 1
        run.keep_mean()
        total += float(loss.detach())
        if world == 1:  # several processes must agree on the learning rate: they look at the clock between epochs
            run.seconds = before + time.monotonic() - start
    run.seconds = before + time.monotonic() - start
    return total / max(len(batches), 1), len(pairs)


def _progress(run: _Run, within: float = 0.0) -> float:
    """Return 0..1, by epochs or by time, whichever is further."""
    recipe = run.recipe
    by_time = run.seconds / (60 * recipe.minutes) if recipe.minutes else 0.0
    return min(max((run.epoch + within) / recipe.epochs, by_time), 1.0)


def _scale(progress: float) -> float:
    return next(scale for until, scale in SIZES if progress < until or until == 1.0)


def _one_cycle(progress: float) -> float:
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _append(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _tensorboard(out: Path, row: dict[str, Any]) -> None:
    """Write the curves for TensorBoard too, where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(out / "tensorboard")) as writer:
        for name, value in row.items():
            writer.add_scalar(name, value, row["epoch"])
