"""A stringed instrument that lies: waisted body, neck, head with pegs, bridge, strings, tail piece, chin rest."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, rod
from ptad_core.synthesis.shapes import box, circle, cylinder, lathe, ovals, prism, tube, union
from ptad_core.types import FloatArray


def violin(rng: np.random.Generator) -> Assembly:
    """Draw an instrument of about 260 x 90 x 40 mm; its neck points along x."""
    length, wide, deep = rng.uniform(105, 150), rng.uniform(70, 110), rng.uniform(14, 30)
    waist, skew = rng.uniform(0.12, 0.4), rng.uniform(0.0, 0.24)
    outline = _waisted(length, wide, waist, skew)
    b = Builder("violin")
    hole = [circle(wide * 0.14, length * 0.12, 0, 32)] if chance(rng, 0.5) else []
    b.add("body", prism(outline, deep, hole, bevel=rng.uniform(0.8, 2.0)), sound=True)
    if hole:
        b.add("rosette", tube(wide * 0.19, wide * 0.145, 2.2, 40).at(length * 0.12, 0, deep - 0.7), on="body")
        b.add("back", box(length * 0.5, wide * 0.5, 3).at(length * 0.1, 0, 0.6), on="body", sound=True)
    else:
        for name, s in (("left", 1), ("right", -1)):
            b.add(f"cover_{name}", box(length * 0.17, 7, 3, corner=3).turned("z", s * 14)
                  .at(length * 0.02, s * wide * 0.2, deep - 0.6), on="body")
    reach, broad = rng.uniform(80, 130), rng.uniform(11, 18)
    b.add("neck", prism(np.array([[0, -broad / 2], [reach, -broad * 0.38], [reach, broad * 0.38], [0, broad / 2]]), 9,
                        bevel=1)
          .at(length * 0.44, 0, deep - 8), on="body")
    start = length * 0.2 if not hole else length * 0.29
    b.add("finger_board", box(length * 0.44 + reach - start - 4, broad * 0.86, 4, bevel=0.5)
          .at((length * 0.44 + reach + start - 4) / 2, 0, deep + 0.4), on="neck")
    end = length * 0.44 + reach
    pegs = 2 * count(rng, 2, 3)
    b.add("head", prism(np.array([[0, -7], [30 + 3 * pegs, -11], [34 + 3 * pegs, 0], [30 + 3 * pegs, 9], [0, 7]]), 8,
                        bevel=1)
          .turned("y", rng.uniform(4, 16)).at(end - 3, 0, deep - 7), on="neck")
    for k in range(pegs):
        side = 1.0 if k % 2 else -1.0
        x = end + 5 + 7.5 * k + rng.uniform(-1, 1)
        peg = union(cylinder(1.8, 15).turned("x", -90), box(8, 3, 7, corner=1).at(0, 15, -3.5)).turned("y",
                                                                                                       rng.uniform(-40,
                                                                                                                   40))
        b.add(f"peg_{k}", (peg if side > 0 else peg.turned("z", 180)).at(x, side * 6, deep - 4 - 0.12 * (x - end)),
              on="head")
    x_bridge, lift = -length * rng.uniform(0.08, 0.2), rng.uniform(5, 13)
    foot = wide * 0.15
    b.add("bridge", prism(np.array([[-foot, 0], [-foot * 0.4, 0], [0, lift * 0.3], [foot * 0.4, 0], [foot, 0],
                                    [foot * 0.8, lift], [-foot * 0.8, lift]]), 3).turned("x", 90).turned("z", 90)
          .at(x_bridge - 1.5, 0, deep - 0.4), on="body")
    x_tail = -length * 0.4
    b.add("tail_piece", prism(np.array([[0, -5], [length * 0.2, -foot], [length * 0.2, foot], [0, 5]]), 5, bevel=0.8)
          .at(x_tail, 0, deep - 0.4), on="body")
    strings = pegs if chance(rng, 0.6) else 4
    b.add("strings", *(rod((x_tail + length * 0.18, y, deep + 4), (x_bridge, y, deep + lift - 0.3), 0.7, 6)
                       for y in np.linspace(-0.7, 0.7, strings) * foot),
          *(rod((x_bridge, y, deep + lift - 0.3), (end, y * 0.5 * broad / foot, deep + 3.6), 0.7, 6)
            for y in np.linspace(-0.7, 0.7, strings) * foot), on="bridge")
    side = float(rng.choice([-1, 1]))
    if chance(rng, 0.6):
        b.add("chin_rest", ovals(np.array([[-18, 0, 0, 9, 3], [-14, 0, 0, 14, 4], [4, 0, 0, 15, 4], [12, 0, 0, 6, 3]]),
                                 2.4, 24)
              .at(-length * 0.33, side * wide * 0.27, deep + 2.6), on="body")
    else:
        b.add("guard", prism(np.array([[0, 0], [30, 4], [26, 17], [4, 14]]), 2.4).at(
            -8, side * wide * 0.16 if side > 0 else -wide * 0.16 - 16, deep - 0.5), on="body")
    for k in range(count(rng, 1, 3)):
        b.add(f"dial_{k}", lathe([(0, 0), (5, 0), (4, 7), (0, 7)], 24).at(-length * (0.22 - 0.1 * k),
                                                                          -side * wide * 0.28,
                                                                        deep - 0.5), on="body")
    b.add("button", cylinder(3.5, 9, bevel=1, segments=24).lying().turned("z", 180).at(-length * 0.44, 0, deep / 2),
          on="body")
    return b.assembly()


def _waisted(length: float, wide: float, waist: float, skew: float) -> FloatArray:
    """Return an outline with two bellies, the one at negative x larger."""
    angle = 2 * np.pi * np.arange(72) / 72
    x = np.cos(angle)
    half = (1 - waist * np.exp(-((x - 0.12) / 0.32) ** 2)) * (1 - skew * (0.5 + 0.5 * x))
    bulge = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.75
    return np.stack([length / 2 * x, wide / 2 * bulge * half], axis=1)
