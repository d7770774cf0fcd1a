"""A vise: body with fixed jaw, slide with moving jaw, screw with a bar, jaw plates, swivel base, bolts, anvil."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring, rod
from ptad_core.synthesis.shapes import ball, box, circle, cylinder, helix, lathe, ovals, prism, tube


def vise(rng: np.random.Generator) -> Assembly:
    """Draw a vise of about 240 x 110 x 130 mm; it opens along x."""
    wide, jaw, length = rng.uniform(52, 90), rng.uniform(32, 55), rng.uniform(80, 130)
    base, gap = rng.uniform(10, 18), rng.uniform(8, 45)
    radius = wide * rng.uniform(0.5, 0.68)
    b = Builder("vise")
    ears = count(rng, 2, 4)
    lugs = [prism(circle(13, segments=32), base * 0.8, [circle(5, segments=24)], bevel=0.8).at(x, y, 0)
            for x, y in on_ring(ears, radius + 7, 35)]
    b.add("base", cylinder(radius, base, bevel=1.5), *lugs, sound=True)
    b.add("swivel", lathe([(0, 0), (radius * 0.9, 0), (radius * 0.8, 7), (radius * 0.55, 13), (0, 13)])
          .at(0, 0, base - 0.5), on="base", sound=True)
    z = base + 11
    tall = rng.uniform(30, 46)
    t = np.linspace(0, 1, 9)
    body = ovals(np.stack([(t - 0.55) * length, 0 * t, z + tall / 2 + 0 * t, wide * (0.3 + 0.16 * t), tall / 2 + 0 * t],
                          axis=1), rng.uniform(3, 9), 40)
    b.add("body", body, on="swivel", sound=True)
    x_jaw, top = length * 0.45 - 17, z + tall
    b.add("fixed_jaw", box(20, wide, jaw, corner=2, bevel=1).at(x_jaw, 0, top - 10), on="body")
    x_move = x_jaw + 20 + gap
    b.add("slide", box(gap + 44 + length * 0.3, wide * 0.42, tall * 0.5, corner=2, bevel=1)
          .at(x_jaw + gap / 2 + 14 - length * 0.1, 0, z + tall * 0.16), on="body")
    b.add("moving_jaw", box(20, wide, jaw + tall * 0.6, corner=2, bevel=1).at(x_move, 0, top - 10 - tall * 0.6),
          on="slide")
    b.add("horn", prism(np.array([[0, 0], [18, 0], [0, jaw * 0.9]]), wide * 0.4, bevel=0.8).turned("x", 90)
          .at(x_move + 9, wide * rng.uniform(0.12, 0.28), top - 10), on="moving_jaw")
    for name, x, on in (("fixed", x_jaw + 12, "fixed_jaw"), ("moving", x_move - 12, "moving_jaw")):
        b.add(f"plate_{name}", box(5, wide * rng.uniform(0.85, 1.1), 13, bevel=0.5).at(x, 0, top - 10 + jaw - 14),
              on=on)
        b.add(f"screws_{name}", *(cylinder(3, 3, segments=20).lying().at(x - 1.5, s * wide * 0.28, top - 10 + jaw - 7.5)
                                  for s in (-1, 1)), on=f"plate_{name}", sound=True)
    x_end, z_screw = x_move + rng.uniform(22, 50), z + tall * 0.36
    b.add("screw", rod((x_move, 0, z_screw), (x_end + 8, 0, z_screw), 6),
          helix(6, 5, (x_end - x_move - 12) / 5, 1.2).turned("y", 90).at(x_move + 10, 0, z_screw), on="moving_jaw")
    b.add("head", cylinder(10, 15, bevel=1.5).lying().at(x_end, 0, z_screw), on="screw")
    turn, off, half = np.radians(rng.uniform(0, 180)), rng.uniform(-14, 14), rng.uniform(38, 56)
    ends = [(x_end + 7.5, (off + s * half) * np.cos(turn), z_screw + (off + s * half) * np.sin(turn)) for s in (-1, 1)]
    b.add("bar", rod(ends[0], ends[1], 3), *(ball(5, 24).at(x, y, h - 5) for x, y, h in ends), on="head")
    if chance(rng, 0.7):
        b.add("anvil", box(length * 0.3, wide * 0.5, 14, corner=3, bevel=1).at(-length * 0.34, 0, top - 4), on="body")
    else:
        b.add("cone", lathe([(0, 0), (wide * 0.24, 0), (6, 34), (0, 36)], 32).lying().turned("z", 180)
              .at(-length * 0.5, 0, z + tall * 0.6), on="body")
    side = float(rng.choice([-1, 1]))
    b.add("lock", rod((0, side * radius * 0.6, base + 6), (12, side * (radius + 32), base + 12), 3.2),
          ball(6, 24).at(12, side * (radius + 32), base + 6), on="swivel")
    for k, (x, y) in enumerate(on_ring(ears, radius + 7, 35)[1:]):
        b.add(f"bolt_{k}", cylinder(7.5, 7, bevel=0.8, segments=6).at(x, y, base * 0.8 - 0.5), on="base")
    b.add("name_plate", box(length * 0.28, 3, tall * 0.4, corner=1).at(-length * 0.15, -side * wide * 0.34,
                                                                       z + tall * 0.3),
          on="body")
    b.add("guard", tube(13, 8, 4, 32).lying().at(x_move + 9.5, 0, z_screw), on="moving_jaw")
    return b.assembly()
