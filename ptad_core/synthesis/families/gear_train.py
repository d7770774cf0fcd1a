"""A gear train between two plates: gears that mesh, shafts, spacers, a motor, a crank and a pawl."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, box, circle, cylinder, gear_outline, prism, rectangle, tube, union


def gear_train(rng: np.random.Generator) -> Assembly:
    """Draw a gear train of about 140 x 80 x 60 mm, its shafts upright."""
    module, wide = rng.uniform(1.8, 2.6), rng.uniform(7, 12)
    teeth = [int(n) for n in rng.integers(10, 30, count(rng, 3, 4))]
    centres = [np.zeros(2)]
    for before, after in pairwise(teeth):
        angle = np.radians(rng.uniform(-55, 55))
        centres.append(centres[-1] + module * (before + after) / 2 * np.array([np.cos(angle), np.sin(angle)]))
    points = np.array(centres) - np.mean(centres, axis=0)
    margin = module * max(teeth) / 2 + 8
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    (width, depth), (x0, y0) = high - low, (high + low) / 2
    plate, lift = rng.uniform(5, 8), rng.uniform(8, 14)
    b = Builder("gear_train")
    b.add("plate", prism(rectangle(width, depth, rng.uniform(4, 14), x0, y0), plate, bevel=0.8), sound=True)
    heights = []
    for k, ((x, y), n) in enumerate(zip(points, teeth, strict=True)):
        tall = lift + wide + rng.uniform(6, 22)
        heights.append(tall)
        b.add(f"shaft_{k}", cylinder(4, tall, bevel=0.6).at(x, y, plate - 0.5), on="plate")
        b.add(f"gear_{k}", _gear(rng, n, module, wide).at(x, y, plate + lift), on=f"shaft_{k}")
    corners = [(low[0] + 7, low[1] + 7), (high[0] - 7, low[1] + 7), (low[0] + 7, high[1] - 7), (high[0] - 7,
    high[1] - 7)]
    top = lift + wide + rng.uniform(10, 24)
    for k, (x, y) in enumerate(corners):
        b.add(f"spacer_{k}", cylinder(5.5, top, segments=int(rng.choice([6, 48]))).at(x, y, plate - 0.5), on="plate")
    if chance(rng, 0.6):
        b.add("bridge", box(18, depth - 4, 5, corner=3, bevel=0.6).at(corners[1][0], y0, plate + top - 1),
              on="spacer_1")
    if chance(rng, 0.6):
        b.add("bar", box(width - 4, 12, 5, corner=3, bevel=0.6).at(x0, corners[2][1], plate + top - 1), on="spacer_2")
    x, y = points[0]
    reach = rng.uniform(22, 40)
    b.add("crank", box(reach + 16, 11, 5, corner=4, bevel=0.6).at(reach / 2, 0, 0).turned("z", rng.uniform(0, 360))
          .at(x, y, plate + heights[0] - 3), cylinder(7, 8, bevel=1).at(x, y, plate + heights[0] - 4), on="shaft_0")
    x, y = points[-1]
    b.add("pulley", prism(circle(rng.uniform(11, 16)), 4, bevel=0.6).at(x, y, plate + heights[-1] - 4),
          cylinder(8, 8).at(x, y, plate + heights[-1] - 4), on=f"shaft_{len(teeth) - 1}")
    y_motor = low[1] + 1 if chance(rng, 0.5) else high[1] - 1
    b.add("motor", box(34, 26, rng.uniform(22, 40), corner=5, bevel=1).at(x0 + rng.uniform(-0.2, 0.2) * width,
                                                                         y_motor, plate - 0.5), on="plate")
    b.add("pawl", box(24, 7, 6, corner=3).turned("z", rng.uniform(0, 90)).at(low[0] + 20, y0, plate - 0.5),
          cylinder(4, 12).at(low[0] + 20, y0, plate - 0.5), on="plate")
    b.add("label", box(26, 14, 2.5, corner=1).at(high[0] - 20, low[1] + 18, plate - 0.5), on="plate")
    return b.assembly()


def _gear(rng: np.random.Generator, teeth: int, module: float, width: float) -> Solid:
    """A gear with windows where it is large, or with a hub."""
    radius = module * teeth / 2
    outline = gear_outline(teeth, radius - module * 1.1, radius + module * 0.8)
    windows = []
    if radius > 18 and chance(rng, 0.6):
        holes = count(rng, 3, 6)
        size = min(radius * 0.2, 0.6 * np.pi * radius * 0.58 / holes)
        windows = [circle(size, radius * 0.58 * np.cos(a), radius * 0.58 * np.sin(a), segments=24)
                   for a in 2 * np.pi * np.arange(holes) / holes]
    return union(prism(outline, width, [circle(4.2, segments=24), *windows], bevel=0.4),
                 tube(8, 4, width + rng.uniform(1, 5)))
