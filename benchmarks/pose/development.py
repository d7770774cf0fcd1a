"""Parts that free choices of the baseline are made on. The benchmark never uses them."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import ball, box, circle, cylinder, lathe, prism, rectangle, rounded_path, sweep, tube


def stool() -> Assembly:
    """Return a three-legged stool with a foot rest and a grip."""
    b = Builder("stool")
    b.add("seat", cylinder(170, 34, bevel=8).at(0, 0, 420), sound=True)
    for k in range(3):
        foot = np.array([150.0, 0.0, 0.0])
        b.add(f"leg_{k}", sweep(np.array([foot, foot * 0.8 + [0, 0, 210], [90, 0, 425.0]]), 15)
              .turned("z", 120.0 * k + 20), on="seat")
    b.add("rest", box(20, 190, 18).at(-62, 0, 150), on="seat")
    b.add("grip", tube(36, 24, 14).turned("x", 90).at(60, 130, 454), on="seat")
    return b.assembly()


def clamp() -> Assembly:
    """Return a G-clamp: frame, spindle, pad, handle and anvil."""
    path = rounded_path(np.array([[0, 0, 10.0], [80, 0, 10], [80, 0, 150], [0, 0, 150]]), 22)
    b = Builder("clamp")
    b.add("frame", sweep(path, 10), sound=True)
    b.add("spindle", cylinder(6, 110).at(8, 0, 80), on="frame")
    b.add("pad", cylinder(15, 8, bevel=1).at(8, 0, 72), on="spindle")
    b.add("handle", cylinder(4, 70).turned("x", 90).at(8, 35, 184), on="spindle")
    b.add("anvil", cylinder(13, 14).at(8, 0, 14), on="frame")
    return b.assembly()


def tap() -> Assembly:
    """Return a kitchen tap: base, spout, lever, cartridge and hose nut."""
    b = Builder("tap")
    b.add("base", lathe([(0, 0), (32, 0), (32, 8), (22, 14), (22, 90), (0, 90)]), sound=True)
    b.add("spout", sweep(rounded_path(np.array([[0, 0, 80.0], [0, 0, 210], [120, 0, 210], [120, 0, 160]]), 36), 10),
          on="base")
    b.add("lever", box(70, 16, 9, corner=5).turned("y", -20).at(-30, 22, 100), on="base")
    b.add("cartridge", cylinder(15, 30, bevel=2).turned("x", -90).at(0, 14, 62), on="base")
    b.add("aerator", cylinder(14, 16).at(120, 0, 148), on="spout")
    return b.assembly()


def trolley() -> Assembly:
    """Return a hand trolley: deck, four castors, a push bar and a crate."""
    b = Builder("trolley")
    b.add("deck", prism(rectangle(420, 260, 20), 22, [circle(40, -120, 0)]).at(0, 0, 70), sound=True)
    for k, (x, y) in enumerate(((-170, -95), (170, -95), (-170, 95), (170, 95))):
        b.add(f"castor_{k}", cylinder(35, 24).turned("x", 90).at(x, y + 12, 35), on="deck")
    bar = rounded_path(np.array([[-190, -100, 90.0], [-240, -100, 380], [-240, 100, 380], [-190, 100, 90]]), 40)
    b.add("bar", sweep(bar, 10), on="deck")
    b.add("crate", box(150, 180, 110, corner=8).at(90, 20, 92), on="deck")
    b.add("bell", ball(24).at(-238, 60, 400), on="bar")
    return b.assembly()


DEVELOPMENT = (stool, clamp, tap, trolley)
