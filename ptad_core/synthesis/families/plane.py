"""A propeller plane: lofted fuselage, wings, tail, engines, undercarriage, canopy, antenna."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, rod
from ptad_core.synthesis.shapes import Solid, ball, cylinder, lathe, loft, ovals, tube, union


def plane(rng: np.random.Generator) -> Assembly:
    """Draw a plane of about 220 x 260 x 90 mm; its nose points along x."""
    length, wide, high = rng.uniform(170, 260), rng.uniform(13, 24), rng.uniform(14, 26)
    b = Builder("plane")
    t = np.linspace(0, 1, 21)
    shape = np.minimum(1, np.maximum(0.12, 2.1 * np.sqrt(np.maximum(t, 0.0)))) * (1 - 0.55 * np.maximum(0,
                                                                                                        t - 0.7) / 0.3)
    rise = high * rng.uniform(0, 0.5) * (1 - t) ** 2
    z = 62.0
    b.add("fuselage", ovals(np.stack([(t - 0.5) * length, 0 * t, z + rise, wide * shape, high * shape], axis=1),
                            rng.uniform(2.0, 4.0)), sound=True)
    nose = length / 2
    b.add("spinner", lathe([(0, 0), (wide * 0.42, 0), (wide * 0.3, 9), (0, 17)], 32).lying().at(nose - 1, 0, z),
          on="fuselage")
    blades = int(rng.integers(2, 5))
    b.add("propeller", *(_fin(rng.uniform(24, 34), 7, 4, 2).turned("x", 360 / blades * k + 20)
                         .at(nose + 4, 0, z) for k in range(blades)), on="spinner")
    span, chord, sweep_back = rng.uniform(80, 140), rng.uniform(34, 58), rng.uniform(-4, 30)
    z_wing = z + high * rng.choice([-0.6, 0.0, 0.7])
    x_wing = length * rng.uniform(0.02, 0.14)
    for name, side in (("left", 1.0), ("right", -1.0)):
        b.add(f"wing_{name}", _wing(span, chord, chord * rng.uniform(0.4, 0.9), sweep_back, 5, side)
              .at(x_wing, side * wide * 0.4, z_wing), on="fuselage")
    x_tail = -length * 0.43
    for name, side in (("left", 1.0), ("right", -1.0)):
        b.add(f"tail_{name}", _wing(span * 0.36, chord * 0.55, chord * 0.35, 8, 3, side)
              .at(x_tail, side * 2, z + rise[1]), on="fuselage")
    b.add("fin", _wing(rng.uniform(32, 52), chord * 0.62, chord * 0.34, 14, 3, 1).turned("x", 90)
          .at(x_tail + 2, 0, z + rise[1] + 2), on="fuselage")
    if chance(rng, 0.55):
        for name, side in (("left", 1.0), ("right", -1.0)):
            b.add(f"engine_{name}", lathe([(0, 0), (5, 0), (9, 10), (10, 34), (6, 40), (0, 40)], 32).lying()
                  .at(x_wing - chord * 0.1, side * span * 0.42, z_wing), on=f"wing_{name}")
    else:
        for name, side in (("left", 1.0), ("right", -1.0)):
            b.add(f"strut_{name}", rod((x_wing, side * wide * 0.6, z - high * 0.2),
                                       (x_wing, side * span * 0.5, z_wing), 1.8), on="fuselage")
    b.add("canopy", ball(1, segments=32).at(0, 0, -1).scaled(np.array([0.14 * length, wide * 0.7, high * 0.7]))
          .at(length * rng.uniform(0.05, 0.18), 0, z + high * 0.85), on="fuselage")
    for name, side in (("left", 1.0), ("right", -1.0)):
        foot = (x_wing + 12, side * rng.uniform(24, 36), 11.0)
        b.add(f"leg_{name}", rod((x_wing + 6, side * wide * 0.4, z - high * 0.4), foot, 2.2), on="fuselage")
        b.add(f"wheel_{name}", tube(11, 3, 7, segments=32).at(0, 0, -3.5).turned("x", 90).at(*foot), on=f"leg_{name}")
    b.add("tail_wheel", union(cylinder(5, 4, segments=24).at(0, 0, -2).turned("x", 90).at(x_tail - 4, 0, 34),
                              rod((x_tail, 0, z), (x_tail - 4, 0, 34), 1.6)), on="fuselage")
    side = float(rng.choice([-1, 1]))
    b.add("exhaust", rod((nose - 25, side * wide * 0.6, z), (nose - 45, side * wide * 1.3, z - 8), 3), on="fuselage")
    b.add("antenna", rod((-length * 0.12, side * 2, z + high * 0.7), (-length * 0.16, side * 2, z + high + 17), 1.4),
          on="fuselage")
    return b.assembly()


def _wing(span: float, root: float, tip: float, back: float, thick: float, side: float) -> Solid:
    """Return a tapered wing along y (``side`` 1 or -1), its profile drop-shaped along x."""
    angle = 2 * np.pi * np.arange(24) / 24
    sections = []
    for t in (0.0, 0.5, 0.94, 1.0):
        chord = (root + t * (tip - root)) * (1 if t < 1 else 0.8)
        drop = thick * (1 - 0.5 * t) * np.sin(angle) * (0.55 + 0.45 * np.cos(angle)) * (1 if t < 1 else 0.4)
        sections.append(np.stack([chord / 2 * np.cos(angle) - back * t, np.full(24, side * span * t), drop], axis=1))
    return loft(np.array(sections))


def _fin(reach: float, root: float, tip: float, thick: float) -> Solid:
    """Return a blade along z."""
    return _wing(reach, root, tip, 0, thick, 1).turned("z", 70).turned("x", 90)
