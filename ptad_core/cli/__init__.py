"""The command line, ``ptad``: thin, over the same functions as the nodes. One file per subcommand.

Exit codes: 0 all parts passed, 1 a part failed inspection, 2 something could not be inspected, bad input, or any other
trouble. An error is one line on stderr; one that nobody foresaw is followed by its traceback.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence

from ptad_core.cli import calibrate, convert, doctor, evaluate, inspect, real, replay, synth, train
from ptad_core.errors import PtadError
from ptad_core.version import __version__

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="ptad", description="Visual inspection against CAD. `make demo` shows a whole cell at work.",
        epilog="exit codes: 0 all passed, 1 a part failed inspection, 2 could not inspect or bad input")
    parser.add_argument("--version", action="version", version=f"ptad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (inspect, replay, calibrate, evaluate, convert, doctor, real, synth, train):
        module.add_parser(commands)
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except (PtadError, OSError) as error:
        print(f"ptad {arguments.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"ptad {arguments.command}: interrupted", file=sys.stderr)
        return BAD_INPUT
    except Exception as error:  # noqa: BLE001  1 is what Python would exit with, and that says a part failed
        print(f"ptad {arguments.command}: unexpected {type(error).__name__}: {error}", file=sys.stderr)
        traceback.print_exc()
        return BAD_INPUT
