"""A slatted bench: end frames, seat slats, now and then a back, arms and a stretcher."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import box, cylinder


def bench(rng: np.random.Generator) -> Assembly:
    """Draw a bench of about 1.2 x 0.4 x 0.5 m, 0.9 m with a back."""
    length, depth, seat = rng.uniform(800, 1500), rng.uniform(330, 480), rng.uniform(380, 480)
    beam, leg, slat = rng.uniform(40, 70), rng.uniform(40, 75), rng.uniform(18, 34)
    x_frame = length / 2 - rng.uniform(0.05, 0.16) * length
    b = Builder("bench")
    b.add("beams", *(box(beam, depth, beam, corner=4).at(s * x_frame, 0, seat - beam) for s in (-1, 1)),
          box(2 * x_frame, beam * 0.7, beam * 0.8).at(0, 0, seat - beam), sound=True)
    rounded = chance(rng, 0.35)
    y_leg = depth / 2 - leg * 0.6
    for name, sx, sy in [("front_left", -1, -1), ("front_right", 1, -1), ("back_left", -1, 1), ("back_right", 1, 1)]:
        shape = cylinder(leg / 2, seat - beam * 0.5) if rounded else box(leg, leg * 0.8, seat - beam * 0.5, corner=4)
        b.add(f"leg_{name}", shape.at(sx * x_frame, sy * y_leg, 0), on="beams")
    slats = count(rng, 3, 6)
    pitch = depth / slats
    for k in range(slats):
        b.add(f"slat_{k}", box(length, pitch * rng.uniform(0.72, 0.88), slat, corner=3, bevel=2)
              .at(0, (k + 0.5) * pitch - depth / 2, seat - 2), on="beams")
    if chance(rng, 0.6):
        _back(b, rng, x_frame, depth / 2, seat)
    if chance(rng, 0.5):
        height = rng.uniform(160, 230)
        for name, s in (("left", -1), ("right", 1)):
            b.add(f"arm_{name}", box(leg, depth, 30, corner=8, bevel=3).at(s * x_frame, 0, seat + height),
                  box(leg * 0.7, leg * 0.7, height + slat).at(s * x_frame, -y_leg, seat - slat * 0.5),
                  box(leg * 0.7, leg * 0.7, height + slat).at(s * x_frame, y_leg, seat - slat * 0.5), on="beams")
    if chance(rng, 0.6):
        b.add("stretcher", box(2 * x_frame, 34, 44, corner=3).at(0, 0, seat * rng.uniform(0.2, 0.4)),
              *(box(34, 2 * y_leg, 44, corner=3).at(s * x_frame, 0, seat * 0.3) for s in (-1, 1)), on="beams")
    if chance(rng, 0.5):
        b.add("basket", box(length * rng.uniform(0.2, 0.35), depth * 0.7, seat * 0.3, corner=12)
              .at(rng.uniform(-0.2, 0.2) * length, 0, seat - beam * 0.5 - seat * 0.3), on="beams")
    return b.assembly()


def _back(b: Builder, rng: np.random.Generator, x_frame: float, y: float, seat: float) -> None:
    height, tilt = rng.uniform(300, 460), rng.uniform(0, 14)
    posts = [-x_frame, x_frame]
    for name, x in zip(("left", "right"), posts, strict=True):
        b.add(f"back_post_{name}", box(44, 34, height, corner=4).turned("x", -tilt).at(x, y, seat - 10), on="beams")
    if chance(rng, 0.5):
        rails = count(rng, 2, 4)
        for k, z in enumerate(np.linspace(0.25 * height, height - 30, rails)):
            b.add(f"back_rail_{k}", box(2 * x_frame + 60, 22, rng.uniform(40, 70), corner=3, bevel=2)
                  .at(0, 0, z - 25).turned("x", -tilt).at(0, y, seat - 10), on="beams")
    else:
        rails = count(rng, 5, 9)
        b.add("back_top", box(2 * x_frame + 60, 30, 60, corner=5, bevel=2).at(0, 0, height - 40).turned("x", -tilt)
              .at(0, y, seat - 10), on="beams")
        for k, x in enumerate(np.linspace(-x_frame, x_frame, rails + 2)[1:-1]):
            b.add(f"back_slat_{k}", box(rng.uniform(30, 60), 18, height - 20, corner=3).turned("x", -tilt)
                  .at(x, y, seat - 10), on="beams")
