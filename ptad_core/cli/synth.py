"""``ptad synth``: pictures of intact and defective parts with their truth, for training and testing."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ptad_core.config import UNITS_IN_METRES
from ptad_core.datasets.synth import SynthPlan, write_dataset
from ptad_core.errors import ConfigError
from ptad_core.synthesis.families import FAMILIES, SPLIT


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "synth", help="generate a data set of intact and defective parts",
        description="Generate pictures of intact and defective parts with their truth, in the layout of "
                    "BrokenChairs-180K. Run again, it goes on where it stopped, or adds pictures up to --count.")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write to")
    parser.add_argument("--count", metavar="N", type=int, default=1000, help="pictures (default: %(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument("--families", metavar="NAMES", default="",
                        help=f"families of shapes or splits, separated by commas: {', '.join(SPLIT)}; "
                             f"{', '.join(FAMILIES)}; none (default: all, or none with --cad)")
    parser.add_argument("--cad", metavar="FOLDER", type=Path, help="folder of CAD files to draw from as well; their "
                        "groups or bodies are the components, a single body is divided")
    parser.add_argument("--unit", metavar="UNIT", default="", help=f"of the CAD files: {', '.join(UNITS_IN_METRES)}")
    parser.add_argument("--size", metavar="PX", type=int, default=512,
                        help="side of the pictures (default: %(default)s)")
    parser.add_argument("--per-shape", metavar="N", type=int, default=8,
                        help="pictures of each shape (default: %(default)s)")
    parser.add_argument("--workers", metavar="N", type=int, default=os.cpu_count() or 1,
                        help="processes (default: one per processor)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Generate; progress goes to stderr."""
    if min(arguments.count, arguments.per_shape, arguments.workers) < 1:
        raise ConfigError("expected --count, --per-shape and --workers of at least 1")
    if arguments.seed < 0:
        raise ConfigError(f"--seed: expected a number that is not negative, got {arguments.seed}")
    plan = SynthPlan(arguments.count, arguments.seed, _families(arguments.families, arguments.cad is not None),
                     str(arguments.cad.resolve()) if arguments.cad else "", arguments.unit, arguments.size,
                     arguments.per_shape)
    failed = write_dataset(arguments.out, plan, arguments.workers, _say)
    print(f"{arguments.out}: {arguments.count - failed} pictures")
    if failed:
        _say(f"ptad synth: {failed} pictures could not be drawn: no defect of these parts can be seen")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _families(text: str, has_cad: bool) -> tuple[str, ...]:
    """Return the families that names of families and splits stand for."""
    if not text:
        return () if has_cad else tuple(FAMILIES)
    names: list[str] = []
    for name in text.split(","):
        if name != "none" and name not in SPLIT and name not in FAMILIES:
            raise ConfigError(f"--families: expected {', '.join([*SPLIT, *FAMILIES])} or none, got {name!r}")
        names += SPLIT.get(name, () if name == "none" else (name,))
    return tuple(dict.fromkeys(names))
