"""Light on surfaces: Lambert, Blinn-Phong highlights, and what little reaches a point from all around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptad_core.types import FloatArray

Array = NDArray[np.float32]

UP = np.array([0.0, 0.0, 1.0], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """A far-away lamp.

    Attributes:
        direction: (3,) unit vector towards the lamp, cell frame.
        colour: (3,) linear RGB.
        softness: half angle that the lamp is seen under, as a tangent; the width of its shadows' rims.
    """

    direction: FloatArray
    colour: FloatArray
    softness: float


@dataclass(frozen=True, slots=True)
class Lighting:
    """All light in a scene. Colours (3,) linear RGB."""

    lamps: tuple[Light, ...]
    sky: FloatArray
    ground: FloatArray


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """Draw a key lamp, a weaker one from another side, and the light of the room."""
    azimuth = rng.uniform(0, 2 * np.pi)
    warm = rng.uniform(-0.06, 0.06)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    key = Light(_direction(azimuth, rng.uniform(48, 68)), tint * rng.uniform(0.72, 0.88), rng.uniform(0.04, 0.08))
    side = azimuth + rng.choice([-1, 1]) * rng.uniform(1.6, 2.6)
    fill = Light(_direction(side, rng.uniform(35, 60)), np.ones(3) * rng.uniform(0.10, 0.18), rng.uniform(0.10, 0.2))
    room = rng.uniform(0.26, 0.34)
    return Lighting((key, fill), room * np.array([0.98, 1.0, 1.03]), room * rng.uniform(0.40, 0.55) * tint)


def draw_room_light(rng: np.random.Generator) -> Lighting:
    """Draw one to three lamps from the sides and above, of any colour and size, in a lighter or darker room."""
    lamps = [Light(_direction(rng.uniform(0, 2 * np.pi), rng.uniform(32, 70)), _tint(rng, 0.15) * rng.uniform(0.2, 1.0),
                   float(rng.uniform(0.02, 0.22))) for _ in range(int(rng.integers(1, 4)))]
    room = rng.uniform(0.08, 0.6)
    return Lighting(tuple(lamps), room * _tint(rng, 0.1), room * rng.uniform(0.1, 0.9) * _tint(rng, 0.15))


def draw_further_light(rng: np.random.Generator) -> Lighting:
    """Draw one to five lamps from the sides and above, hard or as wide as windows, one of them perhaps coloured.

    Wider than :func:`draw_room_light` in strength, size and colour, but with no lamp as low or as steep, and no such
    ring, as :func:`draw_raking_light` draws.
    """
    hard = rng.random() < 0.4
    coloured = 0.5 if rng.random() < 0.35 else 0.15
    lamps = []
    for _ in range(int(rng.choice([1, 2, 3, 4, 5], p=[0.35, 0.25, 0.2, 0.1, 0.1]))):
        softness = rng.uniform(0.004, 0.03) if hard else rng.uniform(0.05, 0.45)
        strength = np.exp(rng.uniform(np.log(0.12), np.log(1.3)))
        lamps.append(Light(_direction(rng.uniform(0, 2 * np.pi), rng.uniform(31, 74)), _tint(rng, coloured) * strength,
                           float(softness)))
    room = np.exp(rng.uniform(np.log(0.08), np.log(0.8)))
    sky, ground = room * _tint(rng, 0.25), room * rng.uniform(0.05, 1.1) * _tint(rng, 0.3)
    return Lighting(tuple(lamps), sky, ground)


def draw_raking_light(rng: np.random.Generator) -> Lighting:
    """Draw what :func:`draw_room_light` never does: a lamp low at one side, one straight above, or a ring of them."""
    style, azimuth = int(rng.integers(3)), rng.uniform(0, 2 * np.pi)
    if style == 0:
        lamps = [Light(_direction(azimuth, rng.uniform(12, 26)), _tint(rng, 0.2) * rng.uniform(0.6, 1.1), 0.03)]
    elif style == 1:
        lamps = [Light(_direction(azimuth, rng.uniform(78, 89)), _tint(rng, 0.1) * rng.uniform(0.5, 1.0),
                       float(rng.uniform(0.25, 0.4)))]
    else:
        lamps = [Light(_direction(azimuth + turn, 28.0), _tint(rng, 0.05) * rng.uniform(0.15, 0.4), 0.1)
                 for turn in (0.0, np.pi / 2, np.pi, 3 * np.pi / 2)]
    room = rng.uniform(0.12, 0.5)
    return Lighting(tuple(lamps), room * _tint(rng, 0.1), room * rng.uniform(0.1, 0.9) * _tint(rng, 0.15))


def _tint(rng: np.random.Generator, strength: float) -> FloatArray:
    return 1 + rng.uniform(-strength, strength, 3)


def _direction(azimuth: float, elevation_deg: float) -> FloatArray:
    e = np.radians(elevation_deg)
    return np.array([np.cos(e) * np.cos(azimuth), np.cos(e) * np.sin(azimuth), np.sin(e)])


@dataclass(frozen=True, slots=True)
class Surface:
    """n points of surfaces as the light meets them; ``(n, 3)`` arrays in the cell frame, unit vectors.

    Attributes:
        normal: shading normals, towards the camera.
        view: towards the camera.
        albedo: linear colours.
        specular, gloss, metallic: (n,) of the materials.
        lit: (n, lamps) share 0..1 of each lamp that is seen from the point.
        open: (n,) share 0..1 of the surroundings that is seen from the point.
    """

    normal: Array
    view: Array
    albedo: Array
    specular: Array
    gloss: Array
    metallic: Array
    lit: Array
    open: Array


def shade(surface: Surface, lighting: Lighting) -> Array:
    """Return the (n, 3) linear colours that the camera sees."""
    s = surface
    sky, ground = lighting.sky.astype(np.float32), lighting.ground.astype(np.float32)
    diffuse = s.albedo * (1 - 0.7 * s.metallic[:, None])
    out = diffuse * _surroundings(s.normal[:, 2], sky, ground) * s.open[:, None]
    highlight = s.specular[:, None] * (1 + s.metallic[:, None] * (s.albedo - 1))
    for k, lamp in enumerate(lighting.lamps):
        towards = lamp.direction.astype(np.float32)
        cosine = np.clip(s.normal @ towards, 0, None) * s.lit[:, k]
        half = s.view + towards
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        gleam = np.clip(np.einsum("ij,ij->i", s.normal, half), 0, None) ** s.gloss * (s.gloss + 8) / 24
        out += (diffuse * cosine[:, None] + highlight * (gleam * cosine)[:, None]) * lamp.colour.astype(np.float32)
    facing = np.clip(np.einsum("ij,ij->i", s.normal, s.view), 0, 1)
    mirrored_z = 2 * facing * s.normal[:, 2] - s.view[:, 2]
    fresnel = (0.03 + 0.55 * s.metallic + 0.3 * (1 - facing) ** 5 * (s.gloss > 10))[:, None]
    tint = 1 + s.metallic[:, None] * (s.albedo - 1)
    return np.asarray(out + fresnel * tint * _surroundings(mirrored_z, sky, ground) * s.open[:, None])


def shade_table(albedo: Array, shares: Array, lighting: Lighting) -> Array:
    """Return the (n, 3) colours of a matt plane facing up, from its (n, 3) albedo and (n, lamps + 1) shares of light.

    The last share is that of the surroundings.
    """
    lamps = [lamp.colour * lamp.direction[2] for lamp in lighting.lamps]
    light = np.zeros_like(albedo)
    for share, colour in zip(shares.T, [*lamps, lighting.sky], strict=True):
        light += share[:, None] * colour.astype(np.float32)
    return np.asarray(albedo * light)


def _surroundings(z: Array, sky: Array, ground: Array) -> Array:
    """Light from the side that a direction with this z-component looks to: (n,) -> (n, 3)."""
    t = np.clip(0.5 + 0.5 * z, 0, 1)[:, None]
    return np.asarray(ground + (sky - ground) * (t * t * (3 - 2 * t)))
