"""Image -> the object's mask, by the configured method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import SegmentationConfig
from ptad_core.errors import ConfigError
from ptad_core.reference.build import Reference
from ptad_core.rendering import render_mask
from ptad_core.segmentation import foreground
from ptad_core.segmentation.local_colour import by_local_colour
from ptad_core.segmentation.mask import finish, to_lab
from ptad_core.types import ColorImage, FloatImage, MaskImage, PoseSeed, Reason, Segmentation

MIN_CARRIED = 0.9
"""Share of the outline that the image must carry where the mask was cut out around a pose."""


@dataclass(frozen=True, slots=True)
class Background:
    """The empty scene, loaded once: (H, W, 3) CIELAB."""

    lab: FloatImage

    @classmethod
    def load(cls, path: str) -> Background:
        image = cv2.imread(str(Path(path).expanduser()), cv2.IMREAD_COLOR)
        if image is None:
            raise ConfigError(f"segmentation.background: expected a readable picture of the empty scene, got {path!r}")
        return cls(to_lab(np.asarray(image, dtype=np.uint8)))


def segment(image_bgr: ColorImage, camera: Camera, reference: Reference, config: SegmentationConfig,
            seed: PoseSeed | None = None, background: Background | None = None) -> Segmentation:
    """Find the object's mask in a rectified (H, W, 3) image.

    ``seed`` is needed by the grabcut method only; without one it cannot start, and says so.

    Raises:
        ConfigError: if the background method has no background picture.
    """
    lab = to_lab(image_bgr)
    if config.method == "threshold":
        found = foreground.by_threshold(image_bgr, config.hsv_low, config.hsv_high)
    elif config.method == "background":
        if background is None:
            raise ConfigError("segmentation.method is 'background': expected segmentation.background to name a picture "
                              "of the empty scene, got none")
        found = foreground.by_background(lab, background.lab, config.background_threshold, config.shadows)
    elif config.method == "grabcut":
        if seed is None:
            empty = np.zeros(image_bgr.shape[:2], dtype=bool)
            return Segmentation(empty, config.method, 0.0, None, (Reason.NO_OBJECT,),
                                "the grabcut method starts from a pose seed, and there is none")
        found = foreground.by_grabcut(image_bgr, *_expected(camera, reference, seed))
    else:
        found = foreground.by_border_colour(lab, config.shadows)
    return finish(found, lab, config.method, config)


def segment_around(image_bgr: ColorImage, camera: Camera, reference: Reference, config: SegmentationConfig,
                   seed: PoseSeed) -> Segmentation:
    """Find the object's mask in a rectified (H, W, 3) image around a pose that is nearly right.

    Where the picture says nothing, such a mask follows the pose that it was cut out around, and would confirm it; so
    more of its outline must be carried by the image than of a mask that was found without one.
    """
    lab = to_lab(image_bgr)
    config = replace(config, min_confidence=max(config.min_confidence, MIN_CARRIED))
    return finish(by_local_colour(lab, *_expected(camera, reference, seed)), lab, "local_colour", config)


def _expected(camera: Camera, reference: Reference, seed: PoseSeed) -> tuple[MaskImage, float]:
    """The part's (H, W) mask at a seed, and how far in pixels its outline may be off."""
    projected = render_mask(reference.gaussians, camera, seed.T_camera_part) > 0.5
    depth = max(float((seed.T_camera_part @ np.append(reference.center_m, 1.0))[2]), 1e-3)
    off_m = seed.sigma_translation_m + np.radians(seed.sigma_rotation_deg) * 0.25 * reference.diameter_m
    return projected, float(camera.fx * off_m / depth)
