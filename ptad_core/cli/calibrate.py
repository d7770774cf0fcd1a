"""``ptad calibrate``: from images of good parts, the threshold with a promised share of false rejects."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ptad_core.calibration import calibrate, calibration_path
from ptad_core.cli.inspect import read_image
from ptad_core.cli.options import add_config_options, add_device_option, read_camera, resolve_config
from ptad_core.config import CellConfig
from ptad_core.errors import CalibrationError
from ptad_core.evaluation.bag_reader import BagReader, Frame, FrameOptions
from ptad_core.evaluation.replay import inspect_frame
from ptad_core.inspector import Inspector
from ptad_core.overlay import reason_words, verdict_words
from ptad_core.types import InspectionResult

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "calibrate", help="learn from images of good parts when to reject", description="Inspect images of good "
        "parts and keep the threshold above which at most the promised share of good parts is rejected. It holds for "
        "images taken as these were: this part, camera, light and these settings. 1 %% takes 99 images or more.")
    parser.add_argument("images", metavar="IMAGE|DIR|BAG", type=Path, nargs="+",
                        help="images of good parts, folders of them, or a ROS 2 bag")
    add_config_options(parser)
    add_device_option(parser)
    parser.add_argument("--camera", metavar="FILE|fx,fy,cx,cy", help="intrinsics of the images; a bag has its own")
    parser.add_argument("--part-frame", metavar="FRAME", help="bag: TF frame of the part's nominal pose")
    parser.add_argument("--rate", type=float, default=0.01, help="promised share of good parts that are rejected "
                        "(default: %(default)s)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to keep the calibration (default: with the "
                        "reference, where every inspection with these settings finds it)")
    parser.add_argument("--quiet", action="store_true", help="no line per image")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Inspect, calibrate, write, print."""
    config = resolve_config(arguments, arguments.part_frame)
    config = replace(config, detection=replace(config.detection, calibration="none"))
    inspector = Inspector.from_config(config, arguments.device)
    results = []
    for frame in _frames(arguments, config):
        if not frame.stamp_ns:  # a file, and no frame of a recording: judged as `ptad inspect` does, for itself
            inspector.reset()
        result = inspect_frame(inspector, inspector.reference, frame)
        results.append(result)
        if not arguments.quiet:
            print(_line(frame, result), flush=True)
    made = calibrate(results, inspector.detector, arguments.rate)
    path = arguments.out or calibration_path(config, inspector.reference.hash)
    made.save(path)
    print(f"{len(made.scores)} images of good parts, {made.not_inspected} more could not be inspected")
    print(f"rejected above a score of {made.threshold:.4g}: at most {100 * made.false_reject_rate:g} % of good parts; "
          f"without a calibration this would be 1")
    print(f"calibration: {path}")
    return 0


def _frames(arguments: argparse.Namespace, config: CellConfig) -> Iterator[Frame]:
    files: list[Path] = []
    for path in arguments.images:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside or path.suffix in (".mcap", ".db3"):
            yield from BagReader(path, FrameOptions.from_config(config, "", ""))
        else:
            files += inside
    if files and not arguments.camera:
        raise CalibrationError("expected --camera with the intrinsics of the images, got none")
    for index, file in enumerate(files):
        image = read_image(file)
        yield Frame(index, 0, file.name, image, read_camera(arguments.camera, image.shape[1], image.shape[0]))


def _line(frame: Frame, result: InspectionResult) -> str:
    score = "" if result.detection is None else f"{result.detection.score:.4g}"
    reasons = ", ".join(reason_words(reason) for reason in result.reasons)
    return f"{frame.index:5d}  {score or verdict_words(result.verdict):<15} {reasons}"
