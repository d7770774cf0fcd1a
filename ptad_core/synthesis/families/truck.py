"""A model truck: chassis, cab, wheels, a bed, tank or box, bumper, mirrors, exhaust and lamps."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, box, circle, cylinder, lathe, prism, rectangle, union


def truck(rng: np.random.Generator) -> Assembly:
    """Draw a truck of about 300 x 110 x 130 mm, its front towards +x."""
    length, width, wheel = rng.uniform(220, 360), rng.uniform(80, 115), rng.uniform(20, 28)
    beam, z = rng.uniform(10, 16), wheel
    cab, tall = rng.uniform(60, 85), rng.uniform(66, 95)
    b = Builder("truck")
    b.add("chassis", *(box(length, 12, beam).at(0, s * width * 0.22, z) for s in (-1, 1)),
          *(box(12, width * 0.5, beam).at(x * length, 0, z) for x in (-0.46, -0.2, 0.1, 0.42)), sound=True)
    axles = [0.36, -0.3] if chance(rng, 0.5) else [0.36, -0.2, -0.2 - 2.3 * wheel / length]
    for k, x in enumerate(axles):
        b.add(f"axle_{k}", cylinder(4, width).turned("x", 90).at(x * length, width / 2, wheel + 1),
              on="chassis", sound=True)
        for name, s in (("left", 1), ("right", -1)):
            b.add(f"wheel_{k}_{name}", _wheel(wheel, rng.uniform(14, 20)).turned("x", -90 * s)
                  .at(x * length, s * (width / 2 - 10), wheel), on=f"axle_{k}")
    deck = z + beam - 1
    front = length / 2 - cab / 2
    lean = cab * rng.uniform(0.0, 0.3)
    outline = np.array([[-cab / 2, 0], [cab / 2, 0], [cab / 2, tall * 0.5], [cab / 2 - lean, tall], [-cab / 2, tall]])
    b.add("cab", prism(outline, width, bevel=3).turned("x", 90).at(front, width / 2, deck), on="chassis")
    b.add("windscreen", box(5, width * 0.8, tall * 0.3, corner=1).at(0, 0, 0).turned(
        "y", -float(np.degrees(np.arctan2(lean, tall * 0.5)))).at(length / 2 - lean * 0.2, 0, deck + tall * 0.55),
        on="cab")
    b.add("bumper", box(12, width * 1.04, 14, corner=4, bevel=1.5).at(length / 2 + 3, 0, z - 2), on="chassis")
    for name, s in (("left", 1), ("right", -1)):
        b.add(f"mirror_{name}", box(8, 12, 22, corner=2, bevel=1)
              .at(front + cab * 0.3, s * (width / 2 + 10), deck + tall * 0.5),
              cylinder(2.4, 12).turned("x", -90 * s).at(front + cab * 0.3, s * (width / 2 - 3), deck + tall * 0.6),
              on="cab")
        b.add(f"headlamp_{name}", cylinder(8, 7, bevel=1.5).lying()
              .at(length / 2 - 2, s * width * 0.34, deck + tall * 0.18),
              on="cab")
    if chance(rng, 0.7):
        b.add("beacon", lathe([(0, 0), (11, 0), (9, 12), (0, 14)])
              .at(front - cab * 0.15, rng.uniform(-0.3, 0.3) * width,
                                                                    deck + tall - 1), on="cab")
    b.add("exhaust", cylinder(5, tall * rng.uniform(0.9, 1.3))
          .at(front - cab / 2 - 5, float(rng.choice([-1, 1])) * width * 0.4,
                                                                 deck - beam * 0.5),
          box(16, width * 0.5, 8).at(front - cab / 2 - 5, float(rng.choice([-1, 1])) * width * 0.2, deck - 6),
          on="chassis")
    _load(b, rng, -length / 2 + 4, front - cab / 2 - 14, width, deck)
    side = float(rng.choice([-1, 1]))
    b.add("fuel_tank", cylinder(wheel * 0.5, length * 0.2, bevel=2).lying()
          .at(-length * 0.03, side * width * 0.34, z + 2),
          on="chassis")
    b.add("tool_box", box(length * 0.14, width * 0.2, 20, corner=2, bevel=1)
          .at(length * 0.08, -side * width * 0.34, z - 8),
          on="chassis")
    b.add("tail_lamps", *(box(6, 14, 9, corner=1).at(-length / 2 - 1, s * width * 0.24, z + 2) for s in (-1, 1)),
          on="chassis")
    return b.assembly()


def _wheel(radius: float, width: float) -> Solid:
    hub = lathe([(0, 0), (radius * 0.35, 0), (radius * 0.3, width + 3), (0, width + 3)])
    return union(lathe([(0, 1), (radius * 0.6, 1), (radius * 0.9, 0), (radius, 3), (radius, width - 3),
    (radius * 0.9, width),
                        (radius * 0.6, width - 2), (0, width - 2)]), hub)


def _load(b: Builder, rng: np.random.Generator, back: float, front: float, width: float, deck: float) -> None:
    """Put a bed with loads, a tank or a box behind the cab."""
    long, middle, style = front - back, (front + back) / 2, count(rng, 0, 2)
    b.add("bed", box(long, width, 8, corner=3).at(middle, 0, deck - 1), on="chassis", sound=True)
    over = deck + 6
    if style == 0:
        wall = rng.uniform(18, 36)
        for name, s in (("left", 1), ("right", -1)):
            b.add(f"side_{name}", box(long, 6, wall, corner=1).at(middle, s * (width / 2 - 4), over), on="bed")
        b.add("tailgate", box(6, width - 8, wall, corner=1).at(back + 4, 0, over), on="bed")
        for k in range(count(rng, 2, 3)):
            b.add(f"crate_{k}", box(long * 0.2, width * rng.uniform(0.3, 0.6), rng.uniform(26, 60), corner=3, bevel=1.5)
                  .at(back + long * (0.22 + 0.27 * k), rng.uniform(-0.1, 0.1) * width, over), on="bed")
    elif style == 1:
        radius = width * rng.uniform(0.34, 0.44)
        b.add("tank", lathe([(0, 0), (radius * 0.8, 0), (radius, 10), (radius, long - 14), (radius * 0.8, long - 4),
                             (0, long - 4)]).lying().at(back + 2, 0, over + radius * 0.9), on="bed")
        for k, x in enumerate(np.linspace(0.25, 0.75, count(rng, 2, 3))):
            b.add(f"hatch_{k}", cylinder(width * 0.13, 14, bevel=2).at(back + x * long, 0, over + radius * 1.85),
                  on="tank")
        b.add("ladder", box(14, 5, radius * 1.4).at(back + long * 0.12, radius * 0.95, over), on="bed")
        b.add("valve", prism(circle(9), 12, bevel=1).lying().at(back - 7, 0, over + 14), on="tank")
    else:
        tall = rng.uniform(60, 100)
        b.add("box", prism(rectangle(long - 4, width, 3), tall, bevel=2).at(middle, 0, over - 1), on="bed")
        for name, s in (("left", 1), ("right", -1)):
            b.add(f"door_{name}", box(6, width * 0.42, tall * 0.85).at(back - 1, s * width * 0.23, over + 5), on="box")
        b.add("cooler", box(20, width * 0.6, 26, corner=4, bevel=2).at(front, 0, over + tall * 0.55), on="box")
        b.add("rail", box(long * 0.6, 8, 8).at(middle, width / 2 + 1, over + tall * rng.uniform(0.2, 0.6)), on="box")
