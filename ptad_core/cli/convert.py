"""``ptad convert``: a CAD file as Gaussians."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ptad_core.cli.options import add_config_options, resolve_config
from ptad_core.errors import ConfigError
from ptad_core.reference import build_reference, write_gaussian_ply


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("convert", help="convert a CAD file to Gaussians",
                                 description="Convert a CAD file to Gaussians, in the usual 3DGS layout.")
    parser.add_argument("model", metavar="CAD", help="CAD file: STL, OBJ, PLY or GLB")
    add_config_options(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the .ply file to write")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert; print what came out, and what the preflight doubts."""
    arguments.cad = arguments.model
    config = resolve_config(arguments)
    if arguments.out.suffix.lower() != ".ply":
        raise ConfigError(f"--out: expected a .ply file, got {arguments.out}")
    reference = build_reference(config.part, config.reference)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_gaussian_ply(reference.gaussians, arguments.out)
    for warning in reference.warnings:
        print(f"ptad convert: CAD file: {warning}", file=sys.stderr)
    vertices = reference.mesh.vertices
    width, height, depth = 1e3 * (vertices.max(0) - vertices.min(0))
    print(f"{arguments.out}: {len(reference.gaussians)} Gaussians of {reference.part_id}, "
          f"{width:.4g} x {height:.4g} x {depth:.4g} mm, reference {reference.hash}")
    return 0
