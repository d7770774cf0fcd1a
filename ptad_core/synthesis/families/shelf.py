"""A shelf: side walls or posts, boards, dividers, drawers, doors, braces and boxes on it."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import box, cylinder, lathe, prism, rectangle


def shelf(rng: np.random.Generator) -> Assembly:
    """Draw a shelf of about 0.9 x 0.35 x 1.1 m."""
    width, depth, high = rng.uniform(550, 1200), rng.uniform(240, 420), rng.uniform(700, 1500)
    wall = rng.uniform(16, 30)
    boards = count(rng, 3, 5)
    levels = np.linspace(rng.uniform(40, 110), high - wall, boards)
    b = Builder("shelf")
    x = width / 2 - wall / 2
    if chance(rng, 0.5):
        b.add("walls", *(box(wall, depth, high).at(s * x, 0, 0) for s in (-1, 1)), sound=True)
    else:
        y = depth / 2 - wall
        b.add("walls", *(box(wall * 1.4, wall * 1.4, high).at(sx * x, sy * y, 0) for sx in (-1, 1) for sy in (-1, 1)),
              *(box(wall, 2 * y, wall).at(s * x, 0, z) for s in (-1, 1) for z in (60.0, high - 80)), sound=True)
    for k, z in enumerate(levels):
        b.add(f"board_{k}", box(width - wall * 0.5, depth * 0.97, wall * 0.9).at(0, 0, z), on="walls")
    if chance(rng, 0.5):
        b.add("back", box(width - wall, 8, high - 60).at(0, depth / 2 - 4, 50), on="walls")
    else:
        b.add("brace", rod((-x, depth / 2 - 6, high * 0.08), (x, depth / 2 - 6, high * 0.92), 9), on="walls")
        b.add("cross_brace", rod((x, depth / 2 - 6, high * 0.08), (-x, depth / 2 - 6, high * 0.92), 9), on="walls")
    cell = float(levels[1] - levels[0])
    for k in range(boards - 1):
        z = float(levels[k]) + wall * 0.9
        _fill(b, rng, k, (width - 2 * wall, depth, cell - wall * 0.9, z))
    b.add("top_box", box(width * rng.uniform(0.2, 0.4), depth * 0.6, rng.uniform(80, 180), corner=10, bevel=4)
          .at(width * rng.uniform(-0.25, 0.25), 0, high - wall * 0.2), on=f"board_{boards - 1}")
    if chance(rng, 0.6):
        b.add("side_hook", cylinder(10, 60, bevel=2).lying().at(width / 2 - 4, wall - depth / 2, high * 0.7),
              on="walls")
    return b.assembly()


def _fill(b: Builder, rng: np.random.Generator, k: int, room: tuple[float, float, float, float]) -> None:
    """Put something between two boards: ``room`` is width, depth and height, and where it starts."""
    width, depth, height, z = room
    on, style = f"board_{k}", count(rng, 0, 3)
    side = rng.choice([-1.0, 1.0])
    if style == 0:
        x = rng.uniform(-0.2, 0.2) * width
        b.add(f"divider_{k}", box(16, depth * 0.94, height + 8).at(x, 0, z - 4), on=on)
        b.add(f"crate_{k}", prism(rectangle(width * 0.26, depth * 0.7, 10), height * 0.6,
                                  [rectangle(width * 0.23, depth * 0.6, 6)]).at(x + side * width * 0.24, 0, z - 2),
              on=on)
    elif style == 1:
        w = width * rng.uniform(0.35, 0.5)
        b.add(f"drawer_{k}", box(w, depth * 0.96, height * 0.9).at(side * (width - w) / 2, -14, z - 2), on=on)
        b.add(f"handle_{k}", box(w * 0.4, 24, 16, corner=4).at(side * (width - w) / 2, -14 - depth * 0.48 - 8,
                                                               z + height * 0.5), on=f"drawer_{k}")
    elif style == 2:
        for j in range(count(rng, 2, 3)):
            b.add(f"can_{k}_{j}", lathe([(0, 0), (45, 0), (50, 8), (50, height * 0.5), (30, height * 0.6),
                                         (30, height * 0.68), (0, height * 0.68)])
                  .at(side * (0.1 + 0.15 * j) * width, -depth * 0.12, z - 2), on=on)
    else:
        b.add(f"door_{k}", box(width * 0.5, 18, height + 6).at(side * width * 0.25, -depth / 2 + 4, z - 3), on=on)
        b.add(f"knob_{k}", cylinder(14, 26, bevel=3).turned("x", 90).at(side * width * 0.08, -depth / 2 - 4,
                                                                        z + height * 0.5), on=f"door_{k}")
