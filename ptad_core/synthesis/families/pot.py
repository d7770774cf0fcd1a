"""A jug, kettle or pot: turned body, lid with a knob, spout, handle, feet, bands, gauge, tap."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring
from ptad_core.synthesis.shapes import (
    Solid,
    ball,
    box,
    cylinder,
    lathe,
    ovals,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
)


def pot(rng: np.random.Generator) -> Assembly:
    """Draw a pot of about 140 x 90 x 130 mm; it pours along x."""
    radius, height, feet = rng.uniform(32, 52), rng.uniform(60, 120), rng.uniform(6, 16)
    t = np.linspace(0, 1, 25)
    a, c, phase = rng.uniform(-0.3, 0.3), rng.uniform(-0.16, 0.16), rng.uniform(0, 2 * np.pi)
    r = radius * (0.85 + a * (t - 0.5) + c * np.sin(2 * np.pi * t + phase))
    z = feet + t * height

    def at(share: float) -> float:
        return float(np.interp(share, t, r))

    b = Builder("pot")
    b.add("body", lathe([(0, feet), *((float(p), float(q)) for p, q in zip(r, z, strict=True)), (0, feet + height)],
                        56),
          sound=True)
    top, lip = feet + height, at(1.0)
    b.add("lid", lathe([(0, 0), (lip * 1.03, 0), (lip * 1.03, 4), (lip * 0.75, rng.uniform(6, 16)), (lip * 0.2, 17),
                        (0, 17)]).at(0, 0, top - 0.5), on="body")
    b.add("knob", _knob(rng).at(0, 0, top + 14), on="lid")
    x, low = at(0.45), feet + height * rng.uniform(0.3, 0.55)
    out, up = rng.uniform(22, 46), height * rng.uniform(0.3, 0.55)
    way = np.array([[x - 8, 0, low], [x + out * 0.7, 0, low + 2], [x + out * 0.4, 0, low + up],
                    [x + out, 0, low + up + 6]])
    s = np.linspace(0, 1, 17)[:, None]
    curve = (1 - s) ** 3 * way[0] + 3 * s * (1 - s) ** 2 * way[1] + 3 * s ** 2 * (1 - s) * way[2] + s ** 3 * way[3]
    b.add("spout", sweep(curve, rng.uniform(4, 6.5)), on="body")
    hold = rng.uniform(24, 42)
    if chance(rng, 0.65):
        y = rng.uniform(-3, 3)
        grip = np.array([[-at(0.8) + 4, y, feet + 0.82 * height], [-at(0.8) - hold, y, feet + 0.85 * height],
                         [-at(0.3) - hold * 0.8, y, feet + 0.24 * height], [-at(0.25) + 4, y, feet + 0.25 * height]])
        b.add("handle", sweep(rounded_path(grip, 15), rng.uniform(3.6, 6)), on="body")
        b.add("thumb_rest", ovals(np.array([[-11, 0, 0, 4, 2.5], [-5, 0, 1, 7, 3], [8, 0, 0, 3, 2]]), 2.5, 20)
              .at(-at(0.8) - hold * 0.5, y, feet + 0.84 * height + 5), on="handle")
    else:
        rise = rng.uniform(38, 70)
        arch = np.array([[0, at(0.9) - 1, feet + 0.9 * height], [4, at(0.9) + 6, top + rise],
                         [4, -at(0.9) - 6, top + rise],
                         [0, -at(0.9) + 1, feet + 0.9 * height]])
        b.add("handle", sweep(rounded_path(arch, 24), rng.uniform(2.4, 4)), on="body")
        b.add("grip", cylinder(6.5, 40, bevel=2).turned("x", 90).at(4, 20, top + rise), on="handle")
    stands = count(rng, 3, 4)
    for k, (px, py) in enumerate(on_ring(stands, at(0.0) * 0.75, rng.uniform(0, 90))):
        b.add(f"foot_{k}", lathe([(0, 0), (5, 0), (8, feet + 2), (0, feet + 2)], 28).at(px, py, 0), on="body")
    band = rng.uniform(0.6, 0.75)
    b.add("band", tube(at(band) + 2.2, at(band) - 3, rng.uniform(4, 9), 56).at(0, 0, feet + band * height), on="body")
    side = float(rng.choice([-1, 1]))
    b.add("gauge", _gauge(rng).turned("x", -90 * side).at(rng.uniform(-8, 8), side * (at(0.5) - 2),
                                                          feet + 0.5 * height),
          on="body")
    if chance(rng, 0.5):
        b.add("tap", cylinder(5, 16, bevel=1).turned("x", 90 * side).at(6, -side * (at(0.14) - 3),
                                                                        feet + 0.14 * height),
              box(5, 5, 16, corner=1).at(6, -side * (at(0.14) + 10), feet + 0.14 * height - 12), on="body")
    else:
        b.add("badge", box(22, 3.5, 15, corner=1, bevel=0.5).turned("z", -side * 12)
              .at(side * 6, -side * (at(0.3) - 1), feet + 0.28 * height), on="body")
    if chance(rng, 0.5):
        b.add("whistle", cylinder(6, 12, bevel=1, segments=int(rng.choice([6, 32]))).lying().at(
            x + out - 2, 0, low + up + 6), on="spout")
    else:
        b.add("hinge", cylinder(4, 16, bevel=0.8).turned("x", 90).at(-lip, 8, top + 3), on="lid")
    return b.assembly()


def _knob(rng: np.random.Generator) -> Solid:
    style = count(rng, 0, 2)
    if style == 0:
        return ball(rng.uniform(6, 10))
    if style == 1:
        return lathe([(0, 0), (4, 0), (3, 6), (9, 10), (9, 14), (0, 16)], 32)
    return prism(rectangle(24, 8, 3), 12, bevel=1).turned("z", 25)


def _gauge(rng: np.random.Generator) -> Solid:
    r = rng.uniform(7, 12)
    return lathe([(0, 0), (r, 0), (r, 7), (r * 0.8, 7), (r * 0.75, 5.5), (0, 5.5)], 40)
