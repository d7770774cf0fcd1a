"""A control desk: sloped body, keys in rows, knobs, faders, display, emergency stop, joystick, cable, hand rest."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import (
    Solid,
    ball,
    box,
    circle,
    cylinder,
    lathe,
    prism,
    rectangle,
    rounded_path,
    sweep,
    union,
)


def console(rng: np.random.Generator) -> Assembly:
    """Draw a desk of about 200 x 130 x 90 mm; whoever works at it sits at -y."""
    wide, deep, low, high = rng.uniform(140, 240), rng.uniform(90, 150), rng.uniform(12, 34), rng.uniform(45, 95)
    flat = rng.uniform(0.15, 0.4) * deep
    front, slope = -deep / 2, float(np.degrees(np.arctan2(high - low, deep - flat)))
    b = Builder("console")
    side_view = np.array([[front, 0], [deep / 2, 0], [deep / 2, high], [deep / 2 - flat, high], [front, low]])
    b.add("body", prism(side_view, wide, bevel=1.2).turned("x", 90).turned("z", 90).at(-wide / 2, 0, 0), sound=True)
    length = float(np.hypot(deep - flat, high - low))

    def put(name: str, solid: Solid, x: float, along: float) -> None:
        """Set a solid upright onto the slope; ``along`` is 0 at its lower edge, 1 at its upper one."""
        b.add(name, solid.at(0, 0, -0.6).turned("x", slope).at(x, front + along * (deep - flat),
                                                               low + along * (high - low)),
              on="body")

    columns, rows = count(rng, 3, 6), count(rng, 2, 4)
    pitch = min(0.5 * wide / columns, 0.56 * length / rows)
    x_keys = wide * rng.uniform(-0.18, -0.1)
    cap = 0.72 * pitch
    tall = rng.uniform(4, 9)
    for row in range(rows):
        keys = [box(cap, cap, tall, corner=cap * 0.15, bevel=0.6).at((c - (columns - 1) / 2) * pitch, 0, 0)
                for c in range(columns - (row == rows - 1))]
        put(f"keys_{row}", union(*keys), x_keys, 0.1 + 0.62 * row / max(rows - 1, 1))
    side = wide * 0.3
    put("stop", union(cylinder(12, 5, bevel=0.8), cylinder(6, 9),
                      lathe([(0, 8), (11, 8), (12, 12), (8, 16), (0, 17)])), side, 0.2)
    for k in range(count(rng, 1, 3)):
        r = rng.uniform(6, 9)
        knob = union(cylinder(r, 9, bevel=1, segments=int(rng.choice([8, 12, 40]))), box(2, r, 3).at(0, r * 0.4, 8))
        put(f"knob_{k}", knob.turned("z", rng.uniform(0, 360)), side + (k - 1) * 21, 0.55)
    put("display", union(prism(rectangle(wide * 0.26, length * 0.24, 2), 7, [rectangle(wide * 0.21, length * 0.17, 1)],
                               bevel=0.8),
                         box(wide * 0.24, length * 0.2, 2)), wide * 0.27, 0.84)
    if chance(rng, 0.6):
        lean = rng.uniform(-12, 12)
        put("stick", union(lathe([(0, 0), (12, 0), (9, 5), (0, 5)]), rod((0, 0, 3), (lean, 5, 34), 3),
                           ball(7, 32).at(lean, 5, 28)), wide * 0.1, 0.25)
    else:
        put("fader", union(box(10, length * 0.35, 3, corner=2), box(14, 9, 9, bevel=1).at(0, rng.uniform(-12, 12), 2)),
            wide * 0.1, 0.32)
    shelf = deep / 2 - flat / 2
    for k in range(count(rng, 1, 3)):
        b.add(f"lamp_{k}", union(cylinder(6, 4), ball(5, 28)).at(-wide * 0.4 + 16 * k, shelf, high - 0.6), on="body")
    b.add("printer", box(wide * 0.26, flat * 0.8, rng.uniform(8, 20), corner=2, bevel=1).at(wide * 0.24, shelf,
                                                                                            high - 0.6),
          on="body")
    b.add("rest", sweep(rounded_path(np.array([[-wide * 0.45, front + 2, low * 0.6],
                                               [-wide * 0.45, front - 12, low * 0.6],
                                               [wide * 0.2, front - 12, low * 0.6], [wide * 0.2, front + 2,
                                                                                     low * 0.6]]), 6), 4),
          on="body")
    hand = float(rng.choice([-1, 1]))
    b.add("plug", cylinder(9, 16, bevel=1).lying().at(hand * wide / 2 - 8, deep * 0.2, high * 0.4),
          box(5, 30, 26, corner=2).at(hand * wide / 2, deep * 0.2, high * 0.25), on="body")
    b.add("vent", *(box(3, 24, 2.4).at(-hand * wide / 2, deep * 0.18, high * 0.2 + 6 * k)
                    for k in range(count(rng, 3, 5))),
          on="body")
    b.add("lock", prism(circle(6, segments=24), 5, [circle(2, segments=12)]).turned("x", 90).at(wide * 0.36, front + 1,
                                                                                                low * 0.5),
          on="body")
    return b.assembly()
