"""The pictures of one inspected image: the whole view, and close-ups where the part is.

A close-up is drawn at its final size, so that lines and labels stay crisp however small the part is in the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.errors import CameraError
from ptad_core.overlay import OUTLINE_COLOR, draw_outline, draw_overlay, draw_regions
from ptad_core.types import AnomalyRegion, Box, ColorImage, FloatImage, InspectionResult, MaskImage, Rendering

Scalar = TypeVar("Scalar", np.uint8, np.float32)

_PAPER = 250  # grey level of empty areas
_HEAT_FULL = 3.0  # deviation, relative to the limit, that is drawn in full colour


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its name and what to know about it."""

    name: str
    image_bgr: ColorImage
    caption: str = ""


def pictures_of(image_bgr: ColorImage, result: InspectionResult, camera: Camera | None, width: int) -> list[Picture]:
    """Return image, mask, outline, depth and anomaly map of a result, as far as it got.

    Args:
        image_bgr: (H, W, 3) as recorded; it is rectified here, as the inspector did.
        result: with masks of the same size.
        camera: of the image, None where it is not known.
        width: of the pictures in pixels; an image smaller than this is not blown up.
    """
    image_bgr, camera = rectified(image_bgr, camera)
    pictures = [Picture("image", _fit(image_bgr, width), f"{image_bgr.shape[1]} × {image_bgr.shape[0]} px")]
    if result.segmentation is not None:
        pictures.append(Picture("mask", mask_picture(_fit_mask(result.segmentation.mask, width)),
                                f"{result.segmentation.method}, confidence {result.segmentation.confidence:.2f}"))
    if result.rendering is None:
        return pictures
    window = close_up_window(image_bgr.shape[1], image_bgr.shape[0], result)
    factor = min(width, image_bgr.shape[1]) / window.width
    view = _zoom(image_bgr, window, factor)
    near = zoom_result(result, window, factor)
    height, wide = view.shape[:2]
    near_camera = None if camera is None else camera.cropped(window.x, window.y, window.width, window.height).scaled(
        factor, wide, height)
    ambiguous = result.pose is not None and result.pose.ambiguous
    pictures.append(Picture("outline", draw_overlay(view, near, near_camera, banner=False),
                            f"close-up × {factor:.1f}" + (", ambiguous: both poses' axes" if ambiguous else "")))
    assert near.rendering is not None
    depth, nearest, farthest = depth_picture(near.rendering.depth)
    if math.isfinite(nearest):
        pictures.append(Picture("depth", depth, f"{1e3 * nearest:.0f} to {1e3 * farthest:.0f} mm"))
    if near.detection is not None:
        anomaly = anomaly_picture(view, near.detection.anomaly_map, near.rendering, near.detection.regions)
        pictures.append(Picture("anomaly", anomaly, f"score {near.detection.score:.2f}, limit "
                                                    f"{near.detection.threshold:.2f}"))
    return pictures


def rectified(image_bgr: ColorImage, camera: Camera | None) -> tuple[ColorImage, Camera | None]:
    """Return an image as the inspector saw it; as recorded, without a camera, where that one cannot be used."""
    try:
        if camera is not None:
            camera.require_size(image_bgr)
            return camera.rectify(image_bgr)
    except CameraError:
        pass  # the frame's result says so already; the picture is shown all the same
    return image_bgr, None


def mask_picture(mask: MaskImage) -> ColorImage:
    """Return a mask (H, W) as white on dark."""
    picture = np.full((*mask.shape, 3), (58, 46, 40), np.uint8)
    picture[mask] = 255
    return picture


def depth_picture(depth: FloatImage) -> tuple[ColorImage, float, float]:
    """Return a depth (H, W) in colours on paper, with its nearest and farthest value in metres (NaN where empty)."""
    picture = np.full((*depth.shape, 3), _PAPER, np.uint8)
    known = np.isfinite(depth)
    if not known.any():
        return picture, math.nan, math.nan
    nearest, farthest = float(depth[known].min()), float(depth[known].max())
    level = (farthest - np.where(known, depth, farthest)) / max(farthest - nearest, 1e-9)
    colors = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    picture[known] = colors[known]
    return picture, nearest, farthest


def anomaly_picture(image_bgr: ColorImage, anomaly: FloatImage, rendering: Rendering,
                    regions: tuple[AnomalyRegion, ...]) -> ColorImage:
    """Return the anomaly map (H, W) as heat over the paled image, with outline and boxes.

    Nothing is drawn below a quarter of the limit; yellow is at the limit, dark red far above it.
    """
    grey = cv2.cvtColor(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    picture: ColorImage = (0.45 * grey.astype(np.float32) + 0.55 * _PAPER).astype(np.uint8)
    level = np.nan_to_num(anomaly, nan=0.0) / _HEAT_FULL
    heat = cv2.applyColorMap(255 - np.clip(255 * (0.25 + 0.75 * level), 0, 255).astype(np.uint8), cv2.COLORMAP_AUTUMN)
    strength = np.clip((level * _HEAT_FULL - 0.25) / 0.75, 0.0, 0.9)[..., None].astype(np.float32)
    picture = (picture * (1 - strength) + heat * strength).astype(np.uint8)
    draw_outline(picture, rendering.mask, OUTLINE_COLOR)
    draw_regions(picture, regions)
    return picture


def close_up_window(width: int, height: int, result: InspectionResult, margin: float = 0.15) -> Box:
    """Return the part of an image that holds mask, outline and regions, in the image's own shape."""
    boxes = [_box_of(result.rendering.mask > 0.5)] if result.rendering is not None else []
    if result.segmentation is not None:
        boxes.append(result.segmentation.box_px)
    if result.detection is not None:
        boxes += [region.box_px for region in result.detection.regions]
    known = [box for box in boxes if box is not None]
    if not known:
        return Box(0, 0, width, height)
    left, top = min(box.x for box in known), min(box.y for box in known)
    right, bottom = max(box.x + box.width for box in known), max(box.y + box.height for box in known)
    share = (1 + 2 * margin) * max((right - left) / width, (bottom - top) / height)
    w, h = min(width, math.ceil(share * width)), min(height, math.ceil(share * height))
    x = min(max(0, (left + right - w) // 2), width - w)
    y = min(max(0, (top + bottom - h) // 2), height - h)
    return Box(x, y, w, h)


def zoom_result(result: InspectionResult, window: Box, factor: float) -> InspectionResult:
    """Return a result as it would be for a window of its image, resized by ``factor``."""
    rendering, detection = result.rendering, result.detection
    if rendering is not None:
        depth = _zoom(rendering.depth, window, factor, cv2.INTER_NEAREST)
        normals = _zoom(rendering.normals, window, factor, cv2.INTER_NEAREST)
        rendering = Rendering(_zoom(rendering.mask, window, factor), depth, normals)
    if detection is not None:
        regions = tuple(replace(region, box_px=_zoom_box(region.box_px, window, factor))
                        for region in detection.regions)
        detection = replace(detection, anomaly_map=_zoom(detection.anomaly_map, window, factor), regions=regions)
    return replace(result, rendering=rendering, detection=detection)


def _zoom(image: NDArray[Scalar], window: Box, factor: float, how: int | None = None) -> NDArray[Scalar]:
    cut = image[window.y:window.y + window.height, window.x:window.x + window.width]
    size = (max(1, round(window.width * factor)), max(1, round(window.height * factor)))
    if how is None:
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(cut, size, interpolation=how).astype(image.dtype, copy=False)


def _zoom_box(box: Box, window: Box, factor: float) -> Box:
    return Box(round((box.x - window.x) * factor), round((box.y - window.y) * factor),
               max(1, round(box.width * factor)), max(1, round(box.height * factor)))


def _fit(image_bgr: ColorImage, width: int) -> ColorImage:
    whole = Box(0, 0, image_bgr.shape[1], image_bgr.shape[0])
    return _zoom(image_bgr, whole, min(1.0, width / image_bgr.shape[1]))


def _fit_mask(mask: MaskImage, width: int) -> MaskImage:
    whole = Box(0, 0, mask.shape[1], mask.shape[0])
    return _zoom(mask.astype(np.uint8), whole, min(1.0, width / mask.shape[1]), cv2.INTER_NEAREST).astype(np.bool_)


def _box_of(mask: MaskImage) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))
