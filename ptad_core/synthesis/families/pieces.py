"""Bodies of no particular meaning, of wide proportions: polygons, lofts, profiles, grids, ribs, springs, hooks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ptad_core.synthesis.families.builder import chance, count, on_ring, rod
from ptad_core.synthesis.shapes import (
    Solid,
    ball,
    box,
    circle,
    cylinder,
    gear_outline,
    helix,
    lathe,
    loft,
    ovals,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
    union,
)
from ptad_core.types import FloatArray

Draw = Callable[[np.random.Generator, float, float, float], Solid]


def draw_piece(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """Draw a body that stands on z = 0, about ``w`` x ``d`` x ``h``."""
    return _PIECES[int(rng.integers(len(_PIECES)))](rng, w, d, h)


def star(rng: np.random.Generator, w: float, d: float, ragged: float) -> FloatArray:
    """Return the outline of a random polygon about the origin; ``ragged`` 0 is convex, towards 1 it is a star."""
    n = count(rng, 3, 9)
    angle = 2 * np.pi * (np.arange(n) + rng.uniform(-0.3, 0.3, n)) / n
    radius = 1 - ragged * rng.random(n)
    return np.stack([0.5 * w * radius * np.cos(angle), 0.5 * d * radius * np.sin(angle)], axis=1)


def _polygon(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    return prism(star(rng, w, d, rng.uniform(0, 0.5)), h, bevel=0.02 * min(w, d, h))


def _block(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    return prism(rectangle(w, d, rng.uniform(0.01, 0.49) * min(w, d)), h, bevel=rng.uniform(0.01, 0.12) * min(w, d, h))


def _section(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A bar of an L, T, U, I, Z or + section, standing or lying."""
    t, s = w * rng.uniform(0.14, 0.32), d * rng.uniform(0.14, 0.32)
    outlines: list[list[tuple[float, float]]] = [
        [(0, 0), (w, 0), (w, s), (t, s), (t, d), (0, d)],
        [(0, 0), (w, 0), (w, s), ((w + t) / 2, s), ((w + t) / 2, d), ((w - t) / 2, d), ((w - t) / 2, s), (0, s)],
        [(0, 0), (w, 0), (w, d), (w - t, d), (w - t, s), (t, s), (t, d), (0, d)],
        [(0, 0), (w, 0), (w, s), ((w + t) / 2, s), ((w + t) / 2, d - s), (w, d - s), (w, d), (0, d), (0, d - s),
         ((w - t) / 2, d - s), ((w - t) / 2, s), (0, s)],
        [(0, 0), ((w + t) / 2, 0), ((w + t) / 2, d - s), (w, d - s), (w, d), ((w - t) / 2, d), ((w - t) / 2, s),
         (0, s)],
        [((w - t) / 2, 0), ((w + t) / 2, 0), ((w + t) / 2, (d - s) / 2), (w, (d - s) / 2), (w, (d + s) / 2),
         ((w + t) / 2, (d + s) / 2), ((w + t) / 2, d), ((w - t) / 2, d), ((w - t) / 2, (d + s) / 2), (0, (d + s) / 2),
         (0, (d - s) / 2), ((w - t) / 2, (d - s) / 2)]]
    outline = np.array(outlines[int(rng.integers(len(outlines)))]) - [w / 2, d / 2]
    if chance(rng, 0.5):
        return prism(outline, h)
    return prism(outline, h).turned("x", 90).at(0, h / 2, d / 2)


def _turned(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A turned body of any profile, in steps or smooth."""
    n, r = count(rng, 2, 6), min(w, d) / 2
    z = np.sort(np.concatenate([[0.0, 1.0], rng.uniform(0.08, 0.92, n - 1)])) * h
    radii = r * rng.uniform(0.35, 1.0, n + 1)
    profile: list[tuple[float, float]] = [(0.0, 0.0)]
    steps = chance(rng, 0.5)
    for k in range(n):
        profile += [(float(radii[k]), float(z[k])), (float(radii[k] if steps else radii[k + 1]), float(z[k + 1]))]
    return lathe([*profile, (0.0, h)], int(rng.choice([6, 8, 16, 48])))


def _vase(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    t = np.linspace(0, 1, 19)
    wave = 1 + rng.uniform(-0.45, 0.45) * np.sin(2 * np.pi * rng.uniform(0.4, 1.6) * t + rng.uniform(0, 6.3))
    r = min(w, d) / 2 * wave / wave.max()
    return lathe([(0, 0), *((float(a), float(b)) for a, b in zip(r, h * t, strict=True)), (0, h)])


def _lofted(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A body that changes from one oval or box into another on its bent way up."""
    t = np.linspace(0, 1, 15)
    lean, bend = rng.uniform(-0.4, 0.4, 2) * min(w, d), rng.uniform(-0.25, 0.25) * min(w, d)
    wide = np.interp(t, [0, 0.5, 1], rng.uniform(0.3, 1.0, 3)) * w / 2
    deep = np.interp(t, [0, 0.5, 1], rng.uniform(0.3, 1.0, 3)) * d / 2
    rows = np.stack([h * t, lean[0] * t + bend * np.sin(np.pi * t), lean[1] * t, wide, deep], axis=1)
    body = ovals(rows, float(rng.choice([1.3, 2.0, 3.0, 8.0])))
    return Solid(body.vertices[:, [1, 2, 0]], body.faces)


def _wedge(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A frustum or roof: a rectangle that shrinks to another one, off its middle."""
    shrink, off = rng.uniform(0.1, 0.95, 2), rng.uniform(-0.5, 0.5, 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([w, d]) / 2
    top = corners * shrink + off * (1 - shrink) * np.array([w, d])
    return loft(np.stack([np.column_stack([corners, np.zeros(4)]), np.column_stack([top, np.full(4, h)])]))


def _pipe(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A bent pipe or hook; both of its ends may stand on the ground."""
    r = min(rng.uniform(0.05, 0.16) * min(w, d, h) + 1.0, 0.25 * min(w, h))
    end = [w, d * rng.uniform(-1, 1), 0.0 if chance(rng, 0.5) else h * rng.uniform(0.3, 1.0)]
    corners = np.array([[0, 0, 0], [0, 0, h], [end[0], end[1], h * rng.uniform(0.75, 1.1)], end])
    return sweep(rounded_path(corners[:4 if end[2] == 0 else 3], 0.42 * min(w, h)), r, int(rng.choice([6, 16])))


def _spring(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r, turns = min(w, d) / 2, rng.uniform(2.5, 6.5)
    bar = min(0.34 * h / turns, rng.uniform(0.08, 0.16) * r + 0.5)
    return union(helix(r - bar, h / turns, turns, bar), cylinder(r, max(0.04 * h, 1.5)))


def _ring(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A ring that stands on its rim, on a small foot."""
    r = max(w, h) / 2
    t = min(rng.uniform(0.16, 0.4) * r, 0.5 * d)
    section = [(r - t + t * np.cos(a), t * np.sin(a))
               for a in np.linspace(0, 2 * np.pi, 13)[:-1]]
    return union(lathe(section).turned("x", 90).at(0, 0, r), box(r * 0.8, 2 * t, t + 1))


def _gear(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    bore = [circle(r * rng.uniform(0.15, 0.4))] if chance(rng, 0.5) else []
    return prism(gear_outline(count(rng, 8, 30), r * rng.uniform(0.7, 0.9), r), min(h, r * rng.uniform(0.2, 0.8)), bore)


def _perforated(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A plate with rows of holes, lying or upright."""
    nx, ny, thick = count(rng, 1, 4), count(rng, 1, 3), max(0.12 * min(w, d, 2 * h), 1.5)
    r = rng.uniform(0.2, 0.38) * min(w / nx, d / ny)
    sides = int(rng.choice([4, 6, 24]))
    holes = [circle(r, (i + 0.5) * w / nx - w / 2, (j + 0.5) * d / ny - d / 2, sides) for i in range(nx)
             for j in range(ny)]
    plate = prism(rectangle(w, d, 0.04 * min(w, d)), thick, holes)
    return plate if chance(rng, 0.5) else plate.turned("x", 90).at(0, thick / 2, d / 2)


def _bosses(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A plate that carries a grid or a ring of pegs."""
    plate, low = box(w, d, 0.25 * h, corner=0.05 * min(w, d)), 0.24 * h
    if chance(rng, 0.4):
        n, r = count(rng, 3, 8), 0.36 * min(w, d)
        peg = cylinder(min(0.12 * min(w, d), 2.4 * r / n), 0.5 * h, segments=int(rng.choice([6, 20])))
        return union(plate, *(peg.at(x, y, low) for x, y in on_ring(n, r, rng.uniform(0, 90))))
    nx, ny = count(rng, 1, 5), count(rng, 1, 4)
    a, c = 0.62 * w / nx, 0.62 * d / ny
    peg = box(a, c, h * 0.75) if chance(rng, 0.5) else cylinder(min(a, c) / 2, h * 0.75, segments=16)
    return union(plate, *(peg.at((i + 0.5) * w / nx - w / 2, (j + 0.5) * d / ny - d / 2, low)
                          for i in range(nx) for j in range(ny)))


def _ribbed(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """Blades side by side on a plate, or leaning as slats between two cheeks."""
    n = count(rng, 3, 9)
    places = np.linspace(-0.42, 0.42, n) * w
    if chance(rng, 0.5):
        heights = h * (0.45 + 0.5 * (1 + np.sin(rng.uniform(0, 6.3) + rng.uniform(0, 3) * places / w)) / 2)
        return union(box(w, d, 0.16 * h), *(box(0.4 * w / n, d, float(k)).at(x, 0, 0)
                                            for x, k in zip(places, heights, strict=True)))
    slat = box(0.14 * w / n + 1.0, 0.92 * d, 0.9 * h).turned("y", rng.uniform(-35, 35))
    cheek = box(w, 0.08 * d + 1.0, h)
    return union(cheek.at(0, 0.45 * d, 0), cheek.at(0, -0.45 * d, 0), *(slat.at(x, 0, 0.05 * h) for x in places))


def _lattice(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A tapering tower of bars."""
    r, taper, floors = 0.05 * min(w, d) + 0.6, rng.uniform(0.3, 1.0), count(rng, 1, 3)
    bars = []
    for k in range(floors):
        low, high = (1 - (1 - taper) * j / floors for j in (k, k + 1))
        feet = [(x * w / 2 * low, y * d / 2 * low, h * k / floors) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        tops = [(x * w / 2 * high, y * d / 2 * high, h * (k + 1) / floors)
                for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        for i in range(4):
            bars += [rod(feet[i], tops[i], r, 8), rod(feet[i], tops[(i + 1) % 4], 0.7 * r, 6),
                     rod(tops[i], tops[(i + 1) % 4], r, 8)]
    return union(*bars)


def _stairs(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A body in steps."""
    n = count(rng, 2, 6)
    steps = np.concatenate([[0.0], np.sort(rng.uniform(0.1, 0.9, n - 1)), [1.0]])
    outline = [(0.0, 0.0), (w, 0.0)]
    for k in range(n):
        outline += [(w * (1 - steps[k]), h * (k + 1) / n), (w * (1 - steps[k + 1]), h * (k + 1) / n)]
    return prism(np.array(outline[:-1] if outline[-1] == (0.0, 0.0) else outline), d).turned("x", 90).at(-w / 2, d / 2,
                                                                                                         0)


def _bead(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """An ellipsoid, half sunk, or on a stalk."""
    body = ball(0.5, 32)
    if chance(rng, 0.5):
        return body.at(0, 0, -0.3).scaled(np.array([w, d, 1.4 * h]))
    return union(body.scaled(np.array([w, d, 0.6 * h])).at(0, 0, 0.4 * h), cylinder(0.14 * min(w, d), 0.5 * h))


def _sleeve(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    """A tube or frame of a round, many-sided or boxy section."""
    wall, sides = rng.uniform(0.5, 0.88), int(rng.choice([3, 5, 6, 8, 48]))
    if chance(rng, 0.5):
        return prism(rectangle(w, d, 0.1 * min(w, d)), h, [rectangle(w * wall, d * wall, 0.06 * min(w, d))])
    return tube(min(w, d) / 2, min(w, d) / 2 * wall, h, sides)


_PIECES: tuple[Draw, ...] = (
    _polygon, _block, _block, _section, _section, _turned, _turned, _vase, _lofted, _lofted, _wedge, _pipe, _pipe,
    _spring, _ring, _gear, _perforated, _bosses, _ribbed, _lattice, _stairs, _bead, _sleeve)
