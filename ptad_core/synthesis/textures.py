"""Solid textures: the colour of a surface point from its place in space, so that any shape can be painted."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from ptad_core.types import FloatArray


class Pattern(StrEnum):
    """How the two colours of a material are mixed."""

    PLAIN = "plain"
    WOOD = "wood"
    STRIPES = "stripes"
    BRUSHED = "brushed"
    SPECKLE = "speckle"
    PATCHES = "patches"
    FADE = "fade"
    MARBLE = "marble"
    CHECKER = "checker"
    DOTS = "dots"
    RUST = "rust"
    CAST = "cast"
    HATCHED = "hatched"
    RULED = "ruled"
    TARTAN = "tartan"
    SHARDS = "shards"
    SCRATCHED = "scratched"
    PRINTED = "printed"
    BANDS = "bands"
    CHEVRONS = "chevrons"
    STREAKS = "streaks"
    DECALS = "decals"


LEARNED_PATTERNS = (Pattern.PLAIN, Pattern.PLAIN, Pattern.WOOD, Pattern.STRIPES, Pattern.BRUSHED, Pattern.SPECKLE,
                    Pattern.PATCHES, Pattern.FADE)
FURTHER_PATTERNS = (Pattern.HATCHED, Pattern.RULED, Pattern.TARTAN, Pattern.SHARDS, Pattern.SCRATCHED, Pattern.PRINTED,
                    Pattern.BANDS, Pattern.CHEVRONS, Pattern.STREAKS, Pattern.DECALS)
UNSEEN_PATTERNS = (Pattern.CAST, Pattern.CAST, Pattern.MARBLE, Pattern.CHECKER, Pattern.DOTS, Pattern.RUST)
"""Patterns to learn from, more of them that only pairs for training show, and those to be judged on; those that stand
twice are drawn more often."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a surface is made of. Colours are linear RGB 0..1; lengths are relative to the part's diameter.

    Attributes:
        pattern: how ``colour`` and ``second`` are mixed.
        frame: (3, 3) axes of the pattern in the part frame, rows.
        scale: length of one repetition.
        specular: strength of the highlight, 0..1.
        gloss: exponent of the highlight; large is polished.
        metallic: 0..1, how much the highlight and reflections take the material's colour.
    """

    pattern: Pattern
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    frame: FloatArray
    scale: float
    specular: float
    gloss: float
    metallic: float


class Noise:
    """Smooth value noise in space: random values on a lattice that repeats, blended in between."""

    SIZE = 32

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice = rng.random((self.SIZE,) * 3, dtype=np.float32)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return (n,) values 0..1 at (n, 3) points; the lattice's step is 1."""
        cell = np.floor(points)
        t = points - cell
        smooth = cell + t * t * (3 - 2 * t)
        return np.asarray(map_coordinates(self._lattice, smooth.T, order=1, mode="grid-wrap"), dtype=np.float64)

    def fractal(self, points: FloatArray, octaves: int) -> FloatArray:
        """Return the sum of octaves, each twice as fine and half as strong, 0..1."""
        weights = 0.5 ** np.arange(octaves)
        values = [w * self(points * 2.0 ** k + 7.3 * k) for k, w in enumerate(weights)]
        return np.asarray(sum(values) / weights.sum())


def albedo(material: Material, points: FloatArray, noise: Noise) -> FloatArray:
    """Return the (n, 3) linear colours at (n, 3) points of the part frame, in units of the part's diameter."""
    p = points @ material.frame.T / material.scale
    mix = _PATTERNS[material.pattern](p, noise)[:, None]
    return np.asarray(np.array(material.colour) * (1 - mix) + np.array(material.second) * mix)


def _plain(p: FloatArray, noise: Noise) -> FloatArray:
    return 0.35 * noise.fractal(p * 2.0, 3)


def _wood(p: FloatArray, noise: Noise) -> FloatArray:
    """Growth rings about an axis beside the part, drawn out along the grain."""
    bent = p + 0.5 * noise(p * [0.25, 1.0, 1.0])[:, None]
    rings = np.sqrt((bent[:, 1] - 3.1) ** 2 + (bent[:, 2] + 2.3) ** 2) * 2.2
    t = rings - np.floor(rings)
    fibres = noise(p * [1.5, 22.0, 22.0])
    return np.asarray(np.clip(0.8 * t ** 2 * (1 - t ** 8) + 0.3 * fibres, 0, 1))


def _stripes(p: FloatArray, noise: Noise) -> FloatArray:
    wave = np.sin(2 * np.pi * (p[:, 0] + 0.08 * noise(p)))
    return np.asarray(np.clip(0.5 + 3.0 * wave, 0, 1))


def _brushed(p: FloatArray, noise: Noise) -> FloatArray:
    fine = noise(p * [2.0, 30.0, 30.0])
    return np.asarray(0.7 * fine + 0.3 * noise.fractal(p, 2))


def _speckle(p: FloatArray, noise: Noise) -> FloatArray:
    grains = noise(p * 14.0)
    return np.asarray(np.clip((grains - 0.66) * 12.0, 0, 1) * 0.9 + 0.1 * noise(p))


def _patches(p: FloatArray, noise: Noise) -> FloatArray:
    """Areas of one of four tones each, with sharp borders, as painted or assembled from scraps."""
    return np.asarray(np.floor(4 * np.clip(1.6 * noise.fractal(p * 2.0, 2) - 0.3, 0, 0.999)) / 3)


def _fade(p: FloatArray, noise: Noise) -> FloatArray:
    return np.asarray(0.5 + 0.5 * np.sin(1.3 * p[:, 0] + 2.0 * noise(p * 0.5)))


def _marble(p: FloatArray, noise: Noise) -> FloatArray:
    return np.asarray(np.abs(np.sin(2.5 * p[:, 0] + 5.0 * noise.fractal(p * 1.5, 4))) ** 0.5)


def _checker(p: FloatArray, noise: Noise) -> FloatArray:
    odd = np.floor(3.0 * p).sum(axis=1) % 2
    return np.asarray(0.85 * odd + 0.15 * noise(p * 4.0))


def _dots(p: FloatArray, noise: Noise) -> FloatArray:
    cell = 3.0 * p
    away = np.linalg.norm(cell - np.floor(cell) - 0.5, axis=1)
    return np.asarray(np.clip((0.42 - away) * 12, 0, 1) * 0.9 + 0.1 * noise(p))


def _rust(p: FloatArray, noise: Noise) -> FloatArray:
    """Blotches with frayed rims that eat into the first colour."""
    return np.asarray(np.clip((noise.fractal(p * 3.0, 5) - 0.47) * 9, 0, 1) * (0.6 + 0.4 * noise(p * 25.0)))


def _cast(p: FloatArray, noise: Noise) -> FloatArray:
    return np.asarray(0.55 * noise(p * 30.0) + 0.25 * noise(p * 3.0))


def _hash(*cells: FloatArray) -> FloatArray:
    """Return (n,) values 0..1 that look random, one for each cell of (n,) whole coordinates."""
    total = sum(c * k for c, k in zip(cells, (12.9898, 78.233, 37.719, 53.117), strict=False))
    wave = np.sin(np.asarray(total)) * 43758.5453
    return np.asarray(wave - np.floor(wave))


def _hatched(p: FloatArray, noise: Noise) -> FloatArray:
    """Thin lines, in some areas along one axis, in others along another."""
    axis = noise(p * 1.2) > 0.5
    line = 5.0 * np.where(axis, p[:, 0] + p[:, 2], p[:, 1] - p[:, 2])
    return np.asarray(((line - np.floor(line)) < 0.25) * 0.9 + 0.1 * noise(p * 3.0))


def _ruled(p: FloatArray, noise: Noise) -> FloatArray:
    """Thin lines across each other, as on graph paper."""
    cell = 3.0 * p + 0.07
    thin = (cell - np.floor(cell) < 0.09).any(axis=1)
    thick = (p + 0.02 - np.floor(p + 0.02) < 0.06).any(axis=1)
    return np.asarray(0.65 * thin + 0.3 * thick + 0.05 * noise(p))


def _tartan(p: FloatArray, noise: Noise) -> FloatArray:
    """Bands of irregular widths along each axis, laid over one another."""
    bands = np.floor(p * 6.0)
    tones = [_hash(np.floor(bands[:, k] / (1 + k)) % 7, np.full(len(p), k + 1.0)) for k in range(3)]
    return np.asarray(np.clip(0.42 * tones[0] + 0.34 * tones[1] + 0.24 * tones[2] + 0.06 * noise(p * 20.0), 0, 1))


def _shards(p: FloatArray, noise: Noise) -> FloatArray:
    """Cells around scattered points, each of a tone of its own."""
    p = 1.6 * p
    corner, best, tone = np.floor(p - 0.5), np.full(len(p), np.inf), np.zeros(len(p))
    for k in range(8):
        cell = corner + np.array([k & 1, k >> 1 & 1, k >> 2])
        x, y, z = cell.T
        point = cell + np.stack([_hash(x, y, z), _hash(y, z, x, x), _hash(z, x, y, y)], axis=1)
        away = ((p - point) ** 2).sum(axis=1)
        nearer = away < best
        best, tone = np.where(nearer, away, best), np.where(nearer, _hash(x, z, y, z), tone)
    return np.asarray(0.95 * tone + 0.05 * noise(p * 8.0))


def _scratched(p: FloatArray, noise: Noise) -> FloatArray:
    """Sparse thin lines in several directions, each of some length."""
    out = 0.15 * noise.fractal(p, 2)
    for k, (a, b, c) in enumerate(((1.0, 0.3, -0.4), (-0.5, 1.0, 0.2), (0.3, -0.2, 1.0), (0.8, 0.7, 0.6))):
        across = 2.2 * (a * p[:, 0] + b * p[:, 1] + c * p[:, 2]) + 0.15 * noise(p * 0.7 + k)
        near = np.abs(across - np.floor(across) - 0.5) < 0.022
        out = np.where(near & (noise(p * 2.0 + 11.0 * k) > 0.58), 1.0, out)
    return np.asarray(out)


def _printed(p: FloatArray, noise: Noise) -> FloatArray:
    """Labels here and there, of lines of short marks like writing."""
    label = np.floor(p * [0.9, 1.3, 1.1])
    shown = _hash(*label.T) < 0.45
    within = p * [0.9, 1.3, 1.1] - label
    inside = shown & (((within > 0.12) & (within < 0.88)).sum(axis=1) >= 2)
    row = np.floor(p * 7.0)
    mark = np.floor(p * 26.0)
    ink = _hash(mark[:, 0], mark[:, 1], row[:, 2]) < 0.5
    lines = (7.0 * p[:, 2] - row[:, 2] < 0.55) | (7.0 * p[:, 1] - row[:, 1] < 0.3)
    ground = np.where(inside, 0.0, 0.12 * noise(p))
    return np.asarray(np.where(inside & ink & lines, 1.0, ground))


def _bands(p: FloatArray, noise: Noise) -> FloatArray:
    """Sections of any length along one axis, each of one tone with a sharp border."""
    along = 1.4 * p[:, 0] + 0.6 * np.sin(2.1 * p[:, 0])
    return np.asarray(np.round(3 * _hash(np.floor(along), np.zeros(len(p)))) / 3 * 0.93 + 0.07 * noise(p * 5.0))


def _chevrons(p: FloatArray, noise: Noise) -> FloatArray:
    """Zigzag stripes, soft or hard at their borders by area."""
    fold = np.abs(p[:, 1] - np.round(p[:, 1])) + 0.5 * np.abs(p[:, 2] - np.round(p[:, 2]))
    wave = np.sin(2 * np.pi * (1.5 * p[:, 0] + 1.2 * fold))
    return np.asarray(np.clip(0.5 + (0.8 + 5.0 * noise(p * 0.6)) * wave, 0, 1))


def _streaks(p: FloatArray, noise: Noise) -> FloatArray:
    """Drips and smears, drawn out along one axis."""
    return np.asarray(np.clip(3.0 * (noise(p * [0.5, 5.0, 5.0]) * noise(p * [0.9, 11.0, 11.0]) - 0.2), 0, 1))


def _decals(p: FloatArray, noise: Noise) -> FloatArray:
    """Boxes and bars of the second colour, some of them framed, scattered over the first."""
    out = 0.08 * noise(p * 2.0)
    for k, size in enumerate((0.8, 1.9)):
        cell = np.floor(p * size + 0.37 * k)
        within = np.abs(p * size + 0.37 * k - cell - 0.5)
        half = np.stack([0.12 + 0.3 * _hash(*cell.T, np.full(len(p), 5.0 * k + j)) for j in range(3)], axis=1)
        inside = (within < half).all(axis=1) & (_hash(*cell[:, ::-1].T) < 0.5)
        framed = inside & (within < half - 0.06).all(axis=1) & (_hash(*cell[:, [1, 0, 2]].T) < 0.4)
        out = np.where(inside, np.where(framed, 0.3, 0.6 + 0.4 * _hash(*cell.T)), out)
    return np.asarray(out)


_PATTERNS = {Pattern.PLAIN: _plain, Pattern.WOOD: _wood, Pattern.STRIPES: _stripes, Pattern.BRUSHED: _brushed,
             Pattern.SPECKLE: _speckle, Pattern.PATCHES: _patches, Pattern.FADE: _fade, Pattern.MARBLE: _marble,
             Pattern.CHECKER: _checker, Pattern.DOTS: _dots, Pattern.RUST: _rust, Pattern.CAST: _cast,
             Pattern.HATCHED: _hatched, Pattern.RULED: _ruled, Pattern.TARTAN: _tartan, Pattern.SHARDS: _shards,
             Pattern.SCRATCHED: _scratched, Pattern.PRINTED: _printed, Pattern.BANDS: _bands,
             Pattern.CHEVRONS: _chevrons, Pattern.STREAKS: _streaks, Pattern.DECALS: _decals}


def linear_rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Return linear RGB of a colour given as HSV 0..1 in sRGB."""
    r, g, b = (float(c) ** 2.2 for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return r, g, b


_CELL_PATTERNS = (Pattern.PLAIN, Pattern.WOOD, Pattern.STRIPES, Pattern.BRUSHED, Pattern.SPECKLE)

PAINTS = (0.0, 0.055, 0.13, 0.33, 0.47, 0.57, 0.63, 0.8)
"""Hues that machines are painted in: red, orange, yellow, green, teal, light and dark blue, purple."""


def draw_palette(rng: np.random.Generator, count: int = 4) -> list[float]:
    """Draw a few hues that differ."""
    return [float(hue) for hue in rng.choice(PAINTS, count, replace=False) + rng.uniform(-0.02, 0.02, count)]


def draw_material(rng: np.random.Generator, hues: list[float]) -> Material:
    """Draw a material with one of the hues, saturated enough to tell the part from a grey table."""
    pattern = Pattern(rng.choice([p.value for p in _CELL_PATTERNS], p=[0.4, 0.12, 0.12, 0.22, 0.14]))
    hue = hues[int(rng.integers(len(hues)))] + rng.uniform(-0.02, 0.02)
    saturation, value = rng.uniform(0.6, 0.88), rng.uniform(0.5, 0.85)
    metallic, specular, gloss = 0.0, float(rng.uniform(0.02, 0.12)), float(rng.uniform(15, 90))
    second = linear_rgb(hue + rng.uniform(-0.03, 0.03), saturation, value * rng.uniform(0.6, 0.8))
    scale = float(rng.uniform(0.3, 0.6))
    if pattern is Pattern.WOOD:
        hue, saturation, value = rng.uniform(0.05, 0.1), rng.uniform(0.55, 0.75), rng.uniform(0.6, 0.85)
        second = linear_rgb(hue - 0.01, saturation + 0.1, value * 0.6)
        scale = float(rng.uniform(0.12, 0.25))
    elif pattern is Pattern.STRIPES:
        second = linear_rgb(hue + rng.uniform(0.25, 0.75), saturation, rng.uniform(0.4, 0.9))
        scale = float(rng.uniform(0.06, 0.14))
    elif pattern is Pattern.BRUSHED:
        saturation, value = rng.uniform(0.65, 0.85), rng.uniform(0.6, 0.9)  # a mirrored room takes colour away
        second = linear_rgb(hue, saturation, value * 0.85)
        metallic, specular, gloss = (float(rng.uniform(*limits)) for limits in ((0.4, 0.7), (0.25, 0.5), (25, 60)))
    elif pattern is Pattern.SPECKLE:
        second = linear_rgb(hue + rng.uniform(-0.1, 0.1), saturation * 0.6, rng.uniform(0.8, 0.95))
    return Material(pattern, linear_rgb(hue, saturation, value), second, _random_axes(rng), scale, specular, gloss,
                    metallic)


def any_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw any linear RGB colour, greys as often as strong ones."""
    saturation = rng.uniform(0, 0.12) if rng.random() < 0.35 else rng.uniform(0.1, 0.95)
    return linear_rgb(rng.random(), saturation, rng.uniform(0.15, 0.97))


def draw_any_material(rng: np.random.Generator, patterns: Sequence[Pattern]) -> Material:
    """Draw a material with one of some patterns in any colours, matt to polished, its second colour near or far."""
    pattern = patterns[int(rng.integers(len(patterns)))]
    colour = any_colour(rng)
    r, g, b = np.clip(np.array(colour) * rng.uniform(0.45, 1.6) * rng.uniform(0.85, 1.15, 3), 0, 1)
    second = (float(r), float(g), float(b)) if rng.random() < 0.5 else any_colour(rng)
    frame = Rotation.random(random_state=rng).as_matrix() if rng.random() < 0.5 else _random_axes(rng)
    scale = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    metallic = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.25 else 0.0
    specular = float(rng.uniform(0.2, 0.5) if metallic else rng.uniform(0.0, 0.3))
    return Material(pattern, colour, second, np.asarray(frame), scale, specular,
                    float(np.exp(rng.uniform(np.log(6), np.log(120)))), metallic)


def _random_axes(rng: np.random.Generator) -> FloatArray:
    """Axes of a pattern: along the part's own, as machined and sawn surfaces are, in random order."""
    return np.asarray(np.eye(3)[rng.permutation(3)])
