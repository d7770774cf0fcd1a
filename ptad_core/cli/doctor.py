"""``ptad doctor``: what this machine or this configuration lacks, each with its remedy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ptad_core.cli.options import add_node_option
from ptad_core.doctor import Severity, run_doctor

_MARKS = {Severity.OK: "ok     ", Severity.WARNING: "WARNING", Severity.ERROR: "ERROR  "}


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "doctor", help="check this machine, a configuration and a running camera",
        description="Check Python, packages, ROS, a configuration and a running camera; say what to do.")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings to check, with the CAD they name")
    add_node_option(parser)
    parser.add_argument("--live", metavar="NAMESPACE", default="",
                        help="listen to a running camera and to TF, such as --live /camera (some seconds)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print all findings; 0 where nothing keeps a cell from running, else 2."""
    findings = run_doctor(arguments.config, arguments.node, arguments.live)
    for finding in findings:
        print(f"{_MARKS[finding.severity]}  {finding.name}: {finding.what}")
        if finding.next_step:
            print(f"         -> {finding.next_step}")
    return 2 if any(finding.severity is Severity.ERROR for finding in findings) else 0
