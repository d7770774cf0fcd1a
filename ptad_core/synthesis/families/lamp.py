"""A desk lamp: foot, arms with joints, shade, bulb, counterweight, switch and cable."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import (
    ball,
    box,
    circle,
    cylinder,
    lathe,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
)


def lamp(rng: np.random.Generator) -> Assembly:
    """Draw a lamp of about 300 x 180 x 400 mm."""
    foot, thick, bar = rng.uniform(65, 100), rng.uniform(12, 30), rng.uniform(5, 9)
    lower, upper = rng.uniform(150, 240), rng.uniform(120, 210)
    a, c = np.radians(rng.uniform(60, 105)), np.radians(rng.uniform(-10, 50))
    elbow = np.array([lower * np.cos(a), 0, thick + lower * np.sin(a)])
    head = elbow + upper * np.array([np.cos(c), 0, np.sin(c)])
    b = Builder("lamp")
    b.add("foot", prism(circle(foot) if chance(rng, 0.5) else rectangle(2 * foot, 1.4 * foot, foot * 0.3), thick,
                        bevel=4), sound=True)
    pair = (-9.0, 9.0) if chance(rng, 0.5) else (0.0,)
    b.add("lower_arm", *(rod((0, y, thick - 3), (elbow[0], y, elbow[2]), bar) for y in pair), on="foot")
    b.add("socket", cylinder(bar * 2.6, 20, bevel=2).at(0, 0, thick - 2), on="foot")
    b.add("upper_arm", *(rod((elbow[0], y, elbow[2]), (head[0], y, head[2]), bar * 0.9) for y in pair), on="lower_arm")
    b.add("elbow", cylinder(bar * 2.2, 38, bevel=2).turned("x", 90).at(elbow[0], 19, elbow[2]), on="lower_arm")
    b.add("elbow_knob", cylinder(bar * 1.5, 18, bevel=2, segments=int(rng.choice([6, 8, 48]))).turned("x", 90)
          .at(elbow[0], -17, elbow[2]), on="elbow")
    tilt = rng.uniform(140, 215)
    wide, tall = rng.uniform(48, 80), rng.uniform(60, 100)
    shade = lathe([(0, tall), (13, tall), (wide - 4, 2), (wide, 0), (18, tall + 5), (0, tall + 5)])
    b.add("shade", shade.at(0, 0, -tall).turned("y", tilt - 180).at(head[0], 0, head[2]), on="upper_arm")
    b.add("bulb", *(s.turned("y", tilt - 180).at(head[0], 0, head[2]) for s in (
        ball(wide * 0.36).at(0, 0, -tall * 0.9), cylinder(9, tall * 0.5).at(0, 0, -tall * 0.48))), on="shade")
    b.add("neck", tube(17, 8, 26).turned("y", tilt - 180).at(head[0], 0, head[2]), on="upper_arm")
    back = elbow - 46 * np.array([np.cos(c), 0, np.sin(c)])
    b.add("counterweight", rod((elbow[0], 0, elbow[2]), (back[0], 0, back[2]), bar * 0.9),
          ball(rng.uniform(14, 22)).at(back[0], 0, back[2] - 16), on="upper_arm")
    if chance(rng, 0.7):
        p, q = elbow * 0.3 + [0, 0, thick * 0.7], elbow + 0.25 * (head - elbow)
        b.add("spring", rod((p[0] - 12, 0, p[2]), (elbow[0] - 10, 0, elbow[2] - 8), 4.5),
              rod((elbow[0], 0, elbow[2] + 12), (q[0], 0, q[2] + 3), 4.5), on="lower_arm")
    b.add("switch", box(26, 20, 14, corner=3, bevel=1.5).at(foot * 0.55, rng.uniform(-0.3, 0.3) * foot, thick - 1),
          on="foot")
    if chance(rng, 0.6):
        cable = rounded_path(np.array([[-foot * 0.7, 0, thick * 0.5], [-foot - 30, 10, thick * 0.5],
                                       [-foot - 50, 60, thick * 0.5]]), 20)
        b.add("cable", sweep(cable, 4), on="foot")
        b.add("plug", box(34, 24, 18, corner=5, bevel=2).at(-foot - 50, 68, max(0.0, thick * 0.5 - 9)), on="cable")
    for k in range(count(rng, 1, 3)):
        b.add(f"pen_{k}", cylinder(9, rng.uniform(30, 60), bevel=1.5)
              .at(-foot * 0.1 + 24 * (k - 1), foot * 0.5, thick - 1), on="foot")
    return b.assembly()
