"""From light to a camera's picture: lens, exposure, noise, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ptad_core.types import ColorImage, FloatArray, FloatImage


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a camera does to the light.

    Attributes:
        exposure: factor on the light.
        balance: (3,) factors on red, green, blue.
        blur_px: sigma of the lens's blur.
        vignetting: loss of light in the corners, 0..1.
        noise: standard deviation of the noise at white, in sRGB levels 0..255; dark areas have about half of it.
    """

    exposure: float
    balance: FloatArray
    blur_px: float
    vignetting: float
    noise: float


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a camera as good ones in a cell are."""
    return Sensor(exposure=float(rng.uniform(0.85, 1.1)), balance=rng.uniform(0.98, 1.02, 3),
                  blur_px=float(rng.uniform(0.45, 0.7)), vignetting=float(rng.uniform(0.08, 0.2)),
                  noise=float(rng.uniform(1.5, 3.0)))


def expose(light: FloatImage, sensor: Sensor, rng: np.random.Generator) -> ColorImage:
    """Turn (H, W, 3) linear RGB light into a BGR picture."""
    height, width = light.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    r2 = ((x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2) / ((width ** 2 + height ** 2) / 4)
    seen = light * sensor.balance * (sensor.exposure * (1 - sensor.vignetting * r2))[..., None]
    seen = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), sensor.blur_px)
    levels = 255.0 * _tone(seen) ** (1 / 2.2)
    sigma = sensor.noise * (0.5 + levels / 510.0)
    levels += rng.standard_normal(levels.shape, dtype=np.float32) * sigma
    return np.ascontiguousarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[..., ::-1])


def _tone(light: FloatImage) -> FloatImage:
    """Roll bright light off towards white instead of clipping it."""
    knee = 0.75
    over = np.clip(light - knee, 0, None)
    return np.asarray(np.clip(np.minimum(light, knee), 0, None) + (1 - knee) * (1 - np.exp(-over / (1 - knee))))
