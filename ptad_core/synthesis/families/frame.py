"""A machine frame of bars: posts, beams, braces, corner plates, panels, rollers and a control box."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import box, cylinder, prism


def frame(rng: np.random.Generator) -> Assembly:
    """Draw a frame of about 0.8 x 0.5 x 0.6 m."""
    width, depth, high = rng.uniform(500, 1000), rng.uniform(350, 650), rng.uniform(350, 800)
    bar, foot = rng.uniform(30, 52), rng.uniform(20, 50)
    x, y = (width - bar) / 2, (depth - bar) / 2
    b = Builder("frame")
    b.add("floor_bars", *(box(width, bar, bar).at(0, s * y, foot) for s in (-1, 1)),
          *(box(bar, depth, bar).at(s * x, 0, foot) for s in (-1, 1)), sound=True)
    corners = [("a", -1, -1), ("b", 1, -1), ("c", -1, 1), ("d", 1, 1)]
    b.add("feet", *(cylinder(bar * 0.6, foot + 2, bevel=2).at(sx * x, sy * y, 0) for _, sx, sy in corners),
          on="floor_bars", sound=True)
    for name, sx, sy in corners:
        b.add(f"post_{name}", box(bar, bar, high).at(sx * x, sy * y, foot + bar * 0.5), on="floor_bars")
    top = foot + bar * 0.5 + high - bar
    for name, s in (("front", -1), ("back", 1)):
        b.add(f"beam_{name}", box(width, bar * 0.96, bar).at(0, s * y, top), on="floor_bars")
    for name, s in (("left", -1), ("right", 1)):
        b.add(f"beam_{name}", box(bar * 0.96, depth, bar).at(s * x, 0, top), on="floor_bars")
    if chance(rng, 0.7):
        z = foot + high * rng.uniform(0.35, 0.65)
        b.add("middle_bar", box(width - bar, bar * 0.8, bar * 0.8).at(0, float(rng.choice([-1, 1])) * y, z),
              on="floor_bars")
        b.add("side_bar", box(bar * 0.8, depth - bar, bar * 0.8).at(float(rng.choice([-1, 1])) * x, 0, z),
              on="floor_bars")
    plate = prism(np.array([[0.0, 0.0], [bar * 2.6, 0.0], [bar * 2.6, 8.0], [8.0, bar * 2.6], [0.0, bar * 2.6]]), 8)
    for k, s in enumerate((-1, 1)[:count(rng, 1, 2)]):
        piece = plate.turned("x", 90) if s < 0 else plate.turned("x", 90).turned("z", 180).at(0, -8, 0)
        b.add(f"corner_plate_{k}", piece.at(s * (x + bar / 2), 1 - y - bar / 2, foot + bar * 0.4),
              on="floor_bars")
    if chance(rng, 0.6):
        x_brace = x * float(rng.choice([-1, 1]))
        b.add("brace", rod((x_brace, -y, foot + bar), (x_brace, y, top), bar * 0.28), on="floor_bars")
    if chance(rng, 0.6):
        b.add("back_brace", rod((-x, y, foot + bar), (x, y, top), bar * 0.28), on="floor_bars")
    if chance(rng, 0.5):
        b.add("panel", box(width * rng.uniform(0.5, 0.95), depth * 0.96, 12).at(rng.uniform(-0.02, 0.02) * width, 0,
                                                                             top + bar - 2), on="beam_front")
    else:
        for k, dx in enumerate(np.linspace(-0.36, 0.36, count(rng, 3, 5)) * width):
            b.add(f"roller_{k}", cylinder(bar * 0.6, depth - bar * 0.5).turned("x", 90)
                  .at(dx, (depth - bar * 0.5) / 2, top + bar * 0.9), on="beam_front")
    end = float(rng.choice([-1, 1]))
    b.add("control_box", box(70, depth * 0.3, high * rng.uniform(0.25, 0.4), corner=6, bevel=3)
          .at(end * (x + bar / 2 + 30), -y + depth * 0.12, foot + high * 0.45), on="post_b" if end > 0 else "post_a")
    b.add("motor", cylinder(bar * 1.1, bar * 3.2, bevel=4).lying().at(-bar * 1.6, rng.uniform(-0.2, 0.2) * depth,
                                                                    foot + bar * 1.9),
          box(bar * 2, depth - bar, bar * 0.9).at(0, 0, foot + 1), on="floor_bars")
    if chance(rng, 0.7):
        b.add("lamp", cylinder(8, 90).at(end * x, y, top + bar * 0.8),
              cylinder(22, 70, bevel=4).at(end * x, y, top + bar + 60), on="post_d" if end > 0 else "post_c")
    return b.assembly()
