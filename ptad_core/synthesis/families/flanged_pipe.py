"""A bent pipe between two flanges, with a branch, a hand wheel and a foot."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import Solid, ball, box, circle, cylinder, lathe, prism, rounded_path, sweep, union


def flanged_pipe(rng: np.random.Generator) -> Assembly:
    """Draw a pipe elbow of about 160 mm, standing on one flange."""
    radius, rise, reach = rng.uniform(14, 20), rng.uniform(80, 110), rng.uniform(70, 100)
    collar = radius + rng.uniform(12, 18)
    bolts = int(rng.integers(4, 9))
    b = Builder("flanged_pipe")
    b.add("foot_flange", _flange(collar, radius - 3, bolts), sound=True)
    b.add("pipe", sweep(rounded_path(np.array([[0, 0, 6.0], [0, 0, rise], [reach, 0, rise]]), radius * 1.8, steps=14),
                        radius, segments=40), on="foot_flange", sound=True)
    b.add("side_flange", _flange(collar * 0.95, radius - 3, bolts).lying().at(reach - 4, 0, rise), on="pipe")
    b.add("bolts", *(cylinder(3.4, 4, bevel=0.5, segments=6).at(
        (collar - 6) * np.cos(a), (collar - 6) * np.sin(a), 9) for a in _ring(bolts)), on="foot_flange", sound=True)
    side = rng.uniform(0.35, 0.5) * rise
    b.add("branch", cylinder(radius * 0.6, radius + 22).turned("x", 90).at(0, 0, side),
          cylinder(radius * 0.85, 9, bevel=1).turned("x", 90).at(0, -radius - 18, side), on="pipe")
    x_stem = reach * rng.uniform(0.5, 0.62)
    z_wheel = rise + radius + rng.uniform(22, 32)
    b.add("bonnet", lathe([(0, 0), (radius * 0.75, 0), (radius * 0.75, 8), (radius * 0.45, 18), (0, 18)])
          .at(x_stem, 0, rise + radius * 0.75), on="pipe")
    b.add("wheel", *_wheel(rng.uniform(22, 28), int(rng.integers(3, 6)), x_stem, z_wheel, rise + radius), on="bonnet")
    b.add("gauge", cylinder(3, 16).turned("y", -55).at(-radius * 0.7, 0, rise * 0.8),
          cylinder(13, 8, bevel=1.2).turned("y", -55).at(-radius - 9, 0, rise * 0.8 + 9), on="pipe")
    b.add("support", box(10, radius * 1.6, rise - radius * 0.8, bevel=0.8).at(reach * 0.72, 0, 0),
          box(30, radius * 2.2, 5, corner=3, bevel=0.8).at(reach * 0.72, 0, 0), on="pipe")
    b.add("drain", ball(radius * 0.45).at(0, radius * 0.9, side * 0.7), on="pipe")
    return b.assembly()


def _ring(count: int) -> list[float]:
    return [2 * np.pi * (k + 0.5) / count for k in range(count)]


def _flange(outer: float, bore: float, bolts: int) -> Solid:
    holes = [circle(2.8, (outer - 6) * np.cos(a), (outer - 6) * np.sin(a), segments=16) for a in _ring(bolts)]
    return prism(circle(outer), 9, [circle(bore, segments=32), *holes], bevel=0.8)


def _wheel(radius: float, spokes: int, x: float, z: float, z_stem: float) -> list[Solid]:
    angle = np.linspace(0, 2 * np.pi, 17)[:-1]
    rim = lathe([(radius + 3.2 * np.cos(a), 3.2 * np.sin(a)) for a in angle]).at(x, 0, z)
    bars = [union(cylinder(2.2, radius).turned("y", 90)).turned("z", float(np.degrees(a))).at(x, 0, z)
            for a in _ring(spokes)]
    return [rim, *bars, cylinder(3.4, z - z_stem + 4, bevel=0.5).at(x, 0, z_stem)]
