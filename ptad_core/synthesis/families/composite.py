"""Things that are nothing in particular: a plate, block, frame or drum that carries any bodies in any order.

They keep a detector from learning what chairs or pumps are instead of what a difference is.
"""


from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.families.mounting import SIZE_MM, mounted_on
from ptad_core.synthesis.shapes import (
    Solid,
    ball,
    box,
    circle,
    cylinder,
    gear_outline,
    lathe,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
    union,
)


def composite(rng: np.random.Generator) -> Assembly:
    """Draw a body of about 100 mm with eight to sixteen components standing off its faces, some on each other."""
    while (drawn := _drawn(rng)) is None:
        pass  # a body without room for them
    return drawn


def _drawn(rng: np.random.Generator) -> Assembly | None:
    b = Builder("composite")
    body = _body(rng)
    b.add("body", body, sound=True)
    mounted: list[tuple[str, Solid]] = [("body", body)]
    wanted = count(rng, 8, 16)
    for _ in range(8 * wanted):
        if len(mounted) > wanted:
            break
        on, carrier = mounted[0] if chance(rng, 0.65) else mounted[int(rng.integers(len(mounted)))]
        placed = mounted_on(carrier, _piece(rng, float(np.sort(carrier.extent)[1])), rng)
        if placed is None or placed.vertices[:, 2].min() < body.vertices[:, 2].min() - 0.3 * SIZE_MM:
            continue
        name = f"piece_{len(mounted)}"
        b.add(name, placed, on=on)
        mounted.append((name, placed))
    return b.assembly() if len(mounted) > 7 else None


def _body(rng: np.random.Generator) -> Solid:
    x, y, z = SIZE_MM * rng.uniform(0.5, 1.3), SIZE_MM * rng.uniform(0.35, 0.9), SIZE_MM * rng.uniform(0.08, 0.7)
    style = count(rng, 0, 5)
    if style == 0:
        return prism(rectangle(x, y, rng.uniform(2, 0.3 * y)), z, bevel=1.5)
    if style == 1:
        return prism(rectangle(x, y, rng.uniform(2, 12)), max(0.2 * z, 6.0),
                     [circle(0.14 * y, -0.25 * x, 0), rectangle(0.3 * x, 0.25 * y, 3, x=0.2 * x)], bevel=0.8)
    if style == 2:
        return lathe([(0, 0), (0.45 * y, 0), (0.5 * y, 0.3 * x), (rng.uniform(0.25, 0.5) * y, 0.6 * x), (0.4 * y, x),
                      (0, x)]).lying() if chance(rng, 0.5) else cylinder(0.5 * x, z, bevel=2)
    if style == 3:
        wall = rng.uniform(8, 16)
        return union(box(x, y, wall, corner=3), box(wall, y, SIZE_MM * rng.uniform(0.4, 0.9), corner=2)
                     .at(x * rng.uniform(-0.45, 0.45), 0, wall * 0.5))
    if style == 4:
        bar = rng.uniform(9, 18)
        return union(*(box(x, bar, bar).at(0, s * (y - bar) / 2, 0) for s in (-1, 1)),
                     *(box(bar, y, bar).at(s * (x - bar) / 2, 0, 0) for s in (-1, 0, 1)))
    path = rounded_path(np.array([[-x / 2, 0, 0], [0, y * rng.uniform(-0.15, 0.15), z * 0.35], [x / 2, 0, 0]]), 0.4 * x)
    return sweep(path, rng.uniform(7, 11), segments=32)


def _piece(rng: np.random.Generator, room: float) -> Solid:
    """Draw something that stands on z = 0, of a size that suits its carrier."""
    size = float(np.clip(room, 0.15 * SIZE_MM, 0.7 * SIZE_MM))
    w, d = max(6.0, size * rng.uniform(0.15, 0.6)), max(6.0, size * rng.uniform(0.15, 0.6))
    h = SIZE_MM * rng.uniform(0.06, 0.45)
    return _PIECES[int(rng.integers(len(_PIECES)))](rng, w, d, h)


def _block(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    return box(w, d, h, corner=rng.uniform(1, 0.45 * min(w, d)), bevel=0.5)


def _peg(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    return cylinder(r, h, bevel=min(1.0, 0.2 * r), segments=int(rng.choice([6, 8, 48])))


def _sleeve(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    return tube(r * 1.2, r * rng.uniform(0.5, 0.9), h * 0.6)


def _turned(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    return lathe([(0, 0), (r, 0), (r, h * 0.3), (r * rng.uniform(0.3, 0.8), h * 0.5), (r * 0.8, h), (0, h)])


def _gear(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    rim = prism(gear_outline(count(rng, 9, 20), r * 1.1, r * 1.4), h * 0.25)
    return union(rim.at(0, 0, h * 0.5), cylinder(r * 0.5, h))


def _fin(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    outline = np.array([[-w / 2, 0], [w / 2, 0], [w * rng.uniform(-0.5, 0.5), h]])
    return prism(outline, d * 0.4).turned("x", 90).at(0, d * 0.2, 0)


def _pipe(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    path = rounded_path(np.array([[0, 0, 0], [0, 0, h], [w, d * rng.uniform(-1, 1), h]]), min(h, w) * 0.45)
    return sweep(path, min(0.125 * min(w, d) + 1.5, 0.3 * min(h, w)))


def _knob(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    return union(cylinder(r * rng.uniform(0.3, 0.6), h), ball(r * 0.9).at(0, 0, h * 0.8))


def _cooler(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    fins = count(rng, 3, 6)
    blades = [box(w / fins * 0.4, d, h * 0.7).at(x, 0, 0) for x in np.linspace(-0.4, 0.4, fins) * w]
    return union(box(w, d, h * 0.2), *blades)


def _angle(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    d = d * rng.uniform(0.35, 0.7)
    return union(box(w, d, h * 0.4, corner=0.5), box(w * 0.3, d, h, corner=0.5).at(w * 0.3, 0, 0))


def _collar(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    r = min(w, d) / 2
    wall = rng.uniform(0.5, 0.75)
    return prism(rectangle(w, d, 0.3 * r), h * 0.5, [rectangle(w * wall, d * wall, 0.1 * r)], bevel=0.3)


_PIECES = (_block, _peg, _sleeve, _turned, _gear, _fin, _pipe, _knob, _cooler, _angle, _collar)
