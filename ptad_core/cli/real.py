"""``ptad real``: the runs on the real recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ptad_core.evaluation.real import run_real


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("real", help="run the real recordings", description="Inspect the real recordings, "
                                 "with their CAD and with altered CADs; print one line of JSON last.")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out/real"),
                        help="folder for the reports (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run, print the figures; the figures are for the reader to judge, so the exit code says only that it ran."""
    figures = run_real(arguments.data, arguments.out, lambda line: print(line, flush=True))
    print(json.dumps(figures))
    return 0
