"""A gear motor on a bracket: base plate, upright with ribs, motor, gearbox, pinion, wiring and a sensor."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import (
    Solid,
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
    union,
)


def gear_motor(rng: np.random.Generator) -> Assembly:
    """Draw a gear motor of about 120 x 80 x 110 mm; no two sides look alike."""
    width, depth, plate = rng.uniform(114, 126), rng.uniform(76, 84), rng.uniform(7, 9)
    wall, height = rng.uniform(8, 10), rng.uniform(86, 94)
    x_wall, y_axis, z_axis = rng.uniform(-20, -15), rng.uniform(-8, -4), plate + rng.uniform(52, 56)
    b = Builder("gear_motor")
    b.add("base", _base(width, depth, plate), sound=True)
    b.add("screws", *(cylinder(5.5, 4.5, bevel=0.7, segments=6).at(sx * (width / 2 - 9), sy * (depth / 2 - 9), plate)
                      for sx, sy in [(-1, -1), (1, -1), (1, 1)]), on="base", sound=True)
    b.add("upright", _upright(wall, height, y_axis, z_axis - plate).at(x_wall, 0, plate), on="base", sound=True)
    back = x_wall + wall
    rib = prism(np.array([[0, 0], [34, 0], [34, 4], [4, 36], [0, 36]]), 7, bevel=0.6).turned("x", 90)
    b.add("rib_left", rib.at(back - 0.5, 33, plate), on="base")
    b.add("rib_right", rib.at(back - 0.5, -25, plate), on="base")
    length = rng.uniform(48, 56)
    b.add("motor", _motor(length).at(back, y_axis, z_axis), on="upright")
    x_box = back + rng.uniform(16, 22)
    b.add("connector", box(22, 17, 13, corner=2, bevel=1).at(x_box, y_axis + 3, z_axis + 20),
          cylinder(4.6, 7, bevel=0.6).turned("x", -90).at(x_box, y_axis + 11, z_axis + 26.5), on="motor")
    x_block, y_block = width / 2 - 20, depth / 2 - 22
    b.add("terminal_block", box(24, 20, 17, corner=1.5, bevel=1).at(x_block, y_block, plate),
          *(cylinder(2.6, 3, bevel=0.4, segments=24).at(x_block + dx, y_block - 4, plate + 17) for dx in (-7, 0, 7)),
          on="base")
    y_cable = y_axis + 17
    b.add("cable", sweep(rounded_path(np.array([
        [x_box, y_cable, z_axis + 26.5], [x_box, y_cable + 13, z_axis + 26.5],
        [x_block, y_block + 5, z_axis + 5], [x_block, y_block + 5, plate + 16]]), 11), 3.2), on="motor")
    b.add("flange", _flange().turned("z", 180).at(x_wall, y_axis, z_axis), on="upright")
    x_gearbox = x_wall - 7
    b.add("gearbox", lathe([(0, 0), (17, 0), (17, 8), (14, 12), (14, 20), (12, 22), (0, 22)])
          .lying().turned("z", 180).at(x_gearbox, y_axis, z_axis), on="flange")
    z_shaft, reach = z_axis - 5, rng.uniform(22, 28)
    b.add("shaft", cylinder(4.2, reach, bevel=0.8).lying().turned("z", 180).at(x_gearbox - 22, y_axis, z_shaft),
          on="gearbox")
    b.add("pinion", prism(gear_outline(int(rng.integers(13, 18)), 11, 15), 10, [circle(3.5)], bevel=0.6)
          .lying().at(x_gearbox - 22 - reach + 3, y_axis, z_shaft), on="shaft")
    b.add("knob", cylinder(3, 9).at(x_wall + wall / 2, 16, plate + height - 2),
          ball(7.5).at(x_wall + wall / 2, 16, plate + height + 5), on="upright")
    x_post, y_post = -width / 2 + 16, depth / 2 - 14
    b.add("sensor", cylinder(7, 4, bevel=0.8).at(x_post, y_post, plate),
          cylinder(3.6, 34).at(x_post, y_post, plate), _sensor_head().at(x_post, y_post, plate + 32), on="base")
    return b.assembly()


def _base(width: float, depth: float, height: float) -> Solid:
    x, y = width / 2 - 9, depth / 2 - 9
    holes = [circle(3.3, sx * x, sy * y, segments=24) for sx in (-1, 1) for sy in (-1, 1)]
    return prism(rectangle(width, depth, 10), height,
                 [*holes, rectangle(28, 10, 4.9, x=-width / 2 + 26, y=-8)], bevel=0.8)


def _upright(wall: float, height: float, y_axis: float, z_axis: float) -> Solid:
    outline = np.array([[-34, 0], [34, 0], [34, height * 0.5], [27, height], [-14, height], [-34, height * 0.72]])
    holes = [circle(12, y_axis, z_axis), circle(5, 25, 0.42 * height, segments=24),
             rectangle(26, 9, 4.4, x=-6, y=14)]
    return prism(outline, wall, holes, bevel=0.8).lying()


def _motor(length: float) -> Solid:
    """A finned can lying along x from x = 0, with a narrower end cap."""
    profile = [(0.0, 0.0), (21.0, 0.0), (22.5, 1.5), (22.5, 9.0)]
    for z in np.arange(9.0, length - 15, 5.0):
        profile += [(20.5, z), (20.5, z + 2.2), (22.5, z + 2.2), (22.5, z + 5.0)]
    profile += [(22.5, length - 4), (19.0, length), (9.0, length), (9.0, length + 4), (8.0, length + 5),
                (0.0, length + 5)]
    return lathe(profile).lying()


def _flange() -> Solid:
    """A disc with a ring of screw heads, along x from x = 0."""
    heads = [cylinder(2.4, 2.6, bevel=0.4, segments=24).at(17.5 * np.cos(a), 17.5 * np.sin(a), 7)
             for a in np.radians([20, 80, 140, 200, 260, 320])]
    return union(cylinder(21, 7, bevel=0.8), *heads).lying()


def _sensor_head() -> Solid:
    """A block with a lens, tilted towards the pinion."""
    body = box(15, 13, 24, corner=2, bevel=1)
    lens = cylinder(4.5, 4, bevel=0.6).at(0, 0, 24)
    return union(body, lens).at(0, 0, -12).turned("x", 64).turned("z", 18).at(0, 0, 6)
