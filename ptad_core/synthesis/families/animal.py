"""A figure of an animal: lofted body, neck, head, legs, tail, ears or horns, perhaps a saddle or wings."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import Solid, ball, box, lathe, ovals, sweep, tube
from ptad_core.types import FloatArray


def animal(rng: np.random.Generator) -> Assembly:
    """Draw an animal of about 160 x 60 x 120 mm that looks along x."""
    length, wide, high = rng.uniform(70, 130), rng.uniform(17, 32), rng.uniform(17, 32)
    leg, thick = rng.uniform(20, 75), rng.uniform(5, 9)
    z = leg + high * 0.75
    b = Builder("animal")
    t = np.linspace(0, 1, 17)
    round_off = np.sqrt(np.clip(1 - (2 * t - 1) ** 2, 0.06, 1)) * (1 + rng.uniform(-0.3, 0.3) * np.cos(2 * np.pi * t))
    b.add("body", ovals(np.stack([(t - 0.5) * length, 0 * t, z + rng.uniform(-7, 7) * np.cos(3 * t),
                                  wide * round_off, high * round_off], axis=1), rng.uniform(2, 3)), sound=True)
    for k, (sx, sy) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        x, step = sx * length * rng.uniform(0.24, 0.32), rng.uniform(-13, 13)
        b.add(f"leg_{k}", _limb([[x, sy * wide * 0.55, z - high * 0.2], [x - sx * 4, sy * wide * 0.62, leg * 0.55],
                                 [x + step, sy * wide * 0.62, 2]], thick * 1.4, thick * 0.8), on="body")
        b.add(f"foot_{k}", ball(1, segments=24).scaled(np.array([thick * 1.5, thick, thick * 0.6]))
              .at(x + step + 3, sy * wide * 0.62, 0), on=f"leg_{k}")
    lift, ahead = rng.uniform(5, 60), rng.uniform(14, 40)
    x_head, z_head = length * 0.42 + ahead, z + lift
    b.add("neck", _limb([[length * 0.3, 0, z + 2], [length * 0.42 + ahead * 0.3, 0, z + lift * 0.6],
                         [x_head, 0, z_head]], high * 0.6, high * 0.36), on="body")
    snout = rng.uniform(16, 42)
    b.add("head", ovals(np.array([[-10, 0, 2, 5, 5], [-5, 0, 2, 12, 11], [2, 0, 1, 13, 12],
                                  [snout * 0.5, 0, -3, rng.uniform(6, 10), 8], [snout, 0, -5, 5, 4.5],
                                  [snout + 2, 0, -5, 2.5, 2]])).turned("y", rng.uniform(-10, 35))
          .at(x_head, 0, z_head), on="neck")
    long_ears, horned = rng.uniform(8, 34), chance(rng, 0.4)
    for name, side in (("left", 1), ("right", -1)):
        root = np.array([x_head - 4, side * 8, z_head + 8])
        b.add(f"ear_{name}", ovals(np.array([[0, 0, 0, 4, 2.5], [long_ears * 0.5, 0, 0, 6, 2.5],
                                             [long_ears, 0, 0, 1.5, 1]]), segments=16).turned("y", -rng.uniform(50, 85))
              .turned("z", side * 60).at(*root), on="head")
        if horned:
            b.add(f"horn_{name}", _limb([[x_head + 2, side * 5, z_head + 8], [x_head + 5, side * 15, z_head + 24],
                                         [x_head + 12, side * 14, z_head + 40]], 3.4, 1.0), on="head")
    b.add("tail", _limb([[-length * 0.44, 0, z + 3], [-length * 0.62, rng.uniform(-12, 12), z + rng.uniform(-18, 14)],
                         [-length * rng.uniform(0.68, 0.9), rng.uniform(-28, 28), z + rng.uniform(-30, 40)]],
                        rng.uniform(3, 8), rng.uniform(1.5, 6)), on="body")
    extra = count(rng, 0, 3)
    if extra == 0:
        b.add("saddle", box(length * 0.3, wide * 1.1, 8, corner=5, bevel=2).at(0, 0, z + high * 0.86), on="body")
        b.add("knob", lathe([(0, 0), (4, 0), (3, 8), (6, 12), (0, 15)], 24).at(length * 0.08, 0, z + high * 0.86 + 7),
              on="saddle")
    elif extra == 1:
        for name, side in (("left", 1), ("right", -1)):
            wing = ovals(np.array([[0, 0, 0, 14, 3], [30, -6, 3, 19, 2.5], [60, -16, 2, 11, 2], [80, -26, 0, 3, 1]]))
            b.add(f"wing_{name}", wing.turned("y", -35).turned("z", side * rng.uniform(70, 100))
                  .at(4, side * wide * 0.5, z + high * 0.5), on="body")
    elif extra == 2:
        for k, x in enumerate(np.linspace(-0.34, 0.3, count(rng, 3, 6)) * length):
            b.add(f"spike_{k}", lathe([(0, 0), (5, 0), (0, rng.uniform(12, 22))], 12)
                  .at(x, 0, z + high * (0.95 - 1.4 * (x / length) ** 2) - 5), on="body")
    else:
        b.add("collar", tube(high * 0.62, high * 0.4, 7, segments=32).turned("y", 35)
              .at(length * 0.4 + ahead * 0.16, 0, z + lift * 0.4), on="neck")
    return b.assembly()


def _limb(points: list[list[float]], start: float, end: float) -> Solid:
    """Return a round limb along a bent way, thinner towards its end."""
    a, c, d = (np.array(p, dtype=np.float64) for p in points)
    t = np.linspace(0, 1, 13)[:, None]
    path: FloatArray = (1 - t) ** 2 * a + 2 * t * (1 - t) * (2 * c - 0.5 * (a + d)) + t ** 2 * d
    bar = sweep(path, 1.0, 20)
    rings = bar.vertices.reshape(13, 20, 3)
    radius = (start + t * (end - start))[:, None]
    return Solid((path[:, None] + (rings - path[:, None]) * radius).reshape(-1, 3), bar.faces)
