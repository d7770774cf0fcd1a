"""Cases through the inspector: what it says of each, and what each piece of evidence would have said alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.config import InspectorConfig
from ptad_core.detection import detect, load_judge
from ptad_core.detection.learned import ask
from ptad_core.evaluation.detection.cases import Case
from ptad_core.frames import rotation_angle_deg
from ptad_core.inspector import Inspector
from ptad_core.pose.query import make_query
from ptad_core.pose.search import candidate_poses
from ptad_core.rendering.view import look
from ptad_core.types import Alignment, Box, Detection, FloatArray, Segmentation, Verdict

MAP_PX = 128
"""Side at which anomaly maps are kept and compared."""
UNDECIDED = 1.0
"""Score of a picture without any pose: that of the limit, neither good nor bad."""
TOLERANCE_SHARE = 0.03
"""Tolerance of generated parts, relative to their diameter: what 256 pixels can show."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case.

    Attributes:
        name, part, family, kind, defective: of the case.
        verdict: as the inspection gives it.
        reasons: names of why it could not be inspected.
        score: fused, odds 1 and the tolerance being the limit; also where the pose is not trusted, then for the
            ranking only.
        geometry: the largest measured deviation, in percent of the diameter.
        outline_pct, edges_pct, network_logit: the evidence; NaN where there is none.
        unrefined_logit: the network's opinion at the best candidate view, without any refinement; NaN likewise.
        query_logit: opinion of a network that sees the picture alone, in the same window; NaN likewise.
        box_found, box_true: None where there is none.
        found: (MAP_PX, MAP_PX) the anomaly map.
        truth: (MAP_PX, MAP_PX) bool, None where it is not known.
        pose_error_deg: NaN where no pose was found or the true one is not known.
        detect_ms: time of the detection, with the network.
    """

    name: str
    part: str
    family: str
    kind: str
    defective: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    score: float
    geometry: float
    outline_pct: float
    edges_pct: float
    network_logit: float
    unrefined_logit: float
    query_logit: float
    box_found: Box | None
    box_true: Box | None
    found: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] | None = field(repr=False)
    pose_error_deg: float
    detect_ms: float

    @property
    def inspected(self) -> bool:
        return self.verdict is not Verdict.CANNOT_INSPECT


def judge_case(case: Case, config: InspectorConfig, unrefined: bool = False, query_only: str = "none") -> Outcome:
    """Inspect one case blind, each picture for itself, and fail it where a defect is more likely than not.

    Args:
        case: what is judged.
        config: how; a calibration is left aside.
        unrefined: also ask the network at the best candidate view.
        query_only: also ask a network that sees no reference; a file of weights.
    """
    config = replace(config, pose=replace(config.pose, track=False),
                     detection=replace(config.detection, calibration="none"))
    inspector = Inspector(case.reference, config)
    judge = load_judge(config.detection.network)
    limit = 1.0 if judge is None else math.exp(-judge.fusion.limit)
    image, camera = inspector.rectify(case.image_bgr, case.camera)
    segmentation = inspector.segment(image, camera)
    alignment = Alignment(None) if segmentation.reasons else inspector.align(image, camera, segmentation)
    detection, ms = None, math.nan
    if alignment.pose is not None:
        view = look(case.reference.gaussians, camera, alignment.pose.T_camera_part, segmentation.mask)
        start = time.perf_counter()
        detection = detect(image, segmentation, view, case.reference.diameter_m, config.detection, judge, limit)
        ms = 1000 * (time.perf_counter() - start)
    result = inspector.decide(segmentation, alignment, detection)
    evidence = detection.evidence if detection is not None else None
    logit = _unrefined(case, config, segmentation) if unrefined and not segmentation.reasons else math.nan
    query_logit = math.nan
    blind = load_judge(query_only)
    if blind is not None and alignment.pose is not None:
        view = look(case.reference.gaussians, camera, alignment.pose.T_camera_part, segmentation.mask)
        if view is not None:
            query_logit = ask(blind, image, segmentation.mask, view, case.reference.diameter_m).logit
    nothing = np.zeros((MAP_PX, MAP_PX), np.float32)
    return Outcome(
        case.name, case.reference.part_id, case.family, case.kind, case.kind != "good", result.verdict,
        tuple(r.name for r in result.reasons) if result.verdict is Verdict.CANNOT_INSPECT else (),
        UNDECIDED if detection is None or evidence is None else detection.score / limit,
        0.0 if evidence is None else max(evidence.outline_pct, evidence.edges_pct),
        math.nan if evidence is None else evidence.outline_pct, math.nan if evidence is None else evidence.edges_pct,
        math.nan if evidence is None else evidence.network_logit, logit, query_logit,
        None if detection is None else box_around(detection), case.box_px,
        nothing if detection is None else _small(detection.anomaly_map),
        None if case.mask is None else _small(case.mask.astype(np.float32)) >= 0.5,
        _error_deg(alignment, case.T_camera_part), ms)


def box_around(detection: Detection, share: float = 0.5) -> Box | None:
    """Return the box around the regions that score at least a share of the worst one's; None without regions."""
    if not detection.regions:
        return None
    boxes = [r.box_px for r in detection.regions if r.score >= share * detection.regions[0].score]
    x0, y0 = min(b.x for b in boxes), min(b.y for b in boxes)
    x1, y1 = max(b.x + b.width for b in boxes), max(b.y + b.height for b in boxes)
    return Box(x0, y0, x1 - x0, y1 - y0)


def _unrefined(case: Case, config: InspectorConfig, segmentation: Segmentation) -> float:
    """Return the network's opinion at the candidate view that fits best."""
    judge = load_judge(config.detection.network)
    if judge is None or segmentation.box_px is None:
        return math.nan
    query = make_query(segmentation.mask, segmentation.box_px, case.camera, config.pose.work_size_px)
    poses = candidate_poses(query, case.reference, np.arange(len(case.reference.views.directions)), 1)
    if not poses:
        return math.nan
    view = look(case.reference.gaussians, case.camera, poses[0], segmentation.mask)
    found = detect(case.image_bgr, segmentation, view, case.reference.diameter_m, config.detection, judge)
    return math.nan if found.evidence is None else found.evidence.network_logit


def _small(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA), np.float32)


def _error_deg(alignment: Alignment, T_true: FloatArray | None) -> float:
    if alignment.pose is None or T_true is None:
        return math.nan
    return rotation_angle_deg(alignment.pose.T_camera_part[:3, :3], T_true[:3, :3])
