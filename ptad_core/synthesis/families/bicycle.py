"""A bicycle on a stand: frame of tubes, spoked wheels, fork, bars, saddle, cranks, and what is fitted to it."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count, on_ring, rod
from ptad_core.synthesis.shapes import (
    Solid,
    box,
    circle,
    cylinder,
    gear_outline,
    lathe,
    ovals,
    prism,
    sweep,
    tube,
    union,
)
from ptad_core.types import FloatArray


def bicycle(rng: np.random.Generator) -> Assembly:
    """Draw a bicycle of about 260 x 60 x 160 mm; it rides along x, its stand holds it upright."""
    radius, base = rng.uniform(38, 58), rng.uniform(140, 180)
    small = radius * (1.0 if chance(rng, 0.7) else rng.uniform(0.6, 0.9))
    bar = rng.uniform(2.4, 4.2)
    crank, seat = np.array([-0.05 * base, 0, radius * 0.9]), np.array([-0.18 * base, 0, radius + rng.uniform(55, 80)])
    head = np.array([0.3 * base, 0, radius + rng.uniform(50, 80)])
    rear, front = np.array([-base / 2, 0, radius]), np.array([base / 2, 0, small])
    b = Builder("bicycle")
    b.add("frame", _rod(crank, seat, bar), _rod(crank, head, bar * 1.2),
          _rod(seat + 0.1 * (crank - seat), _off(head, 0, 0, 4), bar), sound=True)
    for name, y in (("left", 8.0), ("right", -8.0)):
        off = np.array([0, y, 0])
        b.add(f"stay_{name}", _rod(crank, rear + off, bar * 0.7), _rod(seat + 0.2 * (crank - seat), rear + off,
                                                                      bar * 0.6), on="frame")
    fork = _off(head, -1.5, 0, 14)
    b.add("fork", _rod(fork, head - [0, 0, 8], bar * 1.2), *(sweep(np.array(
        [head - [0, -y * 0.3, 8], _off(head, 2, y, -24), _off(front, -5, y, 14), _off(front, 0, y, 0)]), bar * 0.75, 12)
        for y in (8.0, -8.0)), on="frame")
    for name, middle, r, on in (("rear", rear, radius, "stay_left"), ("front", front, small, "fork")):
        b.add(f"wheel_{name}", _wheel(r, count(rng, 5, 14), rng.uniform(2.5, 5)).turned("x", 90).at(*middle), on=on)
    reach = rng.uniform(18, 34)
    b.add("bars", sweep(np.array([_off(fork, -reach * 0.6, 26, 6), _off(fork, 4, 18, 4), _off(fork, 6, 0, 0),
                                  _off(fork, 4, -18, 4), _off(fork, -reach * 0.6, -26, 6)]), 2.2, 12), on="fork")
    b.add("grip_left", _rod(_off(fork, -reach * 0.75, 27, 6.2), _off(fork, -reach * 0.25, 23.2, 5.4), 3.8), on="bars")
    b.add("post", _rod(seat - [0, 0, 4], _off(seat, -4, 0, 22), bar * 0.8), on="frame")
    b.add("saddle", ovals(np.array([[-17, 0, 0, 8, 3], [-13, 0, 0, 11, 4.5], [0, 0, 0, 6, 4], [16, 0, 0, 3, 3],
                                    [18, 0, 0, 1.5, 1.5]])).at(*(_off(seat, -2, 0, 24))), on="post")
    teeth = prism(gear_outline(count(rng, 14, 26), 13, 15.5), 2.5, [circle(7)]).turned("x", 90)
    b.add("chain_wheel", union(teeth.at(0, -5, 0), box(4, 2.4, 26).at(0, -6.4, -13),
                               cylinder(4, 16).at(0, 0, -8).turned("x", 90)).at(*crank), on="frame")
    turn = rng.uniform(0, 180)
    for name, y, more in (("left", 9.0, 0.0), ("right", -9.0, 180.0)):
        arm = union(box(5, 3, 26).at(0, 0, -3), box(12, 16, 4, corner=1).at(0, np.sign(y) * 8, 20))
        b.add(f"crank_{name}", arm.turned("y", turn + more).at(*(_off(crank, 0, y, 0))), on="chain_wheel")
    if chance(rng, 0.6):
        angle = np.linspace(0.3, 2.6, 16)
        arc = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1) * (radius + 7)
        b.add("mudguard", sweep(rear + arc, 2.6, 10), _rod(_off(rear, 0, 8, 0), rear + arc[8], 1.5), on="stay_left")
    if chance(rng, 0.6):
        x = head[0] + 14
        b.add("basket", prism(np.array([[-13, -18], [13, -18], [13, 18], [-13, 18]]), 22,
                              [np.array([[-11, -16], [11, -16], [11, 16], [-11, 16]])]).at(x + 8, 0, head[2] - 6),
              box(24, 34, 2).at(x + 8, 0, head[2] - 6), on="fork")
    else:
        b.add("light", lathe([(0, 0), (4, 0), (7, 9), (0, 9)], 24).lying().at(*(_off(head, 2, 3, 6))), on="fork")
    if chance(rng, 0.6):
        b.add("rack", *(_rod(_off(seat, -8, y, -22), _off(rear, -16, y, radius + 9), 1.8) for y in (-7.0, 7.0)),
              box(30, 18, 2.5).turned("y", 4).at(rear[0] + 8, 0, rear[2] + radius + 8), on="frame")
    b.add("bottle", cylinder(5, 24, bevel=1.5, segments=24).turned("y", 40).at(*(crank + 0.35 * (head - crank)
                                                                                + [-6, 0, 3])), on="frame")
    b.add("stand", *(rod((crank[0], 0, crank[2]), (crank[0] - 6, s * 27, 1.8), 2.2) for s in (-1, 1)), on="frame",
          sound=True)
    return b.assembly()


def _off(point: FloatArray, x: float, y: float, z: float) -> FloatArray:
    return np.asarray(point + np.array([x, y, z]))


def _rod(start: FloatArray, end: FloatArray, radius: float) -> Solid:
    return rod((float(start[0]), float(start[1]), float(start[2])), (float(end[0]), float(end[1]), float(end[2])),
               radius, 14)


def _wheel(radius: float, spokes: int, tyre: float) -> Solid:
    """Return a wheel about z, centred at the origin."""
    rim = lathe([(radius - tyre + tyre * np.cos(a), tyre * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 13)[:-1]])
    spread = [rod((0, 0, 4 * (-1) ** k), (x, y, 0), 0.9, 8) for k, (x, y) in enumerate(on_ring(spokes, radius - tyre))]
    return union(rim, *spread, tube(5, 2, 20, segments=24).at(0, 0, -10))
