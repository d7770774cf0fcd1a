"""``ptad replay``: a recording, frame by frame, without play timing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ptad_core.cli.options import add_config_options, add_device_option, resolve_config
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.replay import replay
from ptad_core.evaluation.truth import format_table, read_truth
from ptad_core.overlay import reason_words, verdict_words
from ptad_core.types import InspectionResult, Verdict


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("replay", help="inspect every image of a ROS 2 bag",
                                 description="Inspect every image of a ROS 2 bag (MCAP or SQLite); needs no ROS.")
    parser.add_argument("bag", metavar="BAG", type=Path, help="the bag's folder, or a single .mcap or .db3 file")
    add_config_options(parser)
    add_device_option(parser)
    parser.add_argument("--part-frame", metavar="FRAME",
                        help="TF frame of the part's nominal pose; without it the part is searched")
    parser.add_argument("--image-topic", metavar="TOPIC", default="", help="images; needed where there are several")
    parser.add_argument("--info-topic", metavar="TOPIC", default="", help="CameraInfo of these images")
    parser.add_argument("--truth", metavar="FILE", type=Path, help="truth.jsonl to hold the verdicts against")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out/replay"),
                        help="folder for results.jsonl, report.html and the rest (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no line per frame")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay, print, return the exit code."""
    config = resolve_config(arguments, arguments.part_frame)
    truth = read_truth(arguments.truth) if arguments.truth else None
    summary = replay(arguments.bag, config, arguments.out, None if arguments.quiet else _print_frame, truth,
                     arguments.image_topic, arguments.info_topic, device=arguments.device)
    counts = ", ".join(f"{summary.verdicts.get(verdict, 0)} {verdict_words(verdict)}"
                       for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_INSPECT))
    print(f"{summary.frames} frames: {counts}")
    if summary.truth:
        print(format_table(list(summary.truth)))
    for warning in summary.warnings:
        print(f"ptad replay: CAD file: {warning}", file=sys.stderr)
    if summary.loss:
        print(f"ptad replay: loss: {summary.loss}", file=sys.stderr)
    print(f"report: {summary.out / 'report.html'}")
    return summary.exit_code


def _print_frame(frame: Frame, result: InspectionResult) -> None:
    reasons = ", ".join(reason_words(reason) for reason in result.reasons)
    iou = "" if result.pose is None else f"IoU {result.pose.mask_iou:.3f}"
    ms = sum(time.ms for time in result.times)
    print(f"{frame.index:5d}  {verdict_words(result.verdict):<15}{iou:<11}{ms:6.0f} ms  {reasons}", flush=True)
