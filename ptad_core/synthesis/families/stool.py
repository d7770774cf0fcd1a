"""A stool: seat of any outline, splayed legs, rungs, now and then a low back, a grip or a foot rest."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring, rod
from ptad_core.synthesis.shapes import box, circle, cylinder, prism, rectangle, tube


def stool(rng: np.random.Generator) -> Assembly:
    """Draw a stool of about 0.4 x 0.4 x 0.6 m."""
    width, seat, thick = rng.uniform(280, 420), rng.uniform(380, 720), rng.uniform(24, 55)
    legs, leg, splay = count(rng, 3, 5), rng.uniform(12, 22), rng.uniform(1.0, 1.35)
    start = rng.uniform(0, 90)
    outline = (circle(width / 2) if chance(rng, 0.5) else
               rectangle(width, width * rng.uniform(0.7, 1.0), rng.uniform(10, 80)))
    hole = [rectangle(width * 0.28, width * 0.09, width * 0.04)] if chance(rng, 0.4) else []
    b = Builder("stool")
    b.add("seat", prism(outline, thick, hole, bevel=4).at(0, 0, seat), sound=True)
    top = on_ring(legs, width * 0.3, start)
    foot = [(x * splay, y * splay) for x, y in top]
    for k, ((x0, y0), (x1, y1)) in enumerate(zip(top, foot, strict=True)):
        b.add(f"leg_{k}", rod((x1, y1, 0), (x0, y0, seat + thick * 0.4), leg), on="seat")

    def on_leg(k: int, share: float) -> tuple[float, float, float]:
        (x0, y0), (x1, y1) = top[k % legs], foot[k % legs]
        return x1 + (x0 - x1) * share, y1 + (y0 - y1) * share, seat * share

    level = rng.uniform(0.25, 0.5)
    for k in range(legs):
        if chance(rng, 0.75):
            share = level + rng.uniform(-0.1, 0.15)
            b.add(f"rung_{k}", rod(on_leg(k, share), on_leg(k + 1, share), leg * 0.6), on=f"leg_{k}")
    if chance(rng, 0.7):
        height = rng.uniform(90, 220)
        for name, s in (("left", -1), ("right", 1)):
            b.add(f"back_post_{name}", cylinder(leg * 0.7, height).at(s * width * 0.25, width * 0.31,
                                                                      seat + thick * 0.6), on="seat")
        b.add("back_rail", box(width * rng.uniform(0.6, 0.9), 22, rng.uniform(40, 80), corner=6, bevel=3)
              .at(0, width * 0.31, seat + thick * 0.6 + height - 40), on="back_post_left")
    if chance(rng, 0.6):
        b.add("grip", tube(width * 0.12, width * 0.08, 16).turned("y", 90).at(width * 0.4, -width * 0.1, seat + 6),
              on="seat")
    b.add("collar", box(width * 0.56, width * 0.5, 20, corner=20).at(0, 0, seat - 17), on="seat")
    if chance(rng, 0.6):
        b.add("post", cylinder(leg * 1.2, seat * 0.45, bevel=3).at(0, 0, seat * 0.56), on="collar")
        b.add("nut", cylinder(leg * 2.2, 26, bevel=3, segments=6).at(0, 0, seat * 0.57), on="post")
    x, y, z = on_leg(0, 0.12)
    b.add("foot_rest", box(width * 0.5, 60, 20, corner=8, bevel=2).turned("z", start).at(x, y, z), on="leg_0")
    b.add("hook", tube(26, 17, 10).turned("x", 90).at(-width * 0.22, -width * 0.36, seat - 12), on="seat")
    pads = [cylinder(leg * 1.5, 14).at(x1, y1, 0) for x1, y1 in foot]
    b.add("pads", *pads, on="leg_1", sound=True)
    return b.assembly()
