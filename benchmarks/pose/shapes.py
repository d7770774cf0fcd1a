"""Parts of the benchmark that the families of the synthesis lack: thin, flat, turned, symmetric and hook-like ones.

Drawn in millimetres, z up, standing on z = 0 unless a symmetry wants the centre elsewhere.
"""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import (
    ball,
    box,
    circle,
    cylinder,
    gear_outline,
    lathe,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
)


def table() -> Assembly:
    """Return a desk: four legs, a drawer on one side, a shelf on the other."""
    b = Builder("table")
    b.add("top", box(900, 520, 28, corner=20), sound=True)
    for name, x, y in (("a", -410, -220), ("b", 410, -220), ("c", -410, 220), ("d", 410, 220)):
        b.add(f"leg_{name}", box(42, 42, 640, corner=6).at(x, y, -640), on="top")
    b.add("drawer", box(300, 420, 130, corner=4).at(230, -20, -130), on="top")
    b.add("shelf", box(360, 400, 18).at(-220, 20, -420), on="top")
    b.add("screen", box(260, 16, 170, corner=3).at(-180, 120, 70), box(40, 30, 50).at(-180, 120, 25), on="top")
    b.add("mug", tube(42, 36, 95).at(300, -130, 28), on="top")
    return b.assembly()


def bracket() -> Assembly:
    """Return an angle bracket with a gusset, a boss and bolts."""
    b = Builder("bracket")
    b.add("base", prism(rectangle(90, 64, 6), 6, [circle(5, -28, -18), circle(5, -28, 18)]), sound=True)
    b.add("wall", prism(rectangle(64, 74, 6), 6, [circle(11, 0, 12)]).turned("y", 90).turned("x", 90).at(42, 0, 36),
          on="base", sound=True)
    b.add("gusset", prism(np.array([[0.0, 0.0], [48.0, 0.0], [48.0, 44.0]]), 6).turned("x", 90).at(-8, 26, 6),
          on="base")
    b.add("boss", tube(13, 7, 22).at(-6, -14, 6), on="base")
    b.add("pin", cylinder(4, 34, bevel=1).at(-30, -2, 6), on="base")
    b.add("bolt", cylinder(9, 7, segments=6).turned("y", 90).at(45, -20, 56),
          cylinder(5, 18).turned("y", 90).at(45, -20, 56), on="wall")
    b.add("ear", box(18, 22, 6, corner=4).at(46, 32, 60), on="wall")
    return b.assembly()


def hook() -> Assembly:
    """Return a crane hook with eye, nut, latch and tip guard."""
    angle = np.radians(np.linspace(90, -150, 28))
    arc = np.stack([34 * np.cos(angle), np.zeros(28), 34 * np.sin(angle) + 60], axis=1)
    b = Builder("hook")
    b.add("bend", sweep(arc, 9), sound=True)
    b.add("shank", cylinder(8, 52, bevel=1).at(0, 0, 88), on="bend", sound=True)
    b.add("nut", cylinder(16, 12, bevel=1, segments=6).at(0, 0, 116), on="shank")
    b.add("eye", tube(20, 11, 12).turned("x", 90).at(0, 6, 152), on="shank")
    b.add("latch", sweep(np.array([[-27, 0, 46.0], [-14, 0, 70.0], [2, 0, 92.0]]), 3.5), on="bend")
    b.add("guard", ball(13).at(-29, 0, 30), on="bend")
    b.add("plate", box(34, 4, 20).at(18, 9, 92), on="shank")
    return b.assembly()


def angle_profile() -> Assembly:
    """Return a length of L-profile with an end plate, a cleat, bolts and a clip."""
    section = np.array([[0.0, 0.0], [46.0, 0.0], [46.0, 5.0], [5.0, 5.0], [5.0, 34.0], [0.0, 34.0]])
    b = Builder("angle_profile")
    b.add("profile", prism(section, 210).lying(), sound=True)
    b.add("end_plate", prism(rectangle(60, 52, 4), 5, [circle(5, 16, 12)]).lying().at(0, 22, 18), on="profile")
    b.add("cleat", box(34, 5, 44).at(150, 7, 14), box(34, 26, 5).at(150, 18, 5), on="profile")
    b.add("bolt_near", cylinder(7, 14, segments=6).at(60, 28, 5), on="profile")
    b.add("bolt_far", cylinder(7, 20, segments=6).at(100, 28, -20), on="profile")
    b.add("clip", tube(14, 11, 16).at(196, 22, 5), on="profile")
    return b.assembly()


def wheel() -> Assembly:
    """Return a spoked wheel with a hub that stands out on one side (symmetry: axis z, order 5)."""
    b = Builder("wheel")
    b.add("rim", lathe([(82, 0), (100, 0), (104, 12), (100, 24), (82, 24), (88, 12)], segments=60), sound=True)
    b.add("hub", cylinder(22, 40, bevel=3, segments=60), on="rim")
    for k in range(5):
        b.add(f"spoke_{k}", box(66, 13, 9, corner=2).at(54, 0, 8).turned("z", 72.0 * k), on="rim")
    return b.assembly()


def drill() -> Assembly:
    """Return a cordless drill: body, chuck, handle, battery, trigger and side handle."""
    b = Builder("drill")
    b.add("body", cylinder(31, 130, bevel=6).lying().at(-70, 0, 150), sound=True)
    b.add("chuck", lathe([(0, 0), (22, 0), (22, 22), (9, 48), (0, 48)]).lying().at(58, 0, 150), on="body")
    b.add("bit", cylinder(3.5, 62).lying().at(104, 0, 150), on="chuck")
    b.add("handle", box(40, 32, 118, corner=10).turned("y", 12).at(-56, 0, 18), on="body", sound=True)
    b.add("battery", box(92, 58, 30, corner=8, bevel=3).at(-52, 0, 0), on="handle")
    b.add("trigger", box(14, 18, 26, corner=4).at(-14, 0, 96), on="handle")
    b.add("side_handle", cylinder(11, 84, bevel=3).turned("x", 90).at(38, -24, 150), on="body")
    return b.assembly()


def bottle() -> Assembly:
    """Return a bottle with shoulder, neck, collar and cap (symmetry: axis z, continuous)."""
    b = Builder("bottle")
    b.add("body", lathe([(0, 0), (34, 0), (38, 5), (38, 110), (17, 146), (0, 146)]), sound=True)
    b.add("neck", cylinder(15, 44).at(0, 0, 140), on="body")
    b.add("collar", lathe([(14, 0), (22, 0), (22, 6), (14, 6)]).at(0, 0, 158), on="neck")
    b.add("cap", cylinder(19, 24, bevel=2).at(0, 0, 176), on="neck")
    b.add("foot_ring", lathe([(36, 0), (45, 0), (45, 9), (36, 9)]).at(0, 0, 8), on="body")
    return b.assembly()


def block() -> Assembly:
    """Return a block with end caps and four pegs (symmetry: half turns about x, y and z)."""
    b = Builder("block")
    b.add("body", box(120, 66, 44).at(0, 0, -22), sound=True)
    for name, turn in (("left", 0.0), ("right", 180.0)):
        b.add(f"cap_{name}", box(16, 44, 30).at(67, 0, -15).turned("z", turn), on="body")
    for k, (x, y, up) in enumerate(((38, 16, 1), (-38, -16, 1), (38, -16, -1), (-38, 16, -1))):
        b.add(f"peg_{k}", cylinder(9, 26).at(0, 0, 20).turned("x", 0 if up > 0 else 180).at(x, y, 0), on="body")
    return b.assembly()


def lamp() -> Assembly:
    """Return a desk lamp: foot, bent arm, shade, joint, weight and switch."""
    b = Builder("lamp")
    b.add("foot", cylinder(80, 16, bevel=4), sound=True)
    path = rounded_path(np.array([[0, 0, 10.0], [-40, 0, 210], [150, 20, 330]]), 30)
    b.add("arm", sweep(path, 7), on="foot", sound=True)
    b.add("shade", lathe([(14, 60), (62, 0), (66, 0), (20, 66), (0, 66), (0, 60)]).turned("y", 150).at(160, 20, 350),
          on="arm")
    b.add("joint", cylinder(15, 30, bevel=2).turned("x", 90).at(-36, 15, 205), on="arm")
    b.add("weight", ball(22).at(-66, -8, 196), on="arm")
    b.add("switch", box(24, 16, 14, corner=3).at(48, 30, 16), on="foot")
    return b.assembly()


def crank() -> Assembly:
    """Return a gear on a shaft, with a crank arm, a knob, a collar and a key."""
    b = Builder("crank")
    b.add("shaft", cylinder(9, 150, bevel=1.5), sound=True)
    b.add("gear", prism(gear_outline(18, 36, 44), 18, [circle(9)]).at(0, 0, 42), on="shaft")
    b.add("arm", box(96, 20, 9, corner=8).at(40, 0, 132), on="shaft")
    b.add("knob", cylinder(11, 46, bevel=3).at(78, 0, 141), on="arm")
    b.add("collar", cylinder(19, 12, bevel=1).at(0, 0, 82), on="shaft")
    b.add("lever", box(10, 44, 8, corner=3).at(0, -30, 20), on="shaft")
    return b.assembly()


def sheet() -> Assembly:
    """Return a stamped sheet of 2 mm with cut-outs, two bent tabs and a stud."""
    outline = np.array([[0, 0], [160, 0], [160, 60], [112, 60], [112, 100], [0, 100], [0, 70], [18, 70], [18, 34],
                        [0, 34]], dtype=np.float64)
    b = Builder("sheet")
    b.add("plate", prism(outline, 2, [circle(16, 66, 58), circle(6, 138, 18), circle(6, 138, 40)]), sound=True)
    b.add("tab_long", box(52, 2, 26).at(60, 1, 0), on="plate")
    b.add("tab_short", box(2, 26, 34).at(159, 30, 0), on="plate")
    b.add("stud", cylinder(5, 24, bevel=1).at(90, 84, 2), on="plate")
    b.add("angle", box(30, 22, 2).at(38, 99, 22), box(30, 2, 24).at(38, 99, 0), on="plate")
    return b.assembly()
