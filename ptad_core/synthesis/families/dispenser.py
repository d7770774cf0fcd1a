"""A bottle with a pump head: body round or square, shoulder, collar, head, spout, label, handle and cup."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import box, cylinder, lathe, prism, rectangle, rounded_path, sweep, tube


def dispenser(rng: np.random.Generator) -> Assembly:
    """Draw a bottle of about 80 x 80 x 240 mm."""
    radius, high, neck = rng.uniform(28, 48), rng.uniform(90, 170), rng.uniform(10, 17)
    b = Builder("dispenser")
    shoulder = rng.uniform(14, 46)
    flat = rng.uniform(0.6, 1.0)
    if chance(rng, 0.5):
        waist = rng.uniform(0.82, 1.05)
        b.add("body", lathe([(0, 0), (radius * 0.92, 0), (radius, 6), (radius * waist, high * 0.5), (radius, high),
                             (neck, high + shoulder), (0, high + shoulder)]).scaled(np.array([1.0, flat, 1.0])),
              sound=True)
    else:
        b.add("body", prism(rectangle(2 * radius, 2 * radius * flat, radius * 0.3), high, bevel=4),
              lathe([(0, 0), (radius * flat * 0.9, 0), (neck, shoulder), (0, shoulder)]).at(0, 0, high - 1), sound=True)
    z = high + shoulder
    b.add("collar", lathe([(neck - 3, 0), (neck + 7, 0), (neck + 7, 16), (neck + 2, 22), (neck - 3, 22)])
          .at(0, 0, z - 6), on="body", sound=True)
    rise = rng.uniform(22, 46)
    b.add("stem", cylinder(neck * 0.5, rise + 14).at(0, 0, z), on="body")
    top = z + rise + 10
    turn = rng.uniform(-60, 60)
    b.add("head", lathe([(0, 0), (neck + 2, 0), (neck + 5, 8), (neck, 18), (0, 18)]).at(0, 0, top - 2), on="stem")
    reach, drop = rng.uniform(34, 62), rng.uniform(6, 20)
    path = rounded_path(np.array([[0, 0, 8.0], [reach * 0.8, 0, 8], [reach, 0, 8 - drop]]), 8)
    b.add("spout", sweep(path, rng.uniform(4, 6.5)).turned("z", turn).at(0, 0, top), on="head")
    if chance(rng, 0.5):
        b.add("lever", box(rng.uniform(30, 50), 12, 6, corner=4, bevel=1).at(-16, 0, 0).turned("z", turn)
              .at(0, 0, top + 13), on="head")
    b.add("foot_ring", lathe([(radius * 0.7, 0), (radius + 5, 0), (radius + 5, 9), (radius * 0.7, 9)])
          .scaled(np.array([1.0, flat, 1.0])).at(0, 0, rng.uniform(0, 8)), on="body")
    b.add("label", box(radius * 1.1, 6, high * rng.uniform(0.3, 0.5), corner=1.5, bevel=0.8)
          .at(0, -radius * flat * 0.97, high * 0.3), on="body")
    for k in range(count(rng, 1, 2)):
        b.add(f"rib_{k}", lathe([(radius * 0.8, 0), (radius + 3, 0), (radius + 4, 3.5), (radius + 3, 7),
                                 (radius * 0.8, 7)]).scaled(np.array([1.0, flat, 1.0]))
                                 .at(0, 0, high * (0.84 + 0.1 * k)),
              on="body")
    if chance(rng, 0.65):
        grip = rounded_path(np.array([[radius * 0.8, 0, high * 0.25], [radius + 30, 0, high * 0.28],
                                      [radius + 30, 0, high * 0.78], [radius * 0.8, 0, high * 0.82]]), 14)
        b.add("handle", sweep(grip, rng.uniform(5, 8)), on="body")
    b.add("cup", tube(14, 11, 26).at(-radius - 11, 0, high * rng.uniform(0.2, 0.6)),
          box(8, 10, 8).at(-radius - 1, 0, high * 0.3) if chance(rng, 0.5) else
          cylinder(13, 3).at(-radius - 11, 0, high * 0.2), on="body")
    b.add("badge", cylinder(rng.uniform(7, 12), 7, bevel=1, segments=int(rng.choice([5, 6, 48]))).turned("x", -90)
          .at(rng.uniform(-0.3, 0.3) * radius, radius * flat - 5, high * 0.55), on="body")
    b.add("clip", box(10, 7, 34, corner=2, bevel=1).at(neck + 7, 0, z - 20 + rng.uniform(0, 8)), on="collar")
    return b.assembly()
