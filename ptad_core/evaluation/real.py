"""The runs on real recordings: parts that nobody rendered, seen by cameras that nobody simulated.

The recorded dragon is intact, so defects are made the other way round, in its CAD: without the CAD's tail the real
tail is surplus material, and a block that only the CAD has is missing on the real part. Nothing is known to the
inspection but the camera and the CAD; there is no seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import trimesh

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict, to_dict
from ptad_core.errors import PtadError
from ptad_core.evaluation.bag_reader import BagReader, Frame, FrameOptions
from ptad_core.evaluation.replay import inspect_frame, replay, write_config
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import record_of, to_line
from ptad_core.evaluation.wrong_seed import OFF_DEG, OFF_M, wrong_seeds
from ptad_core.frames import transform_points
from ptad_core.inspector import Inspector
from ptad_core.reference import PartMesh, build_reference, check_mesh, load_mesh, reference_from_mesh
from ptad_core.types import AlignedPose, Box, FloatArray, InspectionResult, Verdict

DRAGON_SETTINGS: dict[str, Any] = {  # red plastic on a grey table; the shadow between its legs is a dark red
    "part": {"id": "dragon", "unit": "m"},
    "segmentation": {"method": "threshold", "hsv_low": [168, 150, 78], "hsv_high": [10, 255, 255]},
}
CRACKER_BOX_SETTINGS: dict[str, Any] = {  # a red box with white, green and yellow print
    "part": {"id": "cracker_box", "unit": "mm"},
    "segmentation": {"method": "threshold", "hsv_low": [165, 120, 50], "hsv_high": [12, 255, 255], "fill_holes": True},
}

DESK_SETTINGS: dict[str, Any] = {  # a cluttered desk at about 1 mm per pixel, a moving camera, TF as the seed
    "segmentation": {"method": "grabcut", "allow_cut": True}, "detection": {"tolerance_mm": 5.0},
}
DESK_PARTS: dict[str, dict[str, Any]] = {
    "cube": {"cad": "cube.obj", "unit": "m", "symmetry": "axis=z order=4; axis=x order=4"},
    "dragon": {"cad": "dragon.stl", "unit": "m"},
}

WRONG_SEED_EVERY = 10
PASS_IOU = 0.90
COVERED_SHARE = 0.25
"""How much of the altered place's box the largest region's box has to cover, so that it counts as found."""

BLOCK_SIZE_M = 0.015
BLOCK_CENTER_M = (0.018, 0.0345, -0.005)
"""On the ridge of the back, sunk in by 1 mm to 3 mm: it stands out of the outline seen from any side."""


@dataclass(frozen=True, slots=True)
class Alteration:
    """A CAD that differs from the recorded part, and where.

    Attributes:
        mesh: the altered CAD.
        place_m: (n, 3) points of the material that was added or taken away, part frame.
    """

    mesh: PartMesh
    place_m: FloatArray


def cut_tail(mesh: PartMesh) -> Alteration:
    """Take the frayed tip of the dragon's tail away, about 14 mm of it."""
    corners = mesh.vertices[mesh.faces]
    in_tail = ((corners[..., 0] > 0.0385) & (corners[..., 1] > 0.010)).all(1)
    tail = np.unique(mesh.faces[in_tail])
    return Alteration(check_mesh(mesh.vertices, mesh.faces[~in_tail], "dragon without tail"), mesh.vertices[tail])


def add_block(mesh: PartMesh) -> Alteration:
    """Put a block of 15 mm on the ridge of the dragon's back."""
    block = trimesh.creation.box((BLOCK_SIZE_M,) * 3)
    corners = np.asarray(block.vertices, dtype=np.float64) + BLOCK_CENTER_M
    vertices = np.vstack([mesh.vertices, corners])
    faces = np.vstack([mesh.faces, np.asarray(block.faces, dtype=np.int64) + len(mesh.vertices)])
    return Alteration(check_mesh(vertices, faces, "dragon with block"), corners)


def run_real(data: Path, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all recordings; write a report for each; return the figures.

    Args:
        data: folder with ``red_dragon``, ``desk_cell`` and ``cracker_box``.
        out: folder for the reports.
        say: takes lines for the person who waits.

    Raises:
        PtadError: if a recording is absent.
    """
    needed = [data / name for name in ("red_dragon/bag", "red_dragon/dragon.stl", "desk_cell/bag", "desk_cell/cube.obj",
                                       "desk_cell/dragon.stl", "cracker_box/image_rgb.png",
                                       "cracker_box/camera_data.json", "cracker_box/cracker_box_mm.ply")]
    absent = [str(path) for path in needed if not path.exists()]
    if absent:
        raise PtadError(f"expected the real recordings in {data}, missing: {', '.join(absent)}")
    cad = data / "red_dragon" / "dragon.stl"
    config = from_dict(CellConfig, {**DRAGON_SETTINGS, "part": {**DRAGON_SETTINGS["part"], "cad": str(cad)}})
    mesh = load_mesh(cad, config.part.unit)
    bag = data / "red_dragon" / "bag"
    passed, frame_ms = _dragon(bag, config, mesh, None, out / "red_dragon", say)
    figures: dict[str, Any] = {
        "red_dragon_pass": passed,
        "red_dragon_tail_cut_fail": _dragon(bag, config, *_parts(cut_tail(mesh)), out / "red_dragon_tail_cut", say)[0],
        "red_dragon_block_fail": _dragon(bag, config, *_parts(add_block(mesh)), out / "red_dragon_block", say)[0],
        "red_dragon_frame_ms": round(frame_ms, 1),
    }
    pose = _cracker_box(data / "cracker_box", out / "cracker_box", say)
    for part in DESK_PARTS:
        verdicts = _desk(data / "desk_cell", part, out / f"desk_{part}", say)
        figures[f"desk_{part}"] = {verdict.name: verdicts.get(verdict, 0) for verdict in Verdict}
        figures[f"desk_{part}_wrong_seed"] = dict(_desk_wrong_seed(data / "desk_cell", part, say))
    figures["cracker_box_iou"] = 0.0 if pose is None else round(pose.mask_iou, 4)
    figures["cracker_box_ambiguous"] = pose is not None and bool(pose.ambiguous)
    return {"real": figures}


def _parts(alteration: Alteration) -> tuple[PartMesh, FloatArray]:
    return alteration.mesh, alteration.place_m


def _dragon(bag: Path, config: CellConfig, mesh: PartMesh, place_m: FloatArray | None, out: Path,
            say: Callable[[str], None]) -> tuple[int, float]:
    """Replay the recording against one CAD.

    Returns:
        How many frames got the right answer for the right reason, and the median time of all stages in ms.
    """
    right = 0
    took_ms: list[float] = []

    def judge(frame: Frame, result: InspectionResult) -> None:
        nonlocal right
        if place_m is None:
            good = result.verdict is Verdict.PASS and result.pose is not None and result.pose.mask_iou >= PASS_IOU
        else:
            good = result.verdict is Verdict.FAIL and covers(result, frame.camera, place_m)
        right += good
        took_ms.append(sum(time.ms for time in result.times))
        if not good:
            say(f"  {out.name} frame {frame.index}: {result.verdict.name}, {result.message or 'mask IoU too low'}")

    reference = reference_from_mesh(mesh, out.name, config.reference)
    summary = replay(bag, config, out, judge, reference=reference, title=f"Real recording: {out.name}")
    frame_ms = float(np.median(took_ms)) if took_ms else 0.0
    say(f"{out.name}: {right} of {summary.frames} frames right, {frame_ms:.0f} ms a frame; "
        f"report: {out / 'report.html'}")
    return right, frame_ms


def _desk(folder: Path, part: str, out: Path, say: Callable[[str], None]) -> Mapping[Verdict, int]:
    """Replay the desk's recording for one of its two intact parts; return how often each verdict was given."""
    config = _desk_config(folder, part)

    def tell(frame: Frame, result: InspectionResult) -> None:
        if result.verdict is not Verdict.PASS:
            say(f"  {out.name} frame {frame.index}: {result.verdict.name}, {result.message}")

    summary = replay(folder / "bag", config, out, tell, title=f"Real recording: {out.name}")
    say(f"{out.name}: {summary.verdicts.get(Verdict.PASS, 0)} of {summary.frames} frames pass; "
        f"report: {out / 'report.html'}")
    return summary.verdicts


def _desk_config(folder: Path, part: str) -> CellConfig:
    settings = DESK_PARTS[part]
    return from_dict(CellConfig, {
        **DESK_SETTINGS, "part": {"id": part, **settings, "cad": str(folder / settings["cad"])},
        "tf": {"part_frame": f"{part}_nominal"}})


def _desk_wrong_seed(folder: Path, part: str, say: Callable[[str], None]) -> Mapping[str, int]:
    """Ask every few frames of the desk again with a seed that is 15 degrees and 5 cm off."""
    config = _desk_config(folder, part)
    frames = islice(BagReader(folder / "bag", FrameOptions.from_config(config)), 0, None, WRONG_SEED_EVERY)
    counts = wrong_seeds(frames, build_reference(config.part, config.reference), config)
    say(f"desk_{part}, seed {OFF_DEG:g} degrees and {100 * OFF_M:g} cm off: "
        + ", ".join(f"{count} {word}" for word, count in counts.items()))
    return counts


def covers(result: InspectionResult, camera: Camera | None, place_m: FloatArray) -> bool:
    """Tell whether the largest region lies where the CAD was altered.

    Args:
        result: with regions and a pose.
        camera: of the rectified image.
        place_m: (n, 3) the altered place, part frame.
    """
    if result.detection is None or not result.detection.regions or result.pose is None or camera is None:
        return False
    largest = max(result.detection.regions, key=lambda region: region.area_px).box_px
    px = camera.project(transform_points(result.pose.T_camera_part, place_m))
    (left, top), (right, bottom) = np.floor(px.min(0)), np.ceil(px.max(0))
    place = Box(int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)
    width = min(place.x + place.width, largest.x + largest.width) - max(place.x, largest.x)
    height = min(place.y + place.height, largest.y + largest.height) - max(place.y, largest.y)
    return width > 0 and height > 0 and width * height >= COVERED_SHARE * place.area


def _cracker_box(folder: Path, out: Path, say: Callable[[str], None]) -> AlignedPose | None:
    """Inspect the one photo; return the pose."""
    image = np.asarray(cv2.imread(str(folder / "image_rgb.png"), cv2.IMREAD_COLOR), dtype=np.uint8)
    values = json.loads((folder / "camera_data.json").read_text(encoding="utf-8"))
    camera = Camera.from_K(np.array(values["K"]), values["resolution"][1], values["resolution"][0])
    cad = folder / "cracker_box_mm.ply"
    config = from_dict(CellConfig, {**CRACKER_BOX_SETTINGS,
                                    "part": {**CRACKER_BOX_SETTINGS["part"], "cad": str(cad)}})
    reference = reference_from_mesh(load_mesh(cad, config.part.unit), config.part.id, config.reference)
    frame = Frame(0, 0, "image_rgb.png", image, camera)
    result = inspect_frame(Inspector(reference, config), reference, frame)
    out.mkdir(parents=True, exist_ok=True)
    write_config(out / "config.yaml", config)
    (out / "results.jsonl").write_text(to_line(record_of(0, 0, frame.frame_id, result)) + "\n", encoding="utf-8")
    report = ReportWriter(out / "report.html", "Real photo: cracker_box", to_dict(config))
    report.add(frame, result)
    report.finish()
    say(f"cracker_box: {result.verdict.name}, {result.message}; report: {out / 'report.html'}")
    return result.pose
