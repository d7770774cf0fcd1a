"""A truss bridge or boom: two lattice sides of any panels, deck, portals, bearings, rails, sign, lantern, box."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import Solid, box, cylinder, lathe, prism, sweep, union


def bridge(rng: np.random.Generator) -> Assembly:
    """Draw a bridge of about 280 x 80 x 90 mm along x."""
    panels, length = count(rng, 4, 7), rng.uniform(220, 320)
    wide, high, base = rng.uniform(46, 100), rng.uniform(38, 80), rng.uniform(18, 36)
    chord, thin, arch = rng.uniform(3, 5), rng.uniform(1.8, 3.2), rng.uniform(0.0, 0.5) * high
    square = chance(rng, 0.5)
    x = np.linspace(-length / 2, length / 2, panels + 1)
    top = base + high + arch * (1 - (2 * x / length) ** 2)
    b = Builder("bridge")
    b.add("deck", box(length * 1.04, wide, 6, bevel=0.8).at(0, 0, base - 3), sound=True)

    def bar(start: tuple[float, float, float], end: tuple[float, float, float], thick: float) -> Solid:
        return rod(start, end, thick, 4 if square else 12)

    for name, y in (("left", wide / 2 - chord), ("right", -wide / 2 + chord)):
        arc = np.stack([x[1:-1], np.full(panels - 1, y), top[1:-1]], axis=1)
        b.add(f"chord_{name}", sweep(arc, chord, 8), bar((x[0], y, base), (x[1], y, top[1]), chord),
              bar((x[-1], y, base), (x[-2], y, top[-2]), chord), on="deck", sound=True)
        for k in range(1, panels):
            b.add(f"post_{name}_{k}", bar((x[k], y, base), (x[k], y, top[k]), thin), on=f"chord_{name}")
        for k in range(1, panels - 1):
            rising = (k < panels / 2) == (name == "left") if chance(rng, 0.85) else chance(rng, 0.5)
            z = (base, top[k + 1]) if rising else (top[k], base)
            b.add(f"brace_{name}_{k}", bar((x[k], y, z[0]), (x[k + 1], y, z[1]), thin), on=f"chord_{name}")
    for k in range(1, panels, count(rng, 1, 2)):
        b.add(f"portal_{k}", box(chord * 2, wide - chord, rng.uniform(4, 9)).at(x[k], 0, top[k] - 4), on="chord_left")
    side = float(rng.choice([-1, 1]))
    for k, sx in enumerate((-1, 1)):
        pier = box(22, wide * 0.9, base - 2, corner=rng.uniform(1, 8)) if chance(rng, 0.6) else union(
            *(cylinder(9, base - 2).at(0, s * wide * 0.32, 0) for s in (-1, 1)))
        b.add(f"pier_{k}", pier.at(sx * length * 0.44, 0, 0), on="deck")
    b.add("hut", box(24, 20, rng.uniform(18, 30), bevel=0.8).at(x[1] * 0.98, side * (wide / 2 + 8), base - 3),
          prism(np.array([[-14, 0], [14, 0], [0, 11]]), 24).turned("x", 90).at(x[1] * 0.98, side * (wide / 2 + 8) + 12,
                                                                             base + 12), on="deck")
    x_sign = x[-2] * rng.uniform(0.2, 0.9)
    b.add("sign", box(3, 26, 16, corner=0.5).turned("z", rng.uniform(-20, 20)).at(x_sign, side * 4, base + 17),
          rod((x_sign, side * 4, base), (x_sign, side * 4, base + 22), 1.8), on="deck")
    b.add("lantern", lathe([(0, 0), (4, 0), (7, 9), (3, 14), (0, 14)], 20).at(x[1], side * (wide / 2 - chord),
                                                                              top[1] + 1),
          on="chord_left" if side > 0 else "chord_right")
    b.add("pipe", rod((x[0], -side * (wide / 2 + 3), base + 2), (x[-2], -side * (wide / 2 + 3), base + 2), 4),
          on="deck")
    return b.assembly()
