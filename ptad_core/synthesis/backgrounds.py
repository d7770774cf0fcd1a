"""What lies behind and below a part: plain, fading, clouded, patterned or cluttered pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.synthesis.textures import any_colour

Array = NDArray[np.float32]

Background = Array
"""(n, n, 3) float32 linear RGB."""

SIZE = 192

BACKDROPS = np.array([(0.85, 0.85, 0.85), (0.05, 0.6, 0.08), (0.05, 0.1, 0.6), (0.7, 0.05, 0.5), (0.8, 0.65, 0.03),
                      (0.65, 0.04, 0.03), (0.05, 0.5, 0.6)])
"""Linear RGB: white, green, blue, magenta, yellow, red, cyan."""


def draw_background(rng: np.random.Generator, unseen: bool, further: bool = False) -> Background:
    """Draw a background of the kinds to learn from, or of those to be judged on; plain and fading ones are in both.

    ``further`` adds kinds to those to learn from.
    """
    kinds = _UNSEEN if unseen else _LEARNED + _FURTHER if further else _LEARNED
    picture = kinds[int(rng.integers(len(kinds)))](rng)
    fine = rng.standard_normal((SIZE, SIZE), dtype=np.float32) * np.float32(rng.uniform(0.0, 0.05))
    return np.clip(picture * (1 + fine[..., None]), 0.002, 1).astype(np.float32)


def backdrop_for(colours: NDArray[np.float64]) -> Background:
    """Return the plain backdrop that (n, 3) linear colours differ from most, as whoever sets a cell up would choose."""
    shades = np.concatenate([colours * share for share in (0.1, 0.3, 1.0, 1.5)])
    away = np.linalg.norm(_lab(BACKDROPS)[:, None] - _lab(shades), axis=2).min(axis=1)
    return np.broadcast_to(BACKDROPS[int(np.argmax(away))].astype(np.float32), (SIZE, SIZE, 3))


def _lab(linear: NDArray[np.float64]) -> Array:
    """Return (n, 3) CIELAB of linear RGB."""
    srgb = (np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.float32)[None]
    return np.asarray(cv2.cvtColor(srgb, cv2.COLOR_RGB2Lab)[0], np.float32)


def _colour(rng: np.random.Generator) -> Array:
    return np.array(any_colour(rng), np.float32)


def _plain(rng: np.random.Generator) -> Array:
    return np.broadcast_to(_colour(rng), (SIZE, SIZE, 3))


def _mixed(rng: np.random.Generator, share: Array) -> Array:
    """Mix two colours by an (n, n) share 0..1."""
    first, second = _colour(rng), _colour(rng)
    if rng.random() < 0.6:  # mostly related ones
        second = first * np.float32(rng.uniform(0.5, 1.5)) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    return np.asarray(first + share[..., None] * (second - first))


def _fading(rng: np.random.Generator) -> Array:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        share = 0.5 + np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    else:
        share = 1.6 * np.hypot(x - np.float32(rng.uniform(-0.4, 0.4)), y - np.float32(rng.uniform(-0.4, 0.4)))
    return _mixed(rng, np.clip(share, 0, 1).astype(np.float32))


def _clouds(rng: np.random.Generator) -> Array:
    share = np.zeros((SIZE, SIZE), np.float32)
    cells, weight = int(rng.integers(2, 6)), 1.0
    for _ in range(int(rng.integers(2, 6))):
        noise = rng.random((cells, cells), dtype=np.float32)
        share += np.float32(weight) * cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        cells, weight = min(2 * cells, SIZE), weight * rng.uniform(0.4, 0.8)
    share -= share.min()
    return _mixed(rng, share / max(float(share.max()), 1e-6))


def _clutter(rng: np.random.Generator) -> Array:
    """Polygons, discs and lines of any colour on clouds."""
    picture = np.ascontiguousarray(_clouds(rng))
    for _ in range(int(rng.integers(6, 30))):
        colour = tuple(float(c) for c in any_colour(rng))
        x, y = (int(k) for k in rng.integers(0, SIZE, 2))
        size, style = rng.uniform(0.03, 0.2) * SIZE, int(rng.integers(3))
        if style == 0:
            corners = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            outline = np.array([x, y]) + size * np.stack([np.cos(corners), np.sin(corners)], axis=1)
            cv2.fillPoly(picture, [outline.astype(np.int32)], colour)
        elif style == 1:
            cv2.circle(picture, (x, y), max(int(size / 2), 1), colour, -1)
        else:
            end = (int(x + rng.normal() * 3 * size), int(y + rng.normal() * 3 * size))
            cv2.line(picture, (x, y), end, colour, int(rng.integers(1, 6)))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)  # OpenCV draws steps into pictures of floats


def _blurred(rng: np.random.Generator) -> Array:
    """Clutter far behind, out of focus."""
    picture = np.ascontiguousarray(_clutter(rng))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(2, 9))), np.float32)


def _crumpled(rng: np.random.Generator) -> Array:
    """Cloth or paper in folds: facets that slope differently, lit from one side."""
    facets = int(rng.integers(6, 40))
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    px, py, tone = rng.random((3, facets), dtype=np.float32)
    away = np.hypot(x[..., None] - px, y[..., None] - py)
    nearest = np.argmin(away, axis=2)
    slope = np.take_along_axis(away, nearest[..., None], 2)[..., 0] * (tone[nearest] - 0.5)
    share = np.clip(0.6 * tone[nearest] + 1.5 * slope, 0, 1)
    return _mixed(rng, np.asarray(cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.5, 4))), np.float32))


def _scribbled(rng: np.random.Generator) -> Array:
    """Curves of any width and colour over a fading ground, as cables that lie about."""
    picture = np.ascontiguousarray(_fading(rng))
    for _ in range(int(rng.integers(3, 16))):
        way = np.cumsum(rng.normal(0, 14, (24, 2)), axis=0) + rng.uniform(0, SIZE, 2)
        smooth = np.stack([np.convolve(way[:, k], np.ones(5) / 5, "valid") for k in range(2)], axis=1)
        colour = tuple(float(c) for c in any_colour(rng))
        cv2.polylines(picture, [smooth.astype(np.int32)], False, colour, int(rng.integers(1, 8)))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)


def _boards(rng: np.random.Generator) -> Array:
    """Boards side by side, each a little different, with dark gaps."""
    boards = int(rng.integers(3, 10))
    edges = np.sort(rng.integers(0, SIZE, boards))
    index = np.searchsorted(edges, np.arange(SIZE), side="right") % boards
    tone = (0.75 + 0.5 * rng.random(boards, dtype=np.float32))[index]
    tone[edges] = 0.25
    grain = cv2.resize(rng.random((SIZE, 12), dtype=np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    picture = _colour(rng) * (tone[:, None] * (0.85 + 0.3 * grain))[..., None]
    return np.asarray(picture if rng.random() < 0.5 else picture.transpose(1, 0, 2), np.float32)


def _tiles(rng: np.random.Generator) -> Array:
    """Squares in two colours with grout in between."""
    pitch = int(rng.integers(12, 48))
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    share = ((x // pitch + y // pitch) % 2).astype(np.float32)
    picture = _mixed(rng, share)
    grout = (x % pitch < max(pitch // 14, 1)) | (y % pitch < max(pitch // 14, 1))
    return np.where(grout[..., None], _colour(rng) * np.float32(0.7), picture).astype(np.float32)


def _perforated(rng: np.random.Generator) -> Array:
    """Holes in rows, as in a plate of a fixture."""
    pitch = int(rng.integers(10, 32))
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    away = np.hypot(x % pitch - pitch / 2, y % pitch - pitch / 2)
    return _mixed(rng, np.clip(away - pitch * np.float32(rng.uniform(0.15, 0.35)), 0, 1).astype(np.float32))


def _boxes(rng: np.random.Generator) -> Array:
    """Upright boxes, some with bar codes, as on shelves behind a cell."""
    picture = np.ascontiguousarray(_fading(rng))
    for _ in range(int(rng.integers(5, 18))):
        colour = tuple(float(c) for c in any_colour(rng))
        x, y = (int(k) for k in rng.integers(0, SIZE, 2))
        w, h = (int(k) for k in rng.integers(8, 56, 2))
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
        cv2.rectangle(picture, (x, y), (x + w, y + h), tuple(0.4 * c for c in colour), 1)
        if rng.random() < 0.4:
            ink = tuple(float(c) for c in any_colour(rng))
            for step in range(3, w - 2, 4):
                cv2.line(picture, (x + step, y + h // 3), (x + step, y + 2 * h // 3), ink, int(rng.integers(1, 3)))
    return picture


_LEARNED: tuple[Callable[[np.random.Generator], Array], ...] = (_plain, _fading, _clouds, _clouds, _clutter, _clutter)
_UNSEEN: tuple[Callable[[np.random.Generator], Array], ...] = (_plain, _fading, _boards, _tiles, _perforated, _boxes)
_FURTHER: tuple[Callable[[np.random.Generator], Array], ...] = (_blurred, _crumpled, _scribbled)
