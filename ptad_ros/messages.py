"""Results of the core as ``ptad_msgs``, and back where a node reads them."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, TypeVar

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, TransformStamped, Vector3
from numpy.typing import NDArray
from ptad_msgs import msg
from std_msgs.msg import Header

from ptad_core import types as core
from ptad_core.camera import Camera
from ptad_core.errors import ImageError
from ptad_core.frames import from_quaternion, to_quaternion
from ptad_core.types import FloatArray
from ptad_ros.images import mask_of

NO_POSE = Pose(position=Point(x=np.nan, y=np.nan, z=np.nan),
               orientation=Quaternion(x=np.nan, y=np.nan, z=np.nan, w=np.nan))
"""What is sent where no pose was found: nobody can take it for a pose."""
_UNIT_TOLERANCE = 1e-3
Kind = TypeVar("Kind", bound=Enum)


def pose_message(T_a_b: FloatArray) -> Pose:
    """Return a (4, 4) transform as a pose of b in a."""
    x, y, z = T_a_b[:3, 3].tolist()
    qx, qy, qz, qw = to_quaternion(T_a_b).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def transform_of(pose: Any) -> FloatArray:
    """Return the (4, 4) transform of a pose message."""
    p, q = pose.position, pose.orientation
    return from_quaternion(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def transform_message(T_a_b: FloatArray, header: Header, child: str) -> TransformStamped:
    """Return a (4, 4) transform for /tf; the header names frame a."""
    pose = pose_message(T_a_b)
    message = TransformStamped(header=header, child_frame_id=child)
    message.transform.translation = _vector(T_a_b[:3, 3])
    message.transform.rotation = pose.orientation
    return message


def aligned_pose_message(alignment: core.Alignment, header: Header, part_id: str,
                         reference_hash: str) -> msg.AlignedPose:
    """Return an alignment as a message; without a pose it carries the reasons and NaN."""
    message = msg.AlignedPose(
        header=header, part_id=part_id, reference_hash=reference_hash, trusted=alignment.trusted,
        reasons=_reasons(alignment.reasons), message=alignment.message, runner_up=NO_POSE)
    pose = alignment.pose
    if pose is None:
        message.pose = PoseWithCovariance(pose=NO_POSE, covariance=np.full(36, np.nan))
        message.residual_px = message.seed_offset_deg = message.seed_offset_m = float("nan")
        message.seed_source = core.SeedSource.NONE.value
        return message
    message.pose = PoseWithCovariance(pose=pose_message(pose.T_camera_part), covariance=pose.covariance.ravel())
    message.mask_iou = float(pose.mask_iou)
    message.residual_px = float(pose.residual_px)
    message.seed_source = pose.seed_source.value
    message.seed_offset_deg = float(pose.seed_offset_deg)
    message.seed_offset_m = float(pose.seed_offset_m)
    message.runner_up_margin = float(pose.runner_up_margin)
    if pose.runner_up_T_camera_part is not None:
        message.has_runner_up = True
        message.runner_up = pose_message(pose.runner_up_T_camera_part)
    message.ambiguous = bool(pose.ambiguous)
    message.converged = bool(pose.converged)
    return message


def alignment_of(message: Any, reference_hash: str | None = None) -> core.Alignment:
    """Return the alignment that a message carries; whatever makes its pose unusable becomes a reason.

    Args:
        message: ``AlignedPose``.
        reference_hash: of the reference that the pose will be used with; None takes any.
    """
    reasons = _reasons_of(message.reasons)
    T_camera_part = _rigid_or_none(message.pose.pose)
    if T_camera_part is None:
        return core.Alignment(None, reasons or (core.Reason.POSE_NOT_FOUND,),
                              message.message or "the aligned pose that came is no rigid transform")
    if reference_hash is not None and message.reference_hash != reference_hash:
        return core.Alignment(None, (*reasons, core.Reason.NO_REFERENCE), (
            f"the pose belongs to reference {message.reference_hash or '(none)'} of part {message.part_id or '(none)'}"
            f", here {reference_hash} is loaded; give all stages the same part and reference settings"))
    words = message.message
    if not message.trusted and not reasons:
        reasons = (core.Reason.POSE_UNTRUSTED,)
        words = words or "the stage before does not trust the pose, and does not say why"
    pose = core.AlignedPose(
        T_camera_part=T_camera_part,
        covariance=np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6),
        mask_iou=message.mask_iou, residual_px=message.residual_px,
        seed_source=_known(core.SeedSource, message.seed_source, core.SeedSource.NONE),
        runner_up_margin=message.runner_up_margin,
        runner_up_T_camera_part=_rigid_or_none(message.runner_up) if message.has_runner_up else None,
        ambiguous=message.ambiguous, converged=message.converged, seed_offset_deg=message.seed_offset_deg,
        seed_offset_m=message.seed_offset_m)
    return core.Alignment(pose, reasons, words)


def _rigid_or_none(pose: Any) -> FloatArray | None:
    """Return the (4, 4) transform of a pose message; None where it holds no number, or no unit quaternion."""
    p, q = pose.position, pose.orientation
    unit = abs(math.hypot(q.x, q.y, q.z, q.w) - 1.0) < _UNIT_TOLERANCE
    return transform_of(pose) if unit and np.isfinite([p.x, p.y, p.z]).all() else None


def mask_status_message(segmentation: core.Segmentation, header: Header) -> msg.MaskStatus:
    """Return what is known of a mask besides its pixels."""
    box = segmentation.box_px or core.Box(0, 0, 0, 0)
    return msg.MaskStatus(
        header=header, method=segmentation.method, confidence=float(segmentation.confidence), box_x=int(box.x),
        box_y=int(box.y), box_width=int(box.width), box_height=int(box.height),
        area_px=int(np.count_nonzero(segmentation.mask)), reasons=_reasons(segmentation.reasons),
        message=segmentation.message)


def segmentation_of(mask: Any, status: Any, camera: Camera | None = None) -> core.Segmentation:
    """Return the segmentation that a mask message and its status carry.

    Raises:
        ImageError: if the mask is no image, or not of the camera's size where one is given.
    """
    pixels = mask_of(mask)
    reasons = _reasons_of(status.reasons)
    if camera is not None and not reasons and pixels.shape != (camera.height, camera.width):
        raise ImageError(f"expected a mask of {camera.width}x{camera.height} as the image has, got "
                         f"{pixels.shape[1]}x{pixels.shape[0]}")
    box = core.Box(status.box_x, status.box_y, status.box_width, status.box_height) if status.box_width else None
    return core.Segmentation(pixels, status.method, status.confidence, box, reasons, status.message)


def result_message(result: core.InspectionResult, header: Header) -> msg.InspectionResult:
    """Return the answer for one image as a message."""
    detection = result.detection
    message = msg.InspectionResult(
        header=header, verdict=int(result.verdict), reasons=_reasons(result.reasons), message=result.message,
        part_id=result.part_id, reference_hash=result.reference_hash,
        score=float("nan") if detection is None else float(detection.score),
        threshold=float("nan") if detection is None else float(detection.threshold),
        p_value=float("nan") if detection is None else float(detection.p_value),
        regions=[region_message(r) for r in detection.regions] if detection else [],
        times=[msg.StageTime(stage=t.stage, ms=float(t.ms)) for t in result.times])
    message.has_pose = result.pose is not None
    alignment = result.alignment or core.Alignment(None, result.reasons, result.message)
    message.pose = aligned_pose_message(alignment, header, result.part_id, result.reference_hash)
    return message


def region_message(region: core.AnomalyRegion) -> msg.AnomalyRegion:
    """Return one deviation as a message."""
    box = region.box_px
    return msg.AnomalyRegion(
        x=int(box.x), y=int(box.y), width=int(box.width), height=int(box.height), area_px=int(region.area_px),
        kind=int(region.kind), score=float(region.score), size_mm=float(region.size_mm),
        centroid=Point(**dict(zip("xyz", map(float, region.centroid_part_m), strict=True))),
        extent=_vector(region.extent_part_m), normal=_vector(region.normal_part))


def result_of(message: Any, segmentation: core.Segmentation | None, rendering: core.Rendering | None,
              anomaly_map: core.FloatImage | None) -> core.InspectionResult:
    """Return the answer that a message carries, with the pictures that were published beside it."""
    detection = None
    if not np.isnan(message.score):
        detection = core.Detection(np.zeros((1, 1), np.float32) if anomaly_map is None else anomaly_map,
                                   float(message.score), float(message.threshold),
                                   tuple(region_of(r) for r in message.regions), p_value=float(message.p_value))
    return core.InspectionResult(
        _known(core.Verdict, message.verdict, core.Verdict.CANNOT_INSPECT), _reasons_of(message.reasons),
        message.message, message.part_id, message.reference_hash, segmentation=segmentation,
        alignment=alignment_of(message.pose) if message.has_pose else None, rendering=rendering, detection=detection,
        times=tuple(core.StageTime(t.stage, float(t.ms)) for t in message.times))


def region_of(message: Any) -> core.AnomalyRegion:
    """Return the deviation that a message carries."""
    c, e, n = message.centroid, message.extent, message.normal
    return core.AnomalyRegion(
        core.Box(int(message.x), int(message.y), int(message.width), int(message.height)),
        _known(core.RegionKind, message.kind, core.RegionKind.UNKNOWN), float(message.score), float(message.size_mm),
        int(message.area_px),
        np.array([c.x, c.y, c.z]), np.array([e.x, e.y, e.z]), np.array([n.x, n.y, n.z]))


def _vector(v: NDArray[np.float64]) -> Vector3:
    return Vector3(x=float(v[0]), y=float(v[1]), z=float(v[2]))


def _known(kind: type[Kind], value: Any, otherwise: Kind) -> Kind:
    """Return a constant by its number; of one that only another version knows, what commits to least."""
    try:
        return kind(value)
    except ValueError:
        return otherwise


def _reasons_of(numbers: Any) -> tuple[core.Reason, ...]:
    return tuple(_known(core.Reason, int(number), core.Reason.INTERNAL_ERROR) for number in numbers)


def _reasons(reasons: tuple[core.Reason, ...]) -> list[int]:
    return [int(r) for r in reasons]
