"""A tie-rod cylinder: barrel, end caps, tie rods, piston rod with clevis, ports, sensors and mounts."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.shapes import box, circle, cylinder, prism, rectangle, rounded_path, sweep, tube


def actuator(rng: np.random.Generator) -> Assembly:
    """Draw a cylinder of about 320 x 70 x 90 mm that lies along x."""
    barrel, stroke = rng.uniform(20, 34), rng.uniform(100, 200)
    cap, wide = barrel * rng.uniform(1.15, 1.3), rng.uniform(24, 38)
    z, half = cap + rng.uniform(4, 18), stroke / 2
    b = Builder("actuator")
    b.add("barrel", cylinder(barrel, stroke).lying().at(-half, 0, z), sound=True)
    for name, x in (("front", half - 2), ("rear", -half - wide + 2)):
        b.add(f"cap_{name}", box(2 * cap, 2 * cap, wide, corner=6, bevel=1.5).at(0, 0, 0).lying().at(x, 0, z),
              on="barrel", sound=True)
    for k, (sy, sz) in enumerate([(-1, -1), (1, -1), (-1, 1), (1, 1)]):
        b.add(f"tie_rod_{k}", cylinder(3.4, stroke + 2 * wide + 8).lying()
              .at(-half - wide - 4, sy * cap * 0.78, z + sz * cap * 0.78),
              cylinder(6, 6, bevel=0.6, segments=6).lying().at(half + wide - 3, sy * cap * 0.78, z + sz * cap * 0.78),
              on="cap_front")
    out, radius = rng.uniform(40, 110), barrel * rng.uniform(0.3, 0.45)
    front = half + wide - 3
    b.add("rod", cylinder(radius, out).lying().at(front, 0, z), on="cap_front")
    b.add("gland", cylinder(radius * 1.7, 12, bevel=1.5).lying().at(front, 0, z), on="cap_front")
    eye = radius * 2.2
    if chance(rng, 0.5):
        b.add("clevis", box(eye * 1.6, 2 * eye, 2 * eye, corner=3, bevel=1).at(front + out + eye * 0.5, 0, z - eye),
              *(box(eye * 2, eye * 0.5, 2 * eye, corner=2).at(front + out + eye * 1.8, s * eye * 0.72, z - eye)
                for s in (-1, 1)), on="rod")
        b.add("clevis_pin", cylinder(eye * 0.4, eye * 2.6, bevel=1).turned("x", 90)
              .at(front + out + eye * 2.2, eye * 1.3, z), on="clevis")
    else:
        b.add("eye", tube(eye * 1.2, eye * 0.6, eye * 1.2).turned("x", 90).at(front + out + eye * 0.9, eye * 0.6, z),
              on="rod")
        b.add("lock_nut", cylinder(radius * 1.8, 10, bevel=1, segments=6).lying().at(front + out * 0.7, 0, z), on="rod")
    for k, x in enumerate((front - wide * 0.5, -half - wide * 0.5)):
        b.add(f"port_{k}", cylinder(rng.uniform(7, 10), 16, bevel=1, segments=int(rng.choice([6, 48])))
              .at(x, 0, z + cap - 2), on="cap_front" if k == 0 else "cap_rear")
    foot = prism(rectangle(wide * 0.9, 2 * cap + 44, 4), 6,
                 [circle(4, 0, s * (cap + 13), segments=16) for s in (-1, 1)], bevel=0.6)
    for name, x in (("front", front - wide * 0.5), ("rear", -half - wide * 0.5)):
        b.add(f"foot_{name}", foot.at(x, 0, 0), box(wide * 0.7, 2 * cap * 0.9, z - cap + 6).at(x, 0, 3),
              on=f"cap_{name}")
    for k in range(count(rng, 1, 3)):
        angle = rng.uniform(30, 150)
        b.add(f"sensor_{k}", box(26, 14, 12, corner=2, bevel=1).at(0, 0, barrel - 2).turned("x", angle - 90)
              .at(half * rng.uniform(-0.8, 0.8), 0, z), on="barrel")
    if chance(rng, 0.6):
        y = float(rng.choice([-1, 1])) * (cap - 3)
        path = rounded_path(np.array([[-half - wide * 0.5, y * 0.5, z + cap + 10], [-half - wide * 0.5, y * 1.2,
        z + cap + 26],
                                      [half * 0.2, y * 1.4, z + cap + 22], [front - wide * 0.5, y * 0.5,
                                      z + cap + 10]]), 18)
        b.add("hose", sweep(path, 4.5), on="port_1")
    b.add("trunnion", cylinder(11, 2 * cap + 50, bevel=1.5).turned("x", 90)
          .at(half * rng.uniform(-0.5, 0.5), cap + 25, z),
          on="barrel")
    return b.assembly()
