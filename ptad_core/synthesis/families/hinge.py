"""A hinge: two leaves at an angle, knuckles, pin with finials, screws, a spring, a stop and a buffer."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, ball, box, circle, cylinder, prism, rectangle, sweep, tube, union


def hinge(rng: np.random.Generator) -> Assembly:
    """Draw a hinge of about 120 x 60 x 100 mm; its pin lies along x."""
    length, reach, thick = rng.uniform(80, 140), rng.uniform(38, 64), rng.uniform(3.5, 6)
    knuckle, pin = rng.uniform(7, 10), rng.uniform(3, 4.5)
    opening = rng.uniform(60, 130)
    tall = reach * rng.uniform(0.8, 1.3)
    z = knuckle + 1
    knuckles = 2 * count(rng, 1, 3) + 1
    pieces = np.linspace(-length / 2, length / 2, knuckles + 1)
    b = Builder("hinge")
    b.add("fixed_leaf", _leaf(length, reach, thick, rng).at(0, reach / 2 + 2, 0),
          *(tube(knuckle, pin, pieces[k + 1] - pieces[k] - 1).lying().at(pieces[k], 0, z)
            for k in range(0, knuckles, 2)), box(length * 0.9, knuckle, thick).at(0, knuckle * 0.6, 0), sound=True)
    leaf = _leaf(length * rng.uniform(0.8, 1.0), tall, thick, rng).at(0, tall / 2 + knuckle * 0.6, -thick / 2)
    arms = [box(pieces[k + 1] - pieces[k] - 1, knuckle * 1.2, thick).at((pieces[k] + pieces[k + 1]) / 2, knuckle * 0.8,
                                                                       -thick / 2) for k in range(1, knuckles, 2)]
    b.add("pin", cylinder(pin * 0.98, length + 14).lying().at(-length / 2 - 7, 0, z), on="fixed_leaf")
    b.add("moving_leaf", union(leaf, *arms).turned("x", opening).at(0, 0, z),
          *(tube(knuckle, pin, pieces[k + 1] - pieces[k] - 1).lying().at(pieces[k], 0, z)
            for k in range(1, knuckles, 2)), on="pin")
    for name, s in (("left", -1), ("right", 1)):
        b.add(f"finial_{name}", ball(rng.uniform(5, 8)).at(0, 0, -6).at(s * (length / 2 + 9), 0, z), on="pin")
    screws = count(rng, 2, 4)
    for k, x in enumerate(np.linspace(-0.38, 0.38, screws) * length):
        b.add(f"screw_{k}", cylinder(rng.uniform(5, 7), 4.5, bevel=1, segments=int(rng.choice([6, 48])))
              .at(x, reach * (0.45 + 0.3 * (k % 2)), thick - 0.4), on="fixed_leaf")

    def on_leaf(solid: Solid, x: float, y: float) -> Solid:
        return solid.at(x, y, thick / 2 - 0.4).turned("x", opening).at(0, 0, z)

    b.add("stop", box(14, 10, rng.uniform(8, 16), corner=2, bevel=0.8).at(length * rng.uniform(-0.3, 0.3),
                                                                        reach * 0.22, thick - 0.4), on="fixed_leaf")
    b.add("buffer", on_leaf(cylinder(7, 10, bevel=2), -length * 0.25, tall * 0.75), on="moving_leaf")
    b.add("plate", on_leaf(box(length * 0.3, tall * 0.3, 4, corner=2, bevel=0.6), length * 0.16, tall * 0.55),
          on="moving_leaf")
    if chance(rng, 0.6):
        b.add("lever", on_leaf(union(box(12, 12, 16, corner=2), box(12, 42, 6, corner=2).at(0, 14, 14)),
                               length * 0.3, tall * 0.85), on="moving_leaf")
    if chance(rng, 0.7):
        turns = np.linspace(0, 2 * np.pi * 5, 80)
        coil = np.stack([length / 2 - 18 + turns / turns[-1] * 16, (knuckle + 1.2) * np.cos(turns),
                         z + (knuckle + 1.2) * np.sin(turns)], axis=1)
        b.add("spring", sweep(coil, 1.6, segments=10), on="fixed_leaf")
    if chance(rng, 0.6):
        b.add("catch", tube(9, 5.5, 8).turned("x", 90).at(-length * 0.3, reach + 2, 6), on="fixed_leaf")
    return b.assembly()


def _leaf(length: float, reach: float, thick: float, rng: np.random.Generator) -> Solid:
    """A plate with holes, its height along z."""
    holes = [circle(3, x * length, reach * 0.28, segments=16) for x in np.linspace(-0.4, 0.4, count(rng, 2, 4))]
    return prism(rectangle(length, reach, rng.uniform(2, 10)), thick, holes, bevel=0.5)
