"""A centrifugal pump: volute, suction and discharge flanges, motor, terminal box, feet and base plate."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring
from ptad_core.synthesis.shapes import Solid, box, circle, cylinder, lathe, prism, rectangle, tube


def pump(rng: np.random.Generator) -> Assembly:
    """Draw a pump of about 420 x 180 x 220 mm; the shaft lies along x."""
    volute, axis = rng.uniform(60, 85), rng.uniform(105, 130)
    length, motor = rng.uniform(150, 230), rng.uniform(48, 66)
    plate = rng.uniform(8, 14)
    b = Builder("pump")
    z = plate + axis
    total = length + 190
    b.add("base", prism(rectangle(total, 2 * volute * 0.9, 12), plate,
                        [circle(6, s * (total / 2 - 16), t * volute * 0.72, segments=24)
                         for s in (-1, 1) for t in (-1, 1)], bevel=1).at(length / 2, 0, 0), sound=True)
    thick = rng.uniform(44, 62)
    b.add("volute", lathe([(0, 0), (volute * 0.8, 0), (volute, thick * 0.3), (volute, thick * 0.7),
                           (volute * 0.8, thick), (0, thick)]).lying().at(-thick, 0, z), on="base", sound=True)
    bore = rng.uniform(20, 30)
    b.add("suction", cylinder(bore, 40).lying().at(-thick - 36, 0, z), on="volute")
    b.add("suction_flange", _flange(bore + 24, bore * 0.75, count(rng, 4, 8)).lying().at(-thick - 48, 0, z),
          on="suction")
    side = float(rng.choice([-1, 1]))
    y, rise = side * volute * 0.55, volute + rng.uniform(26, 50)
    b.add("discharge", cylinder(bore * 0.8, rise).at(-thick / 2, y, z), on="volute")
    b.add("discharge_flange", _flange(bore + 18, bore * 0.6, count(rng, 4, 6)).at(-thick / 2, y, z + rise - 4),
          on="discharge")
    b.add("lantern", lathe([(0, 0), (volute * 0.7, 0), (motor * 0.72, 40), (0, 40)]).lying().at(-1, 0, z), on="volute")
    profile = [(0.0, 0.0), (motor, 0.0)]
    for step in np.arange(8.0, length - 14, rng.uniform(9, 16)):
        profile += [(motor, step), (motor * 0.92, step), (motor * 0.92, step + 4), (motor, step + 4)]
    b.add("motor", lathe([*profile, (motor, length), (0, length)]).lying().at(37, 0, z), on="lantern")
    b.add("fan_cover", lathe([(0, 0), (motor * 1.06, 0), (motor * 1.06, 24), (motor * 0.7, 34), (0, 34)]).lying()
          .at(35 + length, 0, z), on="motor")
    b.add("terminal_box", box(rng.uniform(50, 80), 52, 34, corner=4, bevel=2)
          .at(37 + length * rng.uniform(0.3, 0.6), side * motor * 0.2, z + motor * 0.9), on="motor")
    for k, x in enumerate((60.0, length)):
        b.add(f"foot_{k}", box(22, motor * 1.8, axis - motor * 0.7, corner=2).at(x, 0, plate - 0.5), on="base")
    b.add("volute_foot", box(thick * 0.5, volute * 1.1, axis - volute * 0.6).at(-thick / 2, 0, plate - 0.5), on="base")
    b.add("drain_plug", cylinder(9, 24, bevel=1.5, segments=6).turned("x", 90 * side)
          .at(-thick / 2, -side * (volute - 8), z - volute * 0.3), on="volute")
    if chance(rng, 0.7):
        b.add("eye_bolt", tube(16, 10, 8).turned("x", 90).at(37 + length * 0.75, 4, z + motor + 12), on="motor")
    if chance(rng, 0.6):
        b.add("gauge", cylinder(4, 30).at(-thick / 2, -side * volute * 0.3, z + volute * 0.85),
              cylinder(18, 10, bevel=2).lying().at(-thick / 2 - 5, -side * volute * 0.3, z + volute + 32), on="volute")
    return b.assembly()


def _flange(outer: float, bore: float, bolts: int) -> Solid:
    holes = [circle(4, x, y, segments=16) for x, y in on_ring(bolts, outer - 9)]
    return prism(circle(outer), 14, [circle(bore, segments=32), *holes], bevel=1)
