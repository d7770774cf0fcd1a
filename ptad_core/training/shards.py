"""Training pairs on disk: made once, by several processes, and mapped into memory by every epoch.

A folder holds shards ``00012.pairs.npy`` (n, 9, S, S), ``00012.targets.npy`` (n, 2, S/4, S/4), both uint8, and
``00012.json`` with kind and family of each pair. A shard is written last file last, so that one that is there is whole;
what was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ptad_core.detection.network.inputs import Pair
from ptad_core.errors import PtadError
from ptad_core.synthesis.families import SPLIT
from ptad_core.training.pairs import GOOD, PAIRS_PER_SCENE, Target, TrainingPair, shape_pairs

SHAPES_PER_SHARD = 16
SPLIT_SEEDS = {"train": 0, "validation": 1, "test": 2}


def write_shards(folder: Path, split: str, shapes: int, workers: int, say: Callable[[str], None],
                 seed: int = 0) -> None:
    """Draw shapes of a split's families and write their pairs; shards that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = [k for k in range(-(-shapes // SHAPES_PER_SHARD)) if not (folder / f"{k:05d}.json").exists()]
    make = partial(_write_shard, folder, split, [SPLIT_SEEDS[split], seed])
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, words in enumerate(pool.imap_unordered(make, todo), start=1):
            say(f"{folder.name}: shard {done} of {len(todo)}, {words}")


def _write_shard(folder: Path, split: str, seed: list[int], shard: int) -> str:
    made: list[TrainingPair] = []
    for shape in range(shard * SHAPES_PER_SHARD, (shard + 1) * SHAPES_PER_SHARD):
        made += shape_pairs([*seed, shape], shape, SPLIT[split])
    np.save(folder / f"{shard:05d}.pairs.npy", np.stack([p.pair for p in made]))
    np.save(folder / f"{shard:05d}.targets.npy", np.stack([p.target for p in made]))
    about = [{"kind": p.kind, "family": p.family} for p in made]
    half = folder / f"{shard:05d}.json.{os.getpid()}"
    half.write_text(json.dumps(about), encoding="utf-8")
    half.rename(folder / f"{shard:05d}.json")
    return f"{len(made)} pairs"


@dataclass(frozen=True, slots=True)
class PairSet:
    """All pairs of a folder, in memory as far as they were touched.

    Attributes:
        pairs: one (n, 9, S, S) map per shard.
        targets: one (n, 2, S/4, S/4) map per shard.
        kinds: of every pair, shard after shard; ``good`` where nothing is wrong.
        families: likewise.
        where: (N, 2) shard and row of every pair.
    """

    pairs: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    kinds: Sequence[str]
    families: Sequence[str]
    where: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> tuple[Pair, Target]:
        shard, row = self.where[index]
        return self.pairs[shard][row], self.targets[shard][row]

    @property
    def defective(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([kind != GOOD for kind in self.kinds])

    def with_intact_reference(self) -> PairSet:
        """Return the pairs whose reference is the intact shape: the first and the third of each scene."""
        kept = [k for k in range(len(self)) if self.where[k][1] % PAIRS_PER_SCENE in (0, 2)]
        return PairSet(self.pairs, self.targets, [self.kinds[k] for k in kept], [self.families[k] for k in kept],
                       self.where[kept])


def open_pairs(folder: Path, ratio: float = 1.0) -> PairSet:
    """Map the shards of a folder; with a ``ratio`` below 1, that share of the shards only, the first ones.

    Raises:
        PtadError: if there is none.
    """
    shards = sorted(folder.glob("*.json"))
    shards = shards[:max(1, round(ratio * len(shards)))]
    if not shards:
        raise PtadError(f"{folder}: expected shards of training pairs, found none; make them with `ptad train --pairs`")
    pairs, targets, kinds, families, where = [], [], [], [], []
    for k, about in enumerate(shards):
        pairs.append(np.load(about.with_name(f"{about.stem}.pairs.npy"), mmap_mode="r"))
        targets.append(np.load(about.with_name(f"{about.stem}.targets.npy"), mmap_mode="r"))
        rows = json.loads(about.read_text(encoding="utf-8"))
        kinds += [row["kind"] for row in rows]
        families += [row["family"] for row in rows]
        where += [(k, row) for row in range(len(rows))]
    return PairSet(pairs, targets, kinds, families, np.array(where))
