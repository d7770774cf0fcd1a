"""Cases through the inspector: what it says of each, and what each piece of evidence would have said alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.config import InspectorConfig
from ptad_core.detection import detect, examiner_of, load_judge
from ptad_core.detection.learned import Examiner
from ptad_core.evaluation.detection.cases import GOOD, Case
from ptad_core.frames import rotation_angle_deg
from ptad_core.inspector import Inspector
from ptad_core.pose.query import make_query
from ptad_core.pose.search import candidate_poses, whole_sphere
from ptad_core.rendering.view import View, look
from ptad_core.types import Alignment, Box, Detection, Evidence, FloatArray, Segmentation, Verdict

MAP_PX = 128
"""Side at which anomaly maps are kept and compared."""
UNDECIDED = 1.0
"""Score of a picture without any pose: that of the limit, neither good nor bad."""
NO_EVIDENCE = Evidence(0.0, math.nan, math.nan)
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
        shown_pct: how much of what is seen of the part the defect covers, in percent; NaN where there is none, where it
            is not known, and where no part was seen.
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
    shown_pct: float
    found: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] | None = field(repr=False)
    pose_error_deg: float
    detect_ms: float

    @property
    def inspected(self) -> bool:
        return self.verdict is not Verdict.CANNOT_INSPECT


@dataclass(frozen=True, slots=True)
class Aligned:
    """A case with its blind pose: what is the same for every detector.

    Attributes:
        case: what is judged.
        config: how it was aligned.
        segmentation, alignment: of the case; the alignment is empty where there is no mask to go by.
        view: the reference at the pose found; None where none was.
        candidate_view: the reference at the candidate that fits the mask best, without any refinement; None likewise.
    """

    case: Case
    config: InspectorConfig
    segmentation: Segmentation
    alignment: Alignment
    view: View | None
    candidate_view: View | None


def align_case(case: Case, config: InspectorConfig) -> Aligned:
    """Find one case's pose blind, each picture for itself; a calibration is left aside."""
    config = replace(config, pose=replace(config.pose, track=False),
                     detection=replace(config.detection, calibration="none"))
    inspector = Inspector(case.reference, config)
    image, camera = inspector.rectify(case.image_bgr, case.camera)
    case = replace(case, image_bgr=image, camera=camera)
    segmentation = inspector.segment(image, camera)
    if segmentation.reasons or segmentation.box_px is None:
        return Aligned(case, config, segmentation, Alignment(None), None, None)
    alignment = inspector.align(image, camera, segmentation)
    query = make_query(segmentation.mask, segmentation.box_px, camera, config.pose.work_size_px)
    first = candidate_poses(query, case.reference, whole_sphere(case.reference), 1, apart_deg=0.0)
    poses = [alignment.pose.T_camera_part if alignment.pose is not None else None, *first, None]
    view, candidate = (None if T is None else look(case.reference.gaussians, camera, T, segmentation.mask)
                       for T in poses[:2])
    return Aligned(case, config, segmentation, alignment, view, candidate)


def judge_aligned(aligned: Aligned, network: str, query_only: str = "none") -> Outcome:
    """Judge an aligned case, and fail it where a defect is more likely than not.

    Args:
        aligned: what is judged.
        network: as in ``detection.network``.
        query_only: weights of a network that sees no reference, to compare with.
    """
    case, segmentation = aligned.case, aligned.segmentation
    examiner, blind = (examiner_of(load_judge(name), case.reference.mesh) for name in (network, query_only))
    detection, ms, query_logit = None, math.nan, math.nan
    limit = 1.0 if examiner is None else math.exp(-examiner.judge.fusion.limit)
    if aligned.view is not None:
        start = time.perf_counter()
        detection = _detect(aligned, aligned.view, examiner, limit)
        ms = 1000 * (time.perf_counter() - start)
        if blind is not None:
            query_logit = blind.ask(case.image_bgr, segmentation.mask, aligned.view, case.reference.diameter_m).logit
    unrefined = None
    if aligned.candidate_view is not None:
        unrefined = _detect(aligned, aligned.candidate_view, examiner, limit)
    verdict, reasons = _verdict(aligned, detection)
    evidence = detection.evidence if detection is not None and detection.evidence is not None else NO_EVIDENCE
    nothing = np.zeros((MAP_PX, MAP_PX), np.float32)
    return Outcome(
        case.name, case.reference.part_id, case.family, case.kind, case.kind != GOOD, verdict, reasons,
        UNDECIDED if detection is None or evidence is NO_EVIDENCE else detection.score / limit,
        float(np.nan_to_num(max(evidence.outline_pct, evidence.edges_pct))), evidence.outline_pct, evidence.edges_pct,
        evidence.network_logit,
        math.nan if unrefined is None or unrefined.evidence is None else unrefined.evidence.network_logit, query_logit,
        None if detection is None else box_around(detection), case.box_px, _shown_pct(case, segmentation),
        nothing if detection is None else _small(detection.anomaly_map),
        None if case.mask is None else _small(case.mask.astype(np.float32)) >= 0.5,
        _error_deg(aligned.alignment, case.T_camera_part), ms)


def _detect(aligned: Aligned, view: View, examiner: Examiner | None, limit: float) -> Detection:
    return detect(aligned.case.image_bgr, aligned.segmentation, view, aligned.case.reference.diameter_m,
                  aligned.config.detection, examiner, limit)


def _verdict(aligned: Aligned, detection: Detection | None) -> tuple[Verdict, tuple[str, ...]]:
    against = [r.name for stage in (aligned.segmentation, aligned.alignment, detection) if stage is not None
               for r in stage.reasons]
    if against or detection is None:
        return Verdict.CANNOT_INSPECT, tuple(against)
    return Verdict.FAIL if detection.score > detection.threshold else Verdict.PASS, ()


def box_around(detection: Detection, share: float = 0.5) -> Box | None:
    """Return the box around the regions that score at least a share of the worst one's; None without regions."""
    if not detection.regions:
        return None
    boxes = [r.box_px for r in detection.regions if r.score >= share * detection.regions[0].score]
    x0, y0 = min(b.x for b in boxes), min(b.y for b in boxes)
    x1, y1 = max(b.x + b.width for b in boxes), max(b.y + b.height for b in boxes)
    return Box(x0, y0, x1 - x0, y1 - y0)


def _shown_pct(case: Case, segmentation: Segmentation) -> float:
    seen = int(segmentation.mask.sum())
    return math.nan if case.mask is None or not case.mask.any() or not seen else 100 * int(case.mask.sum()) / seen


def _small(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA), np.float32)


def _error_deg(alignment: Alignment, T_true: FloatArray | None) -> float:
    if alignment.pose is None or T_true is None:
        return math.nan
    return rotation_angle_deg(alignment.pose.T_camera_part[:3, :3], T_true[:3, :3])
