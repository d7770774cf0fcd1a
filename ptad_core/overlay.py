"""The picture that a person looks at: the image with the aligned outline, what is wrong with it, and the verdict."""

from __future__ import annotations

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.frames import invert, transform_points
from ptad_core.types import (
    AnomalyRegion,
    ColorImage,
    FloatArray,
    FloatImage,
    InspectionResult,
    Reason,
    RegionKind,
    Rendering,
    Verdict,
)

Color = tuple[int, int, int]

VERDICT_COLORS: dict[Verdict, Color] = {  # BGR
    Verdict.PASS: (74, 142, 31),
    Verdict.FAIL: (47, 47, 207),
    Verdict.CANNOT_INSPECT: (20, 114, 200),
}
KIND_COLORS: dict[RegionKind, Color] = {
    RegionKind.MISSING: (0, 140, 255),
    RegionKind.SURPLUS: (210, 60, 220),
    RegionKind.DISPLACED: (0, 215, 255),
    RegionKind.UNKNOWN: (255, 255, 255),
}
OUTLINE_COLOR: Color = (255, 235, 30)
_AXIS_COLORS: tuple[Color, ...] = ((60, 60, 255), (60, 220, 60), (255, 130, 60))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SUBPIXEL_BITS = 4


def verdict_words(verdict: Verdict) -> str:
    """Return a verdict as people read it."""
    return verdict.name.replace("_", " ")


def reason_words(reason: Reason) -> str:
    """Return a reason as people read it: ``MATERIAL_MISSING`` is 'material missing'."""
    words = reason.name.lower().replace("_", " ")
    return words.replace("tf ", "TF ")


def draw_overlay(image_bgr: ColorImage, result: InspectionResult, camera: Camera | None = None,
                 banner: bool = True) -> ColorImage:
    """Return a copy of an image with the result drawn on it.

    Args:
        image_bgr: (H, W, 3) the inspected image, rectified like the result's masks.
        result: what to draw: the outline of the aligned part, the regions, the verdict with its reasons.
        camera: of the image; with it the part's axes are drawn where the pose is ambiguous, once for the pose and
            once, thin, for the runner-up (their outlines look alike, that is the point).
        banner: write verdict and reasons along the top.
    """
    picture = image_bgr.copy()
    scale = max(1.0, picture.shape[1] / 640)
    if result.rendering is not None:
        draw_outline(picture, result.rendering.mask)
        if camera is not None:
            _draw_ambiguity(picture, result, result.rendering, camera, scale)
    if result.detection is not None:
        draw_regions(picture, result.detection.regions)
    if banner:
        _draw_banner(picture, result, scale)
    return picture


def draw_outline(picture: ColorImage, coverage: FloatImage, color: Color = OUTLINE_COLOR) -> None:
    """Draw the line where a coverage of (H, W) passes 0.5, antialiased and placed finer than a pixel."""
    thickness = max(1, round(picture.shape[1] / 400))
    contours = subpixel_contours(coverage)
    fixed = [np.round(contour * (1 << _SUBPIXEL_BITS)).astype(np.int32) for contour in contours]
    cv2.polylines(picture, fixed, True, (0, 0, 0), thickness + 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(picture, fixed, True, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def subpixel_contours(coverage: FloatImage, factor: int = 4) -> list[FloatArray]:
    """Return the closed lines, each (n, 2) in pixels, where a coverage of (H, W) passes 0.5."""
    rows, columns = np.flatnonzero((coverage > 0).any(1)), np.flatnonzero((coverage > 0).any(0))
    if rows.size == 0:
        return []
    y, x = int(rows[0]), int(columns[0])
    window = np.pad(coverage[y:rows[-1] + 1, x:columns[-1] + 1], 1)
    fine = cv2.resize(window, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours((fine >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    origin = np.array([x - 1, y - 1], dtype=np.float64)
    return [(contour[:, 0].astype(np.float64) + 0.5) / factor - 0.5 + origin for contour in found]


def draw_regions(picture: ColorImage, regions: tuple[AnomalyRegion, ...]) -> None:
    """Draw the box of each region with its kind and size; the worst is drawn last, on top."""
    scale = max(1.0, picture.shape[1] / 640)
    thickness = max(2, round(1.5 * scale))
    for region in reversed(regions):
        box, color = region.box_px, KIND_COLORS[region.kind]
        corner, opposite = (box.x - 2, box.y - 2), (box.x + box.width + 1, box.y + box.height + 1)
        cv2.rectangle(picture, corner, opposite, (0, 0, 0), thickness + 2, cv2.LINE_AA)
        cv2.rectangle(picture, corner, opposite, color, thickness, cv2.LINE_AA)
        _draw_label(picture, f"{region.kind.name.lower()} {region.size_mm:.1f} mm", corner, opposite, color, scale)


def _draw_label(picture: ColorImage, text: str, corner: tuple[int, int], opposite: tuple[int, int], color: Color,
                scale: float) -> None:
    size = 0.5 * scale
    (width, height), _ = cv2.getTextSize(text, _FONT, size, max(1, round(scale)))
    pad = round(4 * scale)
    left = min(max(0, corner[0]), max(0, picture.shape[1] - width - 2 * pad))
    bottom = corner[1] - round(3 * scale)
    if bottom - height - 2 * pad < 30 * scale:  # no room above, below the banner
        bottom = min(opposite[1] + height + 2 * pad + round(3 * scale), picture.shape[0] - 1)
    cv2.rectangle(picture, (left, bottom - height - 2 * pad), (left + width + 2 * pad, bottom), color, cv2.FILLED)
    cv2.putText(picture, text, (left + pad, bottom - pad), _FONT, size, (0, 0, 0), max(1, round(scale)), cv2.LINE_AA)


def _draw_banner(picture: ColorImage, result: InspectionResult, scale: float) -> None:
    height, size, weight = round(28 * scale), 0.55 * scale, max(1, round(scale))
    baseline = round(19 * scale)
    strip = picture[:height].astype(np.float32) * 0.25 + 8
    picture[:height] = strip.astype(np.uint8)
    verdict = verdict_words(result.verdict)
    (width, _), _ = cv2.getTextSize(verdict, _FONT, size, weight + 1)
    block = width + round(20 * scale)
    cv2.rectangle(picture, (0, 0), (block, height - 1), VERDICT_COLORS[result.verdict], cv2.FILLED)
    white = (255, 255, 255)
    cv2.putText(picture, verdict, (round(10 * scale), baseline), _FONT, size, white, weight + 1, cv2.LINE_AA)
    reasons = ", ".join(reason_words(reason) for reason in result.reasons)
    if not reasons:
        return
    left, size = block + round(10 * scale), 0.85 * size
    (width, _), _ = cv2.getTextSize(reasons, _FONT, size, weight)
    size *= min(1.0, max(0.5, (picture.shape[1] - left - round(6 * scale)) / width))
    cv2.putText(picture, reasons, (left, baseline), _FONT, size, white, weight, cv2.LINE_AA)


def _draw_ambiguity(picture: ColorImage, result: InspectionResult, rendering: Rendering, camera: Camera,
                    scale: float) -> None:
    pose = result.pose
    if pose is None or not pose.ambiguous or pose.runner_up_T_camera_part is None:
        return
    ys, xs = np.nonzero(np.isfinite(rendering.depth))
    if ys.size == 0:
        return
    z = rendering.depth[ys, xs].astype(np.float64)
    points = np.stack([(xs - camera.cx) / camera.fx * z, (ys - camera.cy) / camera.fy * z, z], 1)
    seen = transform_points(invert(pose.T_camera_part), points)
    middle, reach = np.median(seen, 0), 0.28 * float(np.linalg.norm(np.ptp(seen, 0)))
    tips = np.vstack([middle, middle + reach * np.eye(3)])
    poses = ("runner-up", pose.runner_up_T_camera_part, 1), ("pose", pose.T_camera_part, 2)
    for name, T_camera_part, weight in poses:
        ends = transform_points(T_camera_part, tips)
        if ends[:, 2].min() <= 0:
            continue
        px = [(round(x), round(y)) for x, y in np.clip(camera.project(ends), -1e4, 1e4)]
        for tip, color in zip(px[1:], _AXIS_COLORS, strict=True):
            cv2.arrowedLine(picture, px[0], tip, color, round(weight * scale), cv2.LINE_AA, tipLength=0.15)
        at = (px[0][0] + round(6 * scale), px[0][1] + round((6 if weight == 1 else -6) * scale))
        cv2.putText(picture, name, at, _FONT, 0.4 * scale, (0, 0, 0), round(3 * scale), cv2.LINE_AA)
        cv2.putText(picture, name, at, _FONT, 0.4 * scale, (255, 255, 255), max(1, round(scale)), cv2.LINE_AA)
