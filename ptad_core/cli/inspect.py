"""``ptad inspect``: one image against its CAD."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.advice import NEXT_STEP
from ptad_core.camera import Camera
from ptad_core.cli.options import add_config_options, add_device_option, read_camera, read_seed, resolve_config
from ptad_core.config import CellConfig, to_dict
from ptad_core.errors import ImageError
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.replay import exit_code_of, write_config
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import record_of, times_line, to_line
from ptad_core.inspector import Inspector
from ptad_core.overlay import draw_overlay, reason_words, verdict_words
from ptad_core.reference import build_reference
from ptad_core.types import ColorImage, InspectionResult, Verdict


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("inspect", help="inspect one image", description="Inspect one image.")
    parser.add_argument("image", metavar="IMAGE", type=Path)
    add_config_options(parser)
    add_device_option(parser)
    parser.add_argument("--camera", required=True, metavar="FILE|fx,fy,cx,cy",
                        help="intrinsics: numbers in pixels, a JSON file with K and resolution, or a camera_info YAML")
    parser.add_argument("--seed", metavar="NUMBERS", help="where the part is, T_camera_part: x,y,z,qx,qy,qz,qw in "
                        "metres, or 16 numbers row by row; without it the part is searched")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write result, report and overlay picture there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Inspect, print, write; return the exit code."""
    config = resolve_config(arguments)
    image = read_image(arguments.image)
    camera = read_camera(arguments.camera, image.shape[1], image.shape[0])
    seed = read_seed(arguments.seed, config) if arguments.seed else None
    reference = build_reference(config.part, config.reference)
    for warning in reference.warnings:
        print(f"ptad inspect: CAD file: {warning}", file=sys.stderr)
    result = Inspector(reference, config, arguments.device).inspect(image, camera, seed)
    print(_text(result))
    if arguments.out:
        frame = Frame(0, 0, arguments.image.name, image, camera, seed)
        _write(arguments.out, config, frame, camera, result, reference.warnings)
        print(f"report: {arguments.out / 'report.html'}")
    return exit_code_of([result.verdict])


def read_image(path: Path) -> ColorImage:
    """Read a picture as BGR (H, W, 3); an EXIF orientation is ignored, for the intrinsics belong to the sensor.

    Raises:
        ImageError: if it cannot be read.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: expected a picture, cannot read it: {error.strerror}") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if image is None:
        raise ImageError(f"{path}: expected a picture such as PNG or JPEG, got {data.size} bytes of something else")
    return np.asarray(image, dtype=np.uint8)


def _text(result: InspectionResult) -> str:
    reasons = ", ".join(reason_words(reason) for reason in result.reasons)
    lines = [f"{verdict_words(result.verdict)}  {reasons}".rstrip()]
    if result.message:
        lines.append(f"  {result.message}")
    if result.verdict is Verdict.CANNOT_INSPECT:
        lines += [f"  -> {NEXT_STEP[reason]}" for reason in result.reasons]
    pose = result.pose
    if pose is not None:
        x, y, z = 1e3 * pose.T_camera_part[:3, 3]
        margin = "not tried" if math.isinf(pose.runner_up_margin) else f"{pose.runner_up_margin:.2f}"
        lines.append(f"  pose: mask IoU {pose.mask_iou:.3f}, residual {pose.residual_px:.2f} px, runner-up margin "
                     f"{margin}{' (ambiguous)' if pose.ambiguous else ''}, part at {x:.1f}, {y:.1f}, {z:.1f} mm")
    for region in result.detection.regions if result.detection else ():
        box = region.box_px
        lines.append(f"  {region.kind.name.lower()}: reaches {region.size_mm:.1f} mm, score {region.score:.2f}, "
                     f"{box.width}x{box.height} px at {box.x}, {box.y}")
    return "\n".join(lines)


def _write(out: Path, config: CellConfig, frame: Frame, camera: Camera, result: InspectionResult,
           warnings: tuple[str, ...]) -> None:
    assert frame.image_bgr is not None
    out.mkdir(parents=True, exist_ok=True)
    write_config(out / "config.yaml", config)
    (out / "results.jsonl").write_text(to_line(record_of(0, 0, frame.frame_id, result)) + "\n", encoding="utf-8")
    (out / "times.jsonl").write_text(times_line(0, 0, result) + "\n", encoding="utf-8")
    report = ReportWriter(out / "report.html", f"Inspection of {frame.frame_id}", to_dict(config),
                          notes=[f"CAD file: {warning}" for warning in warnings])
    report.add(frame, result)
    report.finish()
    flat, flat_camera = camera.rectify(frame.image_bgr)
    cv2.imwrite(str(out / "overlay.png"), draw_overlay(flat, result, flat_camera))
