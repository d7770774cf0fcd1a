"""A sheet-metal cabinet: louvres, doors, handle, hinges, feet, cable entries, fan, canopy, lifting eyes."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, box, circle, cylinder, prism, rectangle, rounded_path, sweep, tube, union


def cabinet(rng: np.random.Generator) -> Assembly:
    """Draw a cabinet of about 110 x 80 x 150 mm; its doors look along -y."""
    wide, deep, high, foot = rng.uniform(75, 170), rng.uniform(40, 90), rng.uniform(80, 180), rng.uniform(6, 16)
    front = -deep / 2
    b = Builder("cabinet")
    b.add("box", box(wide, deep, high, corner=rng.uniform(1.5, 7), bevel=0.8).at(0, 0, foot), sound=True)
    doors = 2 if wide > 120 else 1
    span = wide / doors
    for d in range(doors):
        x = (d - (doors - 1) / 2) * span
        b.add(f"door_{d}", box(span - 5, 4, high - 10, bevel=0.8).at(x, front - 1.8, foot + 5), on="box")
        slats = count(rng, 3, 8)
        low = foot + high * rng.uniform(0.1, 0.5)
        b.add(f"louvres_{d}", *(_slat(span * rng.uniform(0.5, 0.52), 5.5).at(x, front - 3.5, low + k * high * 0.055)
                                for k in range(slats)), on=f"door_{d}")
        grip = 1.0 if d == 0 else -1.0
        x_grip, z_grip = x + grip * (span / 2 - 11), foot + high * rng.uniform(0.42, 0.62)
        if chance(rng, 0.5):
            way = np.array([[0, 0, 0], [0, -11, 0], [0, -11, 30], [0, 0, 30]])
            b.add(f"handle_{d}", sweep(rounded_path(way, 5), 2.2, 14).at(x_grip, front - 3, z_grip), on=f"door_{d}")
        else:
            b.add(f"handle_{d}", cylinder(6, 7, bevel=0.8).turned("x", 90).at(x_grip, front - 3, z_grip),
                  box(5, 4, 26, corner=1).at(x_grip, front - 11, z_grip - 20), on=f"door_{d}")
        for k, z in enumerate((0.14, 0.82)):
            b.add(f"hinge_{d}_{k}", cylinder(3.2, 18, bevel=0.5, segments=24)
                  .at(x - grip * (span / 2 - 1.5), front - 4, foot + z * high), on=f"door_{d}")
    for k, (sx, sy) in enumerate(((-1, -1), (1, -1), (1, 1), (-1, 1))):
        b.add(f"foot_{k}", box(13, 13, foot + 1, corner=2).at(sx * (wide / 2 - 9), sy * (deep / 2 - 9), 0), on="box")
    side, top = float(rng.choice([-1, 1])), foot + high
    if chance(rng, 0.5):
        b.add("canopy", prism(np.array([[front - 12, 0], [deep / 2 + 4, 0], [deep / 2 + 4, 4], [front - 12, 12]]),
                              wide + 8)
              .turned("x", 90).turned("z", 90).at(-wide / 2 - 4, 0, top - 0.5), on="box")
        top += 7
    fan = union(prism(rectangle(34, 34, 3), 7, [circle(14, segments=32)], bevel=0.8), cylinder(6, 6),
                *(box(28, 3.5, 4).turned("z", t).at(0, 0, 1) for t in (0, 60, 120)))
    b.add("fan", fan.turned("y", side * 90).at(side * (wide / 2 - 1), 0, foot + high * rng.uniform(0.55, 0.75)),
          on="box")
    for k, y in enumerate(np.linspace(-0.3, 0.3, count(rng, 2, 3)) * deep):
        b.add(f"gland_{k}", prism(circle(rng.uniform(5, 7.5), segments=6), 12, [circle(3, segments=20)], bevel=0.6)
              .turned("y", -side * 90).at(-side * (wide / 2 - 1), y, foot + high * 0.2), on="box")
    for k, sx in enumerate((-1, 1)):
        b.add(f"eye_{k}", tube(6.5, 3.6, 4, 28).at(0, 0, -2).turned("x", 90).at(sx * wide * 0.4, deep * 0.22, top + 5),
              on="box")
    b.add("beacon", union(cylinder(7, 5), cylinder(5.5, rng.uniform(12, 30), bevel=2).at(0, 0, 4))
          .at(side * wide * 0.2, deep * 0.1, top - 2.5), on="box")
    b.add("plate", box(span * 0.4, 2, 11, corner=1).at(side * span * 0.1 if doors == 1 else -span / 2, front - 4.4,
                                                       foot + high * 0.84), on="door_0")
    return b.assembly()


def _slat(wide: float, deep: float) -> Solid:
    """Return a slat that leans out of a door which looks along -y."""
    return prism(np.array([[0.5, 0], [-deep, -1.5], [-deep, 0], [0.5, 5]]), wide).turned("x", 90).turned("z", 90).at(
        -wide / 2, 0, 0)
