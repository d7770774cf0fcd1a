"""A chair: seat, four legs, a slatted back, stretchers, now and then arms."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import Solid, box, cylinder, prism, rectangle


def chair(rng: np.random.Generator) -> Assembly:
    """Draw a chair of about 0.45 x 0.45 x 0.9 m."""
    width, depth = rng.uniform(380, 500), rng.uniform(380, 480)
    seat, height, thick = rng.uniform(400, 480), rng.uniform(380, 520), rng.uniform(22, 60)
    leg, round_legs = rng.uniform(26, 48), bool(rng.random() < 0.4)
    x, y = width / 2 - leg * 0.7, depth / 2 - leg * 0.7
    b = Builder("chair")
    b.add("seat", prism(rectangle(width, depth, rng.uniform(5, 60)), thick, bevel=4).at(0, 0, seat), sound=True)
    for name, sx, sy in [("front_left", -1, -1), ("front_right", 1, -1), ("back_left", -1, 1), ("back_right", 1, 1)]:
        b.add(f"leg_{name}", _post(leg, seat + thick * 0.3, round_legs).at(sx * x, sy * y, 0), on="seat")
    for name, sx in [("left", -1), ("right", 1)]:
        b.add(f"post_{name}", _post(leg * 0.8, height, round_legs).at(sx * x, y, seat + thick * 0.7), on="seat")
    b.add("top_rail", box(width, leg * 0.8, leg * rng.uniform(1.2, 2.2), corner=5, bevel=3)
          .at(0, y, seat + thick * 0.7 + height - leg), on="seat")
    slats = int(rng.integers(2, 6))
    if rng.random() < 0.5:
        for k, dx in enumerate(np.linspace(-x, x, slats + 2)[1:-1]):
            b.add(f"slat_{k}", box(leg * 0.9, 14, height, corner=3).at(dx, y, seat + thick * 0.7), on="seat")
    else:
        for k, z in enumerate(np.linspace(0, height - leg, slats + 2)[1:-1]):
            b.add(f"slat_{k}", box(2 * x, 14, leg, corner=3).at(0, y, seat + thick + z), on="seat")
    if rng.random() < 0.6:
        z = rng.uniform(0.25, 0.5) * seat
        b.add("stretcher_left", box(18, 2 * y, 26, corner=3).at(-x, 0, z), on="seat")
        b.add("stretcher_right", box(18, 2 * y, 26, corner=3).at(x, 0, z), on="seat")
    if rng.random() < 0.5:
        z = seat + thick + rng.uniform(0.35, 0.5) * height
        for name, sx in [("left", -1), ("right", 1)]:
            b.add(f"arm_{name}", box(leg * 1.1, 2 * y, 24, corner=6, bevel=3).at(sx * x, 0, z),
                  _post(leg * 0.7, z - seat - thick * 0.6, round_legs).at(sx * x, -y * 0.8, seat + thick * 0.7),
                  on="seat")
    return b.assembly()


def _post(width: float, height: float, rounded: bool) -> Solid:
    return cylinder(width / 2, height, segments=32) if rounded else box(width, width, height, corner=width * 0.15)
