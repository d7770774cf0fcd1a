"""The runs on real recordings: parts that nobody rendered, seen by cameras that nobody simulated.

The recorded dragon is intact, so defects are made the other way round, in its CAD (``altered_cad``). Nothing is known
to the inspection but the camera and the CAD; there is no seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict, to_dict
from ptad_core.errors import PtadError
from ptad_core.evaluation.altered_cad import ALTERATIONS, Alteration
from ptad_core.evaluation.bag_reader import BagReader, Frame, FrameOptions
from ptad_core.evaluation.replay import inspect_frame, replay, write_config
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import record_of, to_line
from ptad_core.evaluation.wrong_seed import OFF_DEG, OFF_M, wrong_seeds
from ptad_core.frames import transform_points
from ptad_core.inspector import Inspector
from ptad_core.reference import build_reference, load_mesh, reference_from_mesh
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
    intact = _dragon(bag, config, Alteration(mesh, None), out / "red_dragon", say)
    altered = {name: _dragon(bag, config, alter(mesh), out / f"red_dragon_{name}", say)
               for name, alter in ALTERATIONS.items()}
    figures: dict[str, Any] = {
        "red_dragon_pass": intact.right,
        **{f"red_dragon_{name}_fail": run.right for name, run in altered.items()},
        "red_dragon_network_auc": {name: intact.told_apart(run) for name, run in altered.items()},
        "red_dragon_frame_ms": round(intact.frame_ms, 1),
    }
    pose = _cracker_box(data / "cracker_box", out / "cracker_box", say)
    for part in DESK_PARTS:
        verdicts = _desk(data / "desk_cell", part, out / f"desk_{part}", say)
        figures[f"desk_{part}"] = {verdict.name: verdicts.get(verdict, 0) for verdict in Verdict}
        figures[f"desk_{part}_wrong_seed"] = dict(_desk_wrong_seed(data / "desk_cell", part, say))
    figures["cracker_box_iou"] = 0.0 if pose is None else round(pose.mask_iou, 4)
    figures["cracker_box_ambiguous"] = pose is not None and bool(pose.ambiguous)
    return {"real": figures}


@dataclass(frozen=True, slots=True)
class _Run:
    """A replay of the dragon against one CAD.

    Attributes:
        right: how many frames got the right answer for the right reason.
        frame_ms: median time of all stages.
        logits: (n,) what the network alone said of the judged frames.
    """

    right: int
    frame_ms: float
    logits: FloatArray

    def told_apart(self, altered: _Run) -> float | None:
        """Return how often the network finds a frame of an altered part worse than one of this, a tie being half.

        None without a network, or where no frame was judged.
        """
        worse = np.sign(altered.logits[:, None] - self.logits)
        return round(float(0.5 + 0.5 * worse.mean()), 3) if worse.size else None


def _dragon(bag: Path, config: CellConfig, alteration: Alteration, out: Path, say: Callable[[str], None]) -> _Run:
    """Replay the recording against one CAD."""
    right = 0
    took_ms: list[float] = []
    logits: list[float] = []

    def judge(frame: Frame, result: InspectionResult) -> None:
        nonlocal right
        if alteration.place_m is None:
            good = result.verdict is Verdict.PASS and result.pose is not None and result.pose.mask_iou >= PASS_IOU
        else:
            good = result.verdict is Verdict.FAIL and covers(result, frame.camera, alteration.place_m)
        right += good
        took_ms.append(sum(time.ms for time in result.times))
        evidence = result.detection.evidence if result.detection is not None else None
        if evidence is not None and math.isfinite(evidence.network_logit):
            logits.append(evidence.network_logit)
        if not good:
            say(f"  {out.name} frame {frame.index}: {result.verdict.name}, {result.message or 'not as expected'}")

    reference = reference_from_mesh(alteration.mesh, out.name, config.reference)
    summary = replay(bag, config, out, judge, reference=reference, title=f"Real recording: {out.name}")
    frame_ms = float(np.median(took_ms)) if took_ms else 0.0
    say(f"{out.name}: {right} of {summary.frames} frames right, {frame_ms:.0f} ms a frame; "
        f"report: {out / 'report.html'}")
    return _Run(right, frame_ms, np.array(logits))


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
