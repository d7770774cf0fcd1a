"""A boat: hull, deck house, mast or funnel, rails, bollards, rudder, propeller, boxes on deck."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import Solid, box, cylinder, lathe, loft, prism, rounded_path, sweep, tube, union


def boat(rng: np.random.Generator) -> Assembly:
    """Draw a boat of about 240 x 70 x 120 mm; its bow points along x."""
    length, beam, depth = rng.uniform(180, 290), rng.uniform(50, 90), rng.uniform(26, 55)
    b = Builder("boat")
    b.add("hull", _hull(length, beam, depth, rng), sound=True)
    deck = depth - 1.0
    house, x_house = rng.uniform(0.2, 0.36) * length, rng.uniform(-0.2, 0.08) * length
    wide, high = beam * rng.uniform(0.45, 0.65), rng.uniform(18, 36)
    b.add("house", box(house, wide, high, corner=rng.uniform(2, 12), bevel=1).at(x_house, 0, deck), on="hull")
    b.add("roof", box(house * rng.uniform(0.7, 1.1), wide * 1.08, 4, corner=3, bevel=0.8)
          .at(x_house - 3, 0, deck + high - 0.5), on="house")
    top = deck + high + 3
    if chance(rng, 0.5):
        b.add("funnel", lathe([(0, 0), (9, 0), (7, 26), (10, 28), (10, 32), (0, 32)])
              .turned("y", -rng.uniform(0, 14)).at(x_house - house * 0.25, wide * 0.1, top - 2), on="roof")
    else:
        b.add("bridge", box(house * 0.4, wide * 0.7, 15, corner=3, bevel=0.8).at(x_house + house * 0.15, 0, top - 1),
              on="roof")
    x_mast, reach = x_house + house / 2 + rng.uniform(12, 30), rng.uniform(50, 120)
    b.add("mast", rod((x_mast, 0, deck - 2), (x_mast - 4, 0, deck + reach), 2.6), on="hull")
    b.add("boom", rod((x_mast - 1, 0, deck + reach * 0.45), (x_mast + rng.uniform(30, 55), rng.uniform(-14, 14),
                                                            deck + reach * rng.uniform(0.5, 0.8)), 1.9), on="mast")
    if chance(rng, 0.6):
        b.add("lookout", lathe([(0, 0), (6, 0), (9, 12), (7, 12), (0, 4)], 24)
              .at(x_mast - 3, 0, deck + reach * 0.8), on="mast")
    for k in range(count(rng, 2, 4)):
        x, y = length * rng.uniform(-0.42, 0.3), beam * rng.uniform(0.26, 0.33) * rng.choice([-1, 1])
        b.add(f"bollard_{k}", lathe([(0, 0), (3, 0), (3, 7), (5, 9), (5, 11), (0, 11)], 24).at(x, y, deck - 0.5),
              on="hull")
    stern = -length / 2
    b.add("rudder", prism(np.array([[0, 0], [-17, 2], [-15, depth * 0.8], [0, depth * 0.6]]), 3)
          .turned("x", 90).at(stern + 2, 1.5, depth * 0.1), on="hull")
    blades = [box(2.5, 5, 15).at(0, 0, 2).turned("x", 360 / 4 * k) for k in range(4)]
    b.add("propeller", union(cylinder(3, 14).turned("y", 90).at(-6, 0, 0), *blades)
          .at(stern + 1, rng.choice([-1, 1]) * beam * 0.16, depth * 0.38), on="hull")
    side = float(rng.choice([-1, 1]))
    rail = np.array([[stern + 12, side * beam * 0.36, deck], [stern + 12, side * beam * 0.36, deck + 15],
                     [x_house + house * 0.5, side * beam * 0.39, deck + 15],
                     [x_house + house * 0.5, side * beam * 0.39, deck]])
    b.add("rail", sweep(rounded_path(rail, 6), 1.5, 10), on="hull")
    b.add("life_ring", tube(9, 5, 4, segments=24).turned("x", 90 * side)
          .at(x_house, -side * (wide / 2 - 0.5), deck + high * 0.55), on="house")
    b.add("crate", box(rng.uniform(12, 26), rng.uniform(12, 22), rng.uniform(8, 20), bevel=0.6)
          .turned("z", rng.uniform(-30, 30)).at(stern + 0.14 * length, -side * beam * 0.08, deck - 0.5), on="hull")
    return b.assembly()


def _hull(length: float, beam: float, depth: float, rng: np.random.Generator) -> Solid:
    """Sections from stern to bow: a round or sharp bilge under a level deck."""
    fullness, angle = rng.uniform(1.0, 2.6), np.linspace(np.pi, 2 * np.pi, 21)
    sections = []
    for t in np.linspace(0, 1, 25):
        half = beam / 2 * max(0.02, (1 - max(0.0, (t - 0.45) / 0.55) ** 2.2) * (0.75 + 0.5 * min(t, 0.5)))
        keel = depth * (1 - 0.75 * max(0.0, (t - 0.7) / 0.3) ** 2) * (0.8 + 0.2 * min(1.0, 4 * t))
        across, down = (np.sign(k) * np.abs(k) ** (2 / (1 + fullness)) for k in (np.cos(angle), np.sin(angle)))
        sections.append(np.stack([np.full(21, (t - 0.5) * length), half * across, depth + keel * down], axis=1))
    return loft(np.array(sections))
