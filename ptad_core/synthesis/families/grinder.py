"""A hand tool: motor body, gear head, disc, guard, handles, switch, battery or cable."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import box, circle, cylinder, lathe, prism, rounded_path, sweep, tube


def grinder(rng: np.random.Generator) -> Assembly:
    """Draw an angle grinder of about 330 x 150 x 130 mm, its body along x."""
    length, body = rng.uniform(110, 170), rng.uniform(26, 36)
    disc = rng.uniform(48, 68)
    z = rng.uniform(44, 56)
    b = Builder("grinder")
    b.add("body", lathe([(0, 0), (body * 0.9, 0), (body, 10), (body, length - 8), (body * 0.85, length), (0, length)])
          .lying().at(0, 0, z), sound=True)
    grip = length * rng.uniform(0.55, 0.85)
    b.add("grip", lathe([(0, 0), (body * 0.75, 0), (body * 0.62, grip * 0.4), (body * 0.72, grip - 8),
                         (body * 0.5, grip), (0, grip)]).lying().at(length - 3, 0, z), on="body", sound=True)
    b.add("head", box(body * 2, body * 1.7, body * 1.6, corner=body * 0.4, bevel=4)
          .at(-body * 0.8, 0, z - body * 0.85), on="body", sound=True)
    x = -body * 0.9
    b.add("spindle", cylinder(10, z - 14).at(x, 0, 12), on="head")
    b.add("disc", prism(circle(disc), 5, [circle(4, segments=24)], bevel=0.6).at(x, 0, 14), on="spindle")
    b.add("nut", cylinder(14, 11, bevel=1.5, segments=6).at(x, 0, 6), on="spindle")
    angle = np.radians(np.linspace(rng.uniform(-100, -70), rng.uniform(70, 100), 18))
    outer, inner = disc + 8, disc + 4
    arc = np.concatenate([np.stack([outer * np.cos(angle), outer * np.sin(angle)], axis=1),
                          np.stack([inner * np.cos(angle), inner * np.sin(angle)], axis=1)[::-1]])
    lid = np.concatenate([np.stack([outer * np.cos(angle), outer * np.sin(angle)], axis=1), [[-8.0, 0.0]]])
    b.add("guard", prism(arc, 24).at(x, 0, 6), prism(lid, 3).at(x, 0, 27), on="head")
    side = float(rng.choice([-1, 1]))
    reach = rng.uniform(80, 120)
    b.add("side_handle", cylinder(5, 24).turned("x", 90 * side).at(x + 2, -side * body * 0.75, z),
          lathe([(0, 0), (15, 0), (15, 6), (11, 14), (13, reach * 0.6), (10, reach), (0, reach)])
          .turned("x", 90 * side).at(x + 2, -side * (body * 0.75 + 18), z), on="head")
    b.add("switch", box(rng.uniform(24, 44), 15, 12, corner=4, bevel=2).at(length * rng.uniform(0.3, 0.7),
                                                                         0, z + body - 5), on="body")
    b.add("lock", cylinder(8, 12, bevel=1.5).at(x + 4, 0, z + body * 0.7), on="head")
    fins = count(rng, 3, 6)
    b.add("vents", *(tube(body + 3, body * 0.8, 4).lying().at(16 + 9 * k, 0, z) for k in range(fins)), on="body")
    tail = length - 3 + grip
    if chance(rng, 0.5):
        b.add("battery", box(rng.uniform(50, 76), body * 1.7, 40, corner=8, bevel=3).at(tail - 8, 0, z - 28), on="grip")
    else:
        path = rounded_path(np.array([[tail - 8, 0, z], [tail + 46, 0, z], [tail + 62, side * 14, z - 26],
                                      [tail + 70, side * 44, 8]]), 16)
        b.add("cable", sweep(path, 5.5), on="grip")
    b.add("badge", box(rng.uniform(30, 50), 6, 20, corner=2, bevel=1).at(length * 0.55, side * (body - 1), z - 10),
          on="body")
    if chance(rng, 0.6):
        b.add("trigger", box(rng.uniform(40, 70), 14, 12, corner=4, bevel=2)
              .at(length + grip * 0.35, 0, z - body * 0.84),
              on="grip")
    if chance(rng, 0.6):
        b.add("dial", cylinder(12, 12, bevel=1.5).turned("x", -90 * side).at(length * 0.22, side * (body - 7), z + 4),
              on="body")
    return b.assembly()
