"""A valve: body between two flanges, bonnet, stem, hand wheel or lever, plugs and a name plate."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring, rod
from ptad_core.synthesis.shapes import Solid, ball, box, circle, cylinder, lathe, prism, tube


def valve(rng: np.random.Generator) -> Assembly:
    """Draw a valve of about 200 x 130 x 230 mm; the pipe runs along x."""
    length, bore, belly = rng.uniform(150, 230), rng.uniform(20, 34), rng.uniform(38, 56)
    collar = bore + rng.uniform(24, 36)
    z, half, bolts = collar, length / 2, count(rng, 4, 8)
    b = Builder("valve")
    b.add("body", lathe([(0, 0), (bore + 6, 0), (bore + 6, half * 0.35), (belly, half * 0.75), (belly, half * 1.25),
                         (bore + 6, half * 1.65), (bore + 6, length), (0, length)]).lying().at(-half, 0, z), sound=True)
    for name, x in (("left", -half), ("right", half - 14)):
        b.add(f"flange_{name}", _flange(collar, bore, bolts).lying().at(x, 0, z), on="body")
    for k, (y, dz) in enumerate(on_ring(bolts, collar - 9, 180 / bolts)[:3]):
        b.add(f"bolt_{k}", cylinder(6.5, 32, bevel=0.8, segments=6).lying().at(half - 22, y, z + dz), on="flange_right")
    neck = rng.uniform(20, 40)
    b.add("neck", cylinder(belly * 0.7, belly * 0.6 + neck).at(0, 0, z + belly * 0.5), on="body", sound=True)
    top = z + belly * 1.1 + neck
    b.add("bonnet", prism(circle(belly * rng.uniform(0.85, 1.1), segments=int(rng.choice([6, 8, 48]))), 18, bevel=1.5)
          .at(0, 0, top - 4), on="neck", sound=True)
    b.add("gland", lathe([(0, 0), (belly * 0.5, 0), (belly * 0.3, 30), (0, 30)]).at(0, 0, top + 12), on="bonnet")
    rise = rng.uniform(60, 110)
    b.add("stem", cylinder(7, rise).at(0, 0, top + 36), on="gland")
    if chance(rng, 0.55):
        radius = rng.uniform(45, 72)
        spokes = [rod((0, 0, 0), (x, y, 0), 4.5) for x, y in on_ring(count(rng, 3, 5), radius, 20)]
        rim = lathe([(radius + 6 * np.cos(a), 6 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 17)[:-1]])
        lift = top + 20 + rise
        b.add("wheel", *(s.at(0, 0, lift) for s in [*spokes, rim]), cylinder(12, 16).at(0, 0, lift - 8), on="stem")
    else:
        turn = rng.uniform(-60, 60)
        b.add("lever", box(rng.uniform(130, 190), 22, 9, corner=5, bevel=1).at(60, 0, 0).turned("z", turn)
              .at(0, 0, top + 24 + rise), cylinder(16, 18, bevel=2).at(0, 0, top + 20 + rise), on="stem")
    if chance(rng, 0.6):
        for name, y in (("left", -1), ("right", 1)):
            b.add(f"yoke_{name}", rod((0, y * belly * 0.7, top), (0, y * belly * 0.45, top + 26 + rise * 0.7), 5),
                  on="bonnet")
        b.add("bridge", box(26, belly * 1.2, 12, corner=4, bevel=1).at(0, 0, top + 20 + rise * 0.7),
              on="yoke_left")
    side = float(rng.choice([-1, 1]))
    b.add("bypass", tube(24, 17, 14).turned("z", 0).turned("x", 90).at(half * 0.3, side * (belly - 4) + 7, z + 10),
          on="body")
    b.add("drain", cylinder(11, 24, bevel=2, segments=6).turned("x", 90 * side)
          .at(-half * 0.15, -side * (belly - 6), z),
          on="body")
    b.add("plate", box(46, 4, 26, corner=2).at(half * 0.05, side * (belly - 1), z + belly * 0.05 - 38), on="body")
    b.add("test_port", cylinder(8, 26).turned("y", -30).at(-half * 0.45, 0, z + belly * 0.7), ball(11)
          .at(-half * 0.45 - 14, 0, z + belly * 0.7 + 14), on="body")
    return b.assembly()


def _flange(outer: float, bore: float, bolts: int) -> Solid:
    holes = [circle(4, x, y, segments=16) for x, y in on_ring(bolts, outer - 9, 180 / bolts)]
    return prism(circle(outer), 14, [circle(bore, segments=32), *holes], bevel=1)
