"""The vocabulary: what travels between the stages. Frozen, typed, in SI units unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FloatImage = NDArray[np.float32]
MaskImage = NDArray[np.bool_]
ColorImage = NDArray[np.uint8]


class Verdict(IntEnum):
    """The three answers. Zero is CANNOT_INSPECT, so that a message nobody filled in never reads as good."""

    CANNOT_INSPECT = 0
    PASS = 1
    FAIL = 2


class Reason(IntEnum):
    """Why. Mirrored by the constants of ``ptad_msgs/InspectionResult`` (a test compares them)."""

    # segmentation
    NO_OBJECT = 10
    MASK_UNRELIABLE = 11
    CUT_BY_BORDER = 12
    # alignment
    POSE_NOT_FOUND = 20
    POSE_NOT_CONVERGED = 21
    POSE_UNTRUSTED = 22
    POSE_AMBIGUOUS = 23
    OUT_OF_VIEW = 24
    SEED_CONTRADICTED = 25
    # input
    TF_MISSING = 30
    TF_STALE = 31
    BAD_INTRINSICS = 32
    SIZE_MISMATCH = 33
    BAD_ENCODING = 34
    CAMERA_INFO_MISSING = 35
    IMAGE_CORRUPT = 36
    NO_REFERENCE = 37
    NO_IMAGE = 38
    INTERNAL_ERROR = 39
    IMAGE_TOO_LARGE = 40
    TIMED_OUT = 41
    CANCELLED = 42
    NOT_ACTIVE = 43
    # detection
    OCCLUDED = 50
    TOO_COARSE = 51
    # why a part failed
    MATERIAL_MISSING = 100
    MATERIAL_SURPLUS = 101
    DISPLACED = 102


class RegionKind(IntEnum):
    """What is wrong with a region."""

    UNKNOWN = 0
    MISSING = 1
    SURPLUS = 2
    DISPLACED = 3


class SeedSource(StrEnum):
    """Where the first guess of a pose came from."""

    NONE = "none"
    TF = "tf"
    TRACK = "track"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box in pixels: ``x, y`` the first column and row inside, ``width, height`` in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class PoseSeed:
    """A first guess of ``T_camera_part`` (4, 4), with how far it may be off (one standard deviation).

    ``from_image``: it was found in the very image that is aligned now. It says where to look, and is no evidence.
    """

    T_camera_part: FloatArray
    source: SeedSource
    sigma_rotation_deg: float = 5.0
    sigma_translation_m: float = 0.01
    from_image: bool = False


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The object's mask in the image.

    Attributes:
        mask: (H, W) bool, true on the object.
        method: name of the segmenter that made it.
        confidence: 0..1; how well the mask's outline is carried by the image.
        box_px: tight box of the mask, None where it is empty.
        reasons: why the mask must not be used; empty where it may be.
        message: the reasons in words, for the operator.
    """

    mask: MaskImage
    method: str
    confidence: float
    box_px: Box | None
    reasons: tuple[Reason, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class AlignedPose:
    """A refined pose, with how far to trust it.

    Attributes:
        T_camera_part: (4, 4) maps part coordinates in metres into the camera's optical frame.
        covariance: (6, 6) of the pose in the camera's frame, order x, y, z, rotX, rotY, rotZ (m, rad; ROS order,
            rotation about the fixed camera axes through the part's origin).
        mask_iou: rendered mask against query mask, 0..1, at the working resolution.
        residual_px: median distance between the two outlines, in pixels of the original image.
        seed_source: what the refinement started from.
        runner_up_margin: cost of the best clearly different hypothesis relative to this one, minus 1; large is
            safe, near 0 means that another pose explains the picture as well. ``inf`` where none was tried.
        runner_up_T_camera_part: (4, 4) of that hypothesis, None where none was tried.
        ambiguous: the margin is too small to decide.
        converged: the last step was below the solver's tolerance.
        seed_offset_deg: angle between the pose that TF promised and this one; NaN where TF promised none.
        seed_offset_m: distance between the two at the part's centre; NaN likewise.
    """

    T_camera_part: FloatArray
    covariance: FloatArray
    mask_iou: float
    residual_px: float
    seed_source: SeedSource
    runner_up_margin: float
    runner_up_T_camera_part: FloatArray | None
    ambiguous: bool
    converged: bool
    seed_offset_deg: float = float("nan")
    seed_offset_m: float = float("nan")


@dataclass(frozen=True, slots=True)
class Alignment:
    """What the pose stage found: a pose with trust figures, and why it must not be used, if so."""

    pose: AlignedPose | None
    reasons: tuple[Reason, ...] = ()
    message: str = ""

    @property
    def trusted(self) -> bool:
        return self.pose is not None and not self.reasons


@dataclass(frozen=True, slots=True)
class Rendering:
    """The reference as the camera would see it.

    Attributes:
        mask: (H, W) float32 coverage 0..1.
        depth: (H, W) float32 z-depth in metres (REP-118), NaN outside the part.
        normals: (H, W, 3) float32 unit surface normals in the camera frame, towards the camera; NaN outside.
    """

    mask: FloatImage
    depth: FloatImage
    normals: FloatImage


@dataclass(frozen=True, slots=True)
class AnomalyRegion:
    """One place where the part differs from its CAD, in the image and on the part.

    Attributes:
        box_px: in the original image.
        kind: missing, surplus or displaced.
        score: relative to the threshold: 1 is the limit.
        size_mm: how far the deviation reaches (largest distance to where the outline should be).
        area_px: pixels of the original image.
        centroid_part_m: (3,) centre on the part's surface, part frame.
        extent_part_m: (3,) axis-aligned size in the part frame.
        normal_part: (3,) unit surface normal there, part frame, pointing out of the part.
    """

    box_px: Box
    kind: RegionKind
    score: float
    size_mm: float
    area_px: int
    centroid_part_m: FloatArray
    extent_part_m: FloatArray
    normal_part: FloatArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detection's score was made of.

    Attributes:
        geometric_score: deviation of the worst measured region relative to the tolerance; 0 where there is none.
        outline_pct: largest deviation of the outline, in percent of the diameter.
        edges_pct: largest displacement of an edge likewise.
        network_logit: the network's opinion, NaN where there is no network.
        defect_logit: of the part being defective, from network and geometry together; NaN likewise.
    """

    geometric_score: float
    outline_pct: float
    edges_pct: float
    network_logit: float = float("nan")
    defect_logit: float = float("nan")


@dataclass(frozen=True, slots=True)
class Detection:
    """What the detector says of an aligned image.

    Attributes:
        anomaly_map: (H, W) float32, deviation relative to the threshold (1 is the limit), original image.
        score: the largest region's score; 0 where there is none.
        threshold: what the score is held against.
        regions: sorted, worst first.
        reasons: why no verdict may be given; empty where one may.
        message: the reasons in words, for the operator.
        p_value: the share of good parts, 0..1, that score at least as high; NaN without a calibration.
        evidence: what the score was made of; None where it is not known, as from a message.
    """

    anomaly_map: FloatImage
    score: float
    threshold: float
    regions: tuple[AnomalyRegion, ...]
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    p_value: float = float("nan")
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class StageTime:
    """Wall time of one stage, in milliseconds."""

    stage: str
    ms: float


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """The answer for one image; later stages are None where an earlier one stopped the inspection."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    message: str
    part_id: str
    reference_hash: str
    segmentation: Segmentation | None = None
    alignment: Alignment | None = None
    rendering: Rendering | None = None
    detection: Detection | None = None
    times: tuple[StageTime, ...] = field(default=())

    @property
    def pose(self) -> AlignedPose | None:
        return self.alignment.pose if self.alignment is not None else None
