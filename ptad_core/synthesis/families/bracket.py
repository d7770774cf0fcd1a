"""A bracket: two plates at an angle, gussets, bosses, bolts, lugs, a pin and a clip."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import box, circle, cylinder, prism, rectangle, tube


def bracket(rng: np.random.Generator) -> Assembly:
    """Draw a bracket of about 110 x 80 x 90 mm, the upright plate at the end of the lying one."""
    length, width, height = rng.uniform(80, 150), rng.uniform(50, 100), rng.uniform(60, 120)
    plate = rng.uniform(5, 10)
    x_wall = length / 2 - plate
    b = Builder("bracket")
    hole = rng.uniform(3, 6)
    b.add("base", prism(rectangle(length, width, rng.uniform(2, 14)), plate,
                        [circle(hole, -length * 0.36, s * width * 0.32, segments=24) for s in (-1, 1)],
                        bevel=0.7), sound=True)
    bore = min(width, height) * rng.uniform(0.12, 0.2)
    outline = np.array([[-width / 2, 0], [width / 2, 0], [width / 2, height * rng.uniform(0.5, 0.95)],
                        [width * 0.25, height], [-width * 0.25, height],
                        [-width / 2, height * rng.uniform(0.5, 0.95)]])
    b.add("wall", prism(outline, plate, [circle(bore, 0, height * 0.68)], bevel=0.7).lying()
          .at(x_wall, 0, plate * 0.5), on="base", sound=True)
    reach, rise = length * rng.uniform(0.35, 0.6), height * rng.uniform(0.35, 0.6)
    gusset = prism(np.array([[0, 0], [-reach, 0], [-reach, 5], [-4, rise], [0, rise]]), plate * 0.8, bevel=0.4)
    where = {1: (0.0,), 2: (-0.4, 0.4), 3: (-0.42, 0.0, 0.42)}[count(rng, 1, 3)]
    for k, y in enumerate(where):
        b.add(f"gusset_{k}", gusset.turned("x", 90).at(x_wall + 1, y * (width - plate) + plate * 0.4, plate - 0.5),
              on="base")
    b.add("bushing", tube(bore * 1.5, bore * 0.8, plate + rng.uniform(8, 26)).lying()
          .at(x_wall - 4, 0, height * 0.68 + plate * 0.5), on="wall")
    for k, s in enumerate((-1, 1)):
        b.add(f"bolt_{k}", cylinder(hole * 2, hole * 1.3, bevel=0.5, segments=6)
              .at(-length * 0.36, s * width * 0.32, plate - 0.4), cylinder(hole, hole * 2.4)
              .at(-length * 0.36, s * width * 0.32, plate), on="base")
    x, y = -length * rng.uniform(0.05, 0.2), rng.choice([-1, 1]) * width * 0.18
    b.add("boss", tube(9, 4.5, rng.uniform(14, 30)).at(x, y, plate - 0.5), on="base")
    b.add("pin", cylinder(rng.uniform(2.5, 4.5), rng.uniform(24, 48), bevel=0.8).at(-length * 0.2, -y * 1.4,
                                                                                  plate - 0.5), on="base")
    b.add("lug", prism(rectangle(24, 26, 7), 7, [circle(4, 3, 0, segments=24)], bevel=0.6)
          .turned("z", 90).at(-length * 0.12, rng.choice([-1, 1]) * (width / 2 + 8), 0), on="base")
    b.add("stop", box(16, width * rng.uniform(0.3, 0.6), rng.uniform(8, 18), corner=2, bevel=0.8)
          .at(-length / 2 + 11, 0, plate - 0.5), on="base")
    if chance(rng, 0.6):
        b.add("ear", box(plate * 0.9, 20, 26, corner=1).at(x_wall + plate / 2, width * 0.2, height - 4), on="wall")
    if chance(rng, 0.6):
        b.add("clip", tube(11, 8, 14).turned("x", 90).at(x_wall - 9, -width * 0.32, height * 0.45), on="wall")
    if chance(rng, 0.6):
        b.add("plug", cylinder(bore * 0.7, 10, bevel=1).lying().at(x_wall + plate + rng.uniform(-2, 1) - 1,
                                                                   -width * 0.3, height * 0.3), on="wall")
    return b.assembly()
