"""From light to a camera's picture: lens, exposure, noise, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ptad_core.types import ColorImage, FloatArray, FloatImage

MIDDLE = 0.26
"""Mean linear light of a picture that a camera with metering aims at."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a camera does to the light.

    Attributes:
        exposure: factor on the light.
        balance: (3,) factors on red, green, blue.
        blur_px: sigma of the lens's blur.
        vignetting: loss of light in the corners, 0..1.
        noise: standard deviation of the noise at white, in sRGB levels 0..255; dark areas have about half of it.
        metered: whether ``exposure`` is relative to one at which the picture is of middle brightness.
        gamma: exponent on the finished levels 0..1; 1 leaves them as they are.
        shake_px: (2,) way of the camera during the exposure, pixels.
        jpeg: quality 1..100 at which the picture was stored; 0 where it was stored without loss.
    """

    exposure: float
    balance: FloatArray
    blur_px: float
    vignetting: float
    noise: float
    metered: bool = False
    gamma: float = 1.0
    shake_px: tuple[float, float] = (0.0, 0.0)
    jpeg: int = 0


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a camera as good ones in a cell are."""
    return Sensor(exposure=float(rng.uniform(0.85, 1.1)), balance=rng.uniform(0.98, 1.02, 3),
                  blur_px=float(rng.uniform(0.45, 0.7)), vignetting=float(rng.uniform(0.08, 0.2)),
                  noise=float(rng.uniform(1.5, 3.0)))


def draw_any_sensor(rng: np.random.Generator) -> Sensor:
    """Draw any camera: dark or bright, soft or shaken, noisy, stored with loss."""
    shake = rng.uniform(-2.5, 2.5, 2) if rng.random() < 0.15 else np.zeros(2)
    noise = float(np.exp(rng.uniform(np.log(0.5), np.log(8.0))))
    return Sensor(exposure=float(np.exp(rng.uniform(-0.45, 0.4))), balance=rng.uniform(0.85, 1.15, 3),
                  blur_px=float(rng.uniform(0.3, 1.1)), vignetting=float(rng.uniform(0.0, 0.4)),
                  noise=noise, metered=True, gamma=float(np.exp(rng.uniform(-0.25, 0.25))),
                  shake_px=(float(shake[0]), float(shake[1])), jpeg=int(rng.integers(35, 96)) * (rng.random() < 0.5))


def draw_further_sensor(rng: np.random.Generator) -> Sensor:
    """Draw any camera, or a worse one: of a wrong exposure or white, out of focus, noisy, stored with more loss."""
    sensor = draw_any_sensor(rng)
    if rng.random() < 0.5:
        return sensor
    return replace(sensor, exposure=float(np.exp(rng.uniform(-0.6, 0.6))), balance=rng.uniform(0.65, 1.35, 3),
                   blur_px=float(rng.uniform(0.3, 1.6)), gamma=float(np.exp(rng.uniform(-0.4, 0.4))),
                   noise=float(np.exp(rng.uniform(np.log(0.5), np.log(11.0)))),
                   jpeg=int(rng.integers(22, 96)) * (rng.random() < 0.5))


def expose(light: FloatImage, sensor: Sensor, rng: np.random.Generator) -> ColorImage:
    """Turn (H, W, 3) linear RGB light into a BGR picture."""
    height, width = light.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    r2 = ((x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2) / ((width ** 2 + height ** 2) / 4)
    exposure = sensor.exposure * (MIDDLE / max(float(light.mean()), 1e-4) if sensor.metered else 1.0)
    seen = light * sensor.balance * (exposure * (1 - sensor.vignetting * r2))[..., None]
    seen = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), sensor.blur_px)
    if any(sensor.shake_px):
        seen = cv2.filter2D(seen, -1, _line(sensor.shake_px))
    levels = 255.0 * _tone(seen) ** (sensor.gamma / 2.2)
    sigma = sensor.noise * (0.5 + levels / 510.0)
    levels += rng.standard_normal(levels.shape, dtype=np.float32) * sigma
    image = np.ascontiguousarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[..., ::-1])
    if sensor.jpeg:
        stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])[1]
        image = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def _line(way_px: tuple[float, float]) -> FloatImage:
    """Return the (7, 7) kernel of a straight way of at most 6 pixels."""
    kernel = np.zeros((7, 7), np.float32)
    for t in np.linspace(-0.5, 0.5, 25):
        kernel[round(3 + t * way_px[1]), round(3 + t * way_px[0])] += 1
    return np.asarray(kernel / kernel.sum())


def _tone(light: FloatImage) -> FloatImage:
    """Roll bright light off towards white instead of clipping it."""
    knee = 0.75
    over = np.clip(light - knee, 0, None)
    return np.asarray(np.clip(np.minimum(light, knee), 0, None) + (1 - knee) * (1 - np.exp(-over / (1 - knee))))
