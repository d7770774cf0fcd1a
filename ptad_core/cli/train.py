"""``ptad train``: training pairs, and a network from them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ptad_core.errors import DependencyError


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "train", help="train the detection network", description="Generate training pairs, then train on them. What "
        "was interrupted goes on where it stopped. On several GPUs: torchrun --nproc-per-node N -m ptad_core.cli train")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True,
                        help="folder of the training pairs, in it one folder for each split")
    parser.add_argument("--generate", metavar="SHAPES", type=int, default=0,
                        help="first draw so many shapes of the training families (16 pairs each), and a tenth of that "
                        "of the validation families")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for weights, curves and checkpoint; without it "
                        "only pairs are generated")
    parser.add_argument("--form", choices=("comparer", "query", "mmpdn"), default="comparer",
                        help="comparer: dense truth, picture and reference in together; query: without a reference; "
                        "mmpdn: as published (default: %(default)s)")
    parser.add_argument("--width", type=int, default=32, help="comparer: channels of the first stage, a multiple of 16 "
                        "(default: 32)")
    parser.add_argument("--init", metavar="FILE", default="", help="weights of the same form to begin with")
    parser.add_argument("--epochs", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--pairs-per-epoch", type=int, default=0, help="default: all there are")
    parser.add_argument("--minutes", type=float, default=0.0, help="end the schedule after this time at the latest")
    parser.add_argument("--batch", type=int, default=32, help="pairs per step and process (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, help="its peak (default: 2e-3; mmpdn: 2e-5, as published)")
    parser.add_argument("--ratio", type=float, default=1.0, help="share of the training pairs to use (default: 1)")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision on a CPU too: twice as fast on one "
                        "that multiplies bfloat16 (AVX-512 BF16, AMX), slower on others")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare batches (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Generate, train."""
    try:
        from ptad_core.detection.network.weights import Form
        from ptad_core.training.shards import write_shards
        from ptad_core.training.train import Recipe, train
    except ImportError as error:
        raise DependencyError(f"training needs the packages of requirements-learning.txt: {error}") from error
    splits = {name: arguments.data / name for name in ("train", "validation")}
    if arguments.generate:
        for name, shapes in (("validation", -(-arguments.generate // 10)), ("train", arguments.generate)):
            write_shards(splits[name], name, shapes, max(arguments.workers, 1), _say, arguments.seed)
    if arguments.out is not None:
        rate = arguments.learning_rate or (2e-5 if arguments.form == "mmpdn" else 2e-3)
        recipe = Recipe(Form(arguments.form, arguments.width), arguments.epochs, arguments.pairs_per_epoch,
                        arguments.batch, rate, ratio=arguments.ratio, seed=arguments.seed, minutes=arguments.minutes,
                        workers=arguments.workers, init=arguments.init, bfloat16=arguments.bfloat16)
        train(splits["train"], splits["validation"], arguments.out, recipe, _say)
    return 0


def _say(words: str) -> None:
    print(words, flush=True)
