"""A populated board: chips, capacitors, coils, connectors, heat sinks, relays and spacers on a plate."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, count
from ptad_core.synthesis.shapes import Solid, ball, box, circle, cylinder, lathe, prism, rectangle, tube, union


def circuit_board(rng: np.random.Generator) -> Assembly:
    """Draw a board of about 120 x 90 mm with ten to eighteen components, up to 30 mm tall."""
    columns, rows = count(rng, 4, 5), count(rng, 3, 4)
    pitch_x, pitch_y = rng.uniform(24, 32), rng.uniform(24, 32)
    width, depth = columns * pitch_x + 14, rows * pitch_y + 14
    plate, lift = rng.uniform(2.4, 4), rng.uniform(6, 12)
    holes = [circle(2.2, sx * (width / 2 - 5), sy * (depth / 2 - 5), segments=16) for sx in (-1, 1) for sy in (-1, 1)]
    b = Builder("circuit_board")
    b.add("board", prism(rectangle(width, depth, 4), plate, holes).at(0, 0, lift), sound=True)
    b.add("spacers", *(cylinder(4.2, lift + 0.4, segments=6).at(sx * (width / 2 - 5), sy * (depth / 2 - 5), 0)
                       for sx in (-1, 1) for sy in (-1, 1)), on="board", sound=True)
    makers = list(_MAKERS)
    for k in range(columns * rows):
        if k >= 8 and rng.random() < 0.25:
            continue
        make = makers[int(rng.integers(len(makers)))]
        x = (k % columns - (columns - 1) / 2) * pitch_x + rng.uniform(-2, 2)
        y = (k // columns - (rows - 1) / 2) * pitch_y + rng.uniform(-2, 2)
        solid = make(rng).scaled(1.25).turned("z", 90.0 * int(rng.integers(4)))
        b.add(f"{make.__name__.strip('_')}_{k}", solid.at(x, y, lift + plate - 0.2), on="board")
    side = float(rng.choice([-1, 1]))
    b.add("jack", box(16, rng.uniform(16, 26), 12, corner=2, bevel=0.6)
          .at(side * (width / 2 - 2), 0, lift + plate - 0.2),
          on="board")
    b.add("socket", prism(rectangle(14, rng.uniform(12, 24), 2), 9, bevel=0.6)
          .at(-side * (width / 2 - 1), depth * 0.2, lift + plate - 0.2), on="board")
    return b.assembly()


def _chip(rng: np.random.Generator) -> Solid:
    x, y = rng.uniform(10, 20), rng.uniform(8, 18)
    legs = [box(1.6, y + 4, 2.4).at(dx, 0, 0) for dx in np.linspace(-x * 0.4, x * 0.4, count(rng, 3, 6))]
    return union(box(x, y, rng.uniform(3.5, 6), bevel=0.4).at(0, 0, 0.8), *legs)


def _capacitor(rng: np.random.Generator) -> Solid:
    r, h = rng.uniform(4, 9), rng.uniform(9, 24)
    return lathe([(0, 0), (r, 0), (r, h * 0.1), (r * 0.92, h * 0.15), (r, h * 0.2), (r, h), (0, h)])


def _coil(rng: np.random.Generator) -> Solid:
    r, h = rng.uniform(7, 10), rng.uniform(5, 10)
    return union(tube(r, r * 0.5, h), box(2 * r, 2 * r, 1.4))


def _header(rng: np.random.Generator) -> Solid:
    pins = count(rng, 3, 7)
    posts = [box(0.9, 0.9, rng.uniform(9, 10)).at(dx, 0, 0) for dx in (np.arange(pins) - (pins - 1) / 2) * 2.9]
    return union(box(pins * 2.9, 4, 3.4), *posts)


def _sink(rng: np.random.Generator) -> Solid:
    fins, w, h = count(rng, 4, 6), rng.uniform(16, 22), rng.uniform(10, 20)
    return union(box(w, w * 0.8, 3), *(box(1.6, w * 0.8, h).at(dx, 0, 0) for dx in np.linspace(-0.46, 0.46, fins) * w))


def _relay(rng: np.random.Generator) -> Solid:
    return box(rng.uniform(14, 22), rng.uniform(10, 16), rng.uniform(11, 18), corner=1, bevel=0.8)


def _terminal(rng: np.random.Generator) -> Solid:
    ways = count(rng, 2, 3)
    screws = [cylinder(2.2, 2, segments=16).at(dx, 0, 11) for dx in (np.arange(ways) - (ways - 1) / 2) * 7]
    return union(box(ways * 7, 9, 11.5, bevel=0.6), *screws)


def _light(rng: np.random.Generator) -> Solid:
    r = rng.uniform(3, 4.5)
    return union(cylinder(r * 1.15, 2.5), cylinder(r, 6), ball(r).at(0, 0, 6 - r))


def _resistor(rng: np.random.Generator) -> Solid:
    length = rng.uniform(10, 18)
    body = lathe([(0, 0), (2.4, 0), (3, 2), (2.4, 4), (2.4, length - 4), (3, length - 2), (2.4, length), (0, length)])
    wire = cylinder(0.7, length + 5, segments=12).lying().at(-length / 2 - 2.5, 0, 3.4)
    ends = [cylinder(0.7, 4, segments=12).at(s * (length / 2 + 2), 0, 0) for s in (-1, 1)]
    return union(body.lying().at(-length / 2, 0, 3.4), wire, *ends)


_MAKERS = (_chip, _chip, _capacitor, _capacitor, _coil, _header, _sink, _relay, _terminal, _light, _resistor)
