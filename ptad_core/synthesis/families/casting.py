"""A casting: pedestal of a bearing on a foot, with webs, bosses, cap, bolts, oiler, eye and plugs."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, box, circle, cylinder, lathe, loft, prism, rectangle, tube


def casting(rng: np.random.Generator) -> Assembly:
    """Draw a casting of about 180 x 80 x 130 mm; the shaft would run along y."""
    length, depth, foot = rng.uniform(140, 220), rng.uniform(50, 95), rng.uniform(10, 20)
    height, bore = rng.uniform(55, 105), rng.uniform(15, 28)
    outer, thick = bore + rng.uniform(9, 18), depth * rng.uniform(0.45, 0.8)
    b = Builder("casting")
    slots = [rectangle(18, 9, 4.4, x=s * (length / 2 - 18), y=y) for s in (-1, 1) for y in (-depth / 4, depth / 4)]
    b.add("foot", prism(rectangle(length, depth, rng.uniform(3, 16)), foot, slots, bevel=1.5), sound=True)
    x0 = length * rng.uniform(-0.1, 0.1)
    low, z = rng.uniform(1.0, 1.9) * outer, foot + height
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    b.add("pedestal", loft(np.stack([np.column_stack([x0 + half[:, 0] * w, half[:, 1] * d, np.full(4, h)])
                                     for w, d, h in (
        (low, depth * 0.46, foot - 1), (low * 0.8 + outer * 0.1, thick * 0.48, foot + height * 0.35),
        (outer * 0.9, thick * 0.46, z - bore * 0.2))])), on="foot", sound=True)
    ring = tube(outer, bore, thick).at(0, 0, -thick / 2).turned("x", 90)
    b.add("bearing", ring.at(x0, 0, z), on="pedestal", sound=True)
    b.add("bush", tube(bore + 0.3, bore * rng.uniform(0.6, 0.8), thick + rng.uniform(4, 14), 40).at(
        0, 0, -thick / 2 - 3).turned("x", 90).at(x0, 0, z), on="bearing")
    reach = length / 2 - abs(x0) - low * 0.4 - 12
    for name, s in (("left", -1.0), ("right", 1.0)):
        web = np.array([[0, 0], [reach, 0], [reach, 4], [reach * rng.uniform(0.2, 0.6),
                                                         height * rng.uniform(0.25, 0.5)],
                        [0, height * rng.uniform(0.6, 0.85)]])
        plate = prism(web, rng.uniform(6, 11), bevel=0.6).turned("x", 90)
        b.add(f"web_{name}", (plate if s > 0 else plate.turned("z", 180))
              .at(x0 + s * low * 0.45, s * 4 + rng.uniform(-8, 8), foot - 0.5), on="pedestal")
    b.add("web_front", prism(np.array([[0, 0], [depth * 0.42, 0], [3, height * rng.uniform(0.5, 0.75)],
                                       [0, height * 0.75]]),
                             8, bevel=0.6).turned("x", 90).turned("z", -90).at(x0 + rng.uniform(-6, 6), -thick * 0.1,
                                                                               foot - 0.5),
          on="pedestal")
    for k, s in enumerate((-1, 1)):
        b.add(f"lug_{k}", box(17, thick * 0.75, 13, corner=3, bevel=0.8).at(x0 + s * (outer + 5), 0, z - 2),
              on="bearing")
        b.add(f"cap_bolt_{k}", cylinder(6.5, 9, bevel=0.8, segments=6).at(x0 + s * (outer + 6), thick * 0.1, z + 10.5),
              on=f"lug_{k}")
    if chance(rng, 0.6):
        b.add("oiler", lathe([(0, 0), (3, 0), (3, 5), (8, 7), (8, 19), (5, 22), (0, 22)], 32)
              .turned("y", rng.uniform(-25, 25)).at(x0 + rng.uniform(-7, 7), thick * rng.uniform(-0.25, 0.25),
                                                    z + outer - 2),
              on="bearing")
    else:
        b.add("eye", tube(11, 6, 6, 32).at(0, 0, -3).turned("x", 90).at(x0 + 3, 0, z + outer + 7), on="bearing")
    for k, (sx, sy) in enumerate(((-1, 1), (1, 1), (1, -1))[:count(rng, 2, 3)]):
        b.add(f"nut_{k}", cylinder(9, rng.uniform(7, 11), bevel=1, segments=6).turned("z", rng.uniform(0, 60))
              .at(sx * (length / 2 - 18), sy * depth / 4, foot - 0.5), on="foot")
    side = float(rng.choice([-1, 1]))
    cover = _cover(bore, rng)
    b.add("cover", cover.turned("x", 90 * side).at(x0, -side * (thick / 2 - 1), z), on="bearing")
    for k in range(count(rng, 2, 4)):
        b.add(f"boss_{k}", prism(circle(rng.uniform(5, 9), segments=24), 9, [circle(2.5, segments=16)], bevel=0.6)
              .turned("x", -90 * side).at(x0 + (k - 1.2) * outer * 0.5, side * thick * 0.42,
                                          foot + height * rng.uniform(0.2, 0.5)),
              on="pedestal")
    return b.assembly()


def _cover(bore: float, rng: np.random.Generator) -> Solid:
    r = bore + rng.uniform(4, 7)
    return lathe([(0, 0), (r, 0), (r, 4), (r * 0.7, 6), (r * rng.uniform(0.3, 0.6), rng.uniform(8, 16)), (0, 9)])
