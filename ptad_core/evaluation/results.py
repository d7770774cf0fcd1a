"""Results as JSON Lines: one line per frame, the same bytes for the same input.

Wall-clock times would differ from run to run, so they go to a file of their own, ``times.jsonl``. Numbers that JSON
cannot write (NaN, infinity) are ``null``; lengths are in metres, images in pixels, unless the name says otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptad_core.errors import PtadError
from ptad_core.types import (
    AlignedPose,
    AnomalyRegion,
    Box,
    FloatArray,
    InspectionResult,
    Reason,
    RegionKind,
    SeedSource,
    Verdict,
)

SCHEMA_VERSION = 1
_DIGITS = 7  # significant ones: below what a camera can see, above what the order of a summation can change


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What a result says without its pictures.

    Attributes:
        index, stamp_ns, frame_id: which image.
        mask_area_px, mask_confidence: of the segmentation; None where none was made.
        score, threshold, regions: of the detection; None and empty where none was made.
        p_value: likewise; None without a calibration too.
        Everything else as in ``InspectionResult``.
    """

    index: int
    stamp_ns: int
    frame_id: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    message: str
    part_id: str
    reference_hash: str
    mask_area_px: int | None = None
    mask_confidence: float | None = None
    pose: AlignedPose | None = None
    score: float | None = None
    threshold: float | None = None
    regions: tuple[AnomalyRegion, ...] = ()
    p_value: float | None = None


def record_of(index: int, stamp_ns: int, frame_id: str, result: InspectionResult) -> FrameRecord:
    """Take the figures out of a result."""
    segmentation, detection = result.segmentation, result.detection
    return FrameRecord(
        index, stamp_ns, frame_id, result.verdict, result.reasons, result.message, result.part_id,
        result.reference_hash,
        mask_area_px=None if segmentation is None else int(np.count_nonzero(segmentation.mask)),
        mask_confidence=None if segmentation is None else segmentation.confidence,
        pose=result.pose,
        score=None if detection is None else detection.score,
        threshold=None if detection is None else detection.threshold,
        regions=() if detection is None else detection.regions,
        p_value=None if detection is None or math.isnan(detection.p_value) else detection.p_value)


def to_line(record: FrameRecord) -> str:
    """Return a record as one line of JSON, without the line break."""
    return _dump({
        "schema": SCHEMA_VERSION,
        "index": record.index,
        "stamp_ns": record.stamp_ns,
        "frame_id": record.frame_id,
        "verdict": record.verdict.name,
        "reasons": [reason.name for reason in record.reasons],
        "message": record.message,
        "part_id": record.part_id,
        "reference_hash": record.reference_hash,
        "mask_area_px": record.mask_area_px,
        "mask_confidence": _number(record.mask_confidence),
        "pose": None if record.pose is None else _pose_values(record.pose),
        "score": _number(record.score),
        "threshold": _number(record.threshold),
        "regions": [_region_values(region) for region in record.regions],
        "p_value": _number(record.p_value),
    })


def from_line(line: str) -> FrameRecord:
    """Read a line that ``to_line`` wrote.

    Raises:
        PtadError: if the line is not JSON, of another schema version, or lacks a field.
    """
    try:
        values = json.loads(line)
        schema = values["schema"]
        if schema != SCHEMA_VERSION:
            raise PtadError(f"expected results of schema {SCHEMA_VERSION}, got schema {schema!r}")
        return FrameRecord(
            values["index"], values["stamp_ns"], values["frame_id"], Verdict[values["verdict"]],
            tuple(Reason[name] for name in values["reasons"]), values["message"], values["part_id"],
            values["reference_hash"], values["mask_area_px"], values["mask_confidence"],
            None if values["pose"] is None else _pose_of(values["pose"]),
            values["score"], values["threshold"], tuple(_region_of(region) for region in values["regions"]),
            values.get("p_value"))
    except (KeyError, TypeError, ValueError) as error:
        raise PtadError(f"expected a line of results.jsonl, got {line[:80]!r}: {error!r}") from error


def read_results(path: Path) -> list[FrameRecord]:
    """Read a results.jsonl.

    Raises:
        PtadError: if the file cannot be read, or a line of it.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PtadError(f"{path}: expected a results.jsonl: {error}") from error
    return [from_line(line) for line in lines if line.strip()]


def write_results(path: Path, records: Iterable[FrameRecord]) -> None:
    """Write a results.jsonl."""
    path.write_text("".join(to_line(record) + "\n" for record in records), encoding="utf-8")


def times_line(index: int, stamp_ns: int, result: InspectionResult) -> str:
    """Return the wall times of one result as a line of times.jsonl, without the line break."""
    times = {time.stage: round(time.ms, 3) for time in result.times}
    return _dump({"schema": SCHEMA_VERSION, "index": index, "stamp_ns": stamp_ns, "times_ms": times})


def _pose_values(pose: AlignedPose) -> dict[str, Any]:
    runner_up = pose.runner_up_T_camera_part
    return {
        "T_camera_part": _numbers(pose.T_camera_part),
        "covariance": _numbers(pose.covariance),
        "mask_iou": _number(pose.mask_iou),
        "residual_px": _number(pose.residual_px),
        "seed_source": pose.seed_source.value,
        "runner_up_margin": _number(pose.runner_up_margin),
        "runner_up_T_camera_part": None if runner_up is None else _numbers(runner_up),
        "ambiguous": bool(pose.ambiguous),
        "converged": bool(pose.converged),
        "seed_offset_deg": _number(pose.seed_offset_deg),
        "seed_offset_m": _number(pose.seed_offset_m),
    }


def _pose_of(values: dict[str, Any]) -> AlignedPose:
    runner_up = values["runner_up_T_camera_part"]
    margin = values["runner_up_margin"]
    return AlignedPose(
        T_camera_part=_array(values["T_camera_part"], (4, 4)),
        covariance=_array(values["covariance"], (6, 6)),
        mask_iou=_float(values["mask_iou"]),
        residual_px=_float(values["residual_px"]),
        seed_source=SeedSource(values["seed_source"]),
        runner_up_margin=math.inf if margin is None else margin,
        runner_up_T_camera_part=None if runner_up is None else _array(runner_up, (4, 4)),
        ambiguous=values["ambiguous"],
        converged=values["converged"],
        seed_offset_deg=_float(values["seed_offset_deg"]),
        seed_offset_m=_float(values["seed_offset_m"]))


def _region_values(region: AnomalyRegion) -> dict[str, Any]:
    box = region.box_px
    return {
        "box_px": [int(box.x), int(box.y), int(box.width), int(box.height)],
        "kind": region.kind.name,
        "score": _number(region.score),
        "size_mm": _number(region.size_mm),
        "area_px": int(region.area_px),
        "centroid_part_m": _numbers(region.centroid_part_m),
        "extent_part_m": _numbers(region.extent_part_m),
        "normal_part": _numbers(region.normal_part),
    }


def _region_of(values: dict[str, Any]) -> AnomalyRegion:
    return AnomalyRegion(
        box_px=Box(*values["box_px"]),
        kind=RegionKind[values["kind"]],
        score=_float(values["score"]),
        size_mm=_float(values["size_mm"]),
        area_px=values["area_px"],
        centroid_part_m=_array(values["centroid_part_m"], (3,)),
        extent_part_m=_array(values["extent_part_m"], (3,)),
        normal_part=_array(values["normal_part"], (3,)))


def _number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}") + 0.0  # -0.0 becomes 0.0


def _numbers(values: FloatArray) -> list[float | None]:
    return [_number(float(value)) for value in np.asarray(values).ravel()]


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _array(values: Sequence[float | None], shape: tuple[int, ...]) -> FloatArray:
    return np.array([_float(value) for value in values]).reshape(shape)


def _dump(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
