"""A table: top of any outline, legs or trestles, apron, drawers, a shelf, and what is screwed to it."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import Solid, ball, box, cylinder, lathe, prism, rectangle


def table(rng: np.random.Generator) -> Assembly:
    """Draw a table of about 1.1 x 0.7 x 0.7 m."""
    width, depth, high = rng.uniform(700, 1500), rng.uniform(480, 850), rng.uniform(430, 780)
    thick = rng.uniform(18, 45)
    b = Builder("table")
    b.add("top", prism(rectangle(width, depth, rng.uniform(5, 0.3 * depth)), thick, bevel=3).at(0, 0, high), sound=True)
    x, y = width / 2 - rng.uniform(60, 130), depth / 2 - rng.uniform(50, 110)
    style, leg = count(rng, 0, 2), rng.uniform(35, 80)
    for name, sx, sy in [("a", -1, -1), ("b", 1, -1), ("c", -1, 1), ("d", 1, 1)]:
        b.add(f"leg_{name}", _leg(style, leg, high + thick * 0.4).at(sx * x, sy * y, 0), on="top")
    if chance(rng, 0.6):
        rail = rng.uniform(60, 110)
        for name, s in (("front", -1), ("back", 1)):
            b.add(f"apron_{name}", box(2 * x, 22, rail).at(0, s * y, high - rail + 2), on="top")
        for name, s in (("left", -1), ("right", 1)):
            b.add(f"apron_{name}", box(22, 2 * y, rail).at(s * x, 0, high - rail + 2), on="top")
    drawers = count(rng, 0, 3)
    for k in range(drawers):
        w = width * 0.22
        x_drawer = (k - (drawers - 1) / 2) * w * 1.15 + rng.uniform(-0.05, 0.05) * width
        tall = rng.uniform(90, 200)
        b.add(f"drawer_{k}", box(w, depth * 0.7, tall, corner=4).at(x_drawer, -depth * 0.08, high - tall + 2), on="top")
        b.add(f"knob_{k}", cylinder(12, 20, bevel=3).turned("x", 90).at(x_drawer, -depth * 0.42, high - tall * 0.5),
              on=f"drawer_{k}")
    if chance(rng, 0.5):
        b.add("shelf", box(2 * x + leg, 2 * y + leg, 20, corner=4).at(0, 0, high * rng.uniform(0.18, 0.45)),
              on="leg_a")
    if chance(rng, 0.5):
        z = high * rng.uniform(0.1, 0.3)
        b.add("brace", rod((-x, y, z), (x, y, high * 0.85), 11), on="leg_c")
        b.add("cross_brace", rod((x, y, z), (-x, y, high * 0.85), 11), on="leg_d")
    over = high + thick - 2
    if chance(rng, 0.7):
        x_screen, y_screen, wide = rng.uniform(-0.2, 0.2) * width, depth * 0.25, rng.uniform(260, 460)
        b.add("screen", box(wide, 24, wide * 0.6, corner=8, bevel=3).at(x_screen, y_screen, over + 90),
              cylinder(18, 120).at(x_screen, y_screen, over), cylinder(70, 12, bevel=3).at(x_screen, y_screen, over),
              on="top")
    if chance(rng, 0.6):
        b.add("vice", box(120, 80, 70, corner=6, bevel=3).at(width * 0.32, -depth / 2 + 20, over),
              rod((width * 0.32, -depth / 2 - 20, over + 35), (width * 0.32, -depth / 2 - 120, over + 35), 12),
              on="top")
    if chance(rng, 0.7):
        b.add("tray", prism(rectangle(200, 150, 12), 50, [rectangle(180, 130, 8)], bevel=2)
              .at(-width * 0.3, -depth * 0.12, over), box(190, 140, 6).at(-width * 0.3, -depth * 0.12, over), on="top")
    b.add("socket_strip", box(rng.uniform(180, 300), 46, 44, corner=6).at(-width * 0.08, depth / 2 - 30, over),
          on="top")
    tall = rng.uniform(120, 240)
    b.add("bin", lathe([(0, 0), (90, 0), (120, tall), (108, tall), (82, 14), (0, 14)])
          .at(width * 0.25, depth * 0.05, over), on="top")
    b.add("knob", ball(24).at(width * 0.42, depth * 0.38, over - 4), on="top")
    return b.assembly()


def _leg(style: int, width: float, height: float) -> Solid:
    if style == 0:
        return box(width, width, height, corner=width * 0.1)
    if style == 1:
        return cylinder(width / 2, height)
    h, r = height, width / 2
    return lathe([(0, 0), (r * 0.5, 0), (r * 0.6, h * 0.4), (r * 0.9, h * 0.55), (r * 0.6, h * 0.6), (r, h * 0.75),
                  (r, h), (0, h)])
