"""An electronics housing: tray, lid, cooling fins, cable glands, plug, display bezel and lugs."""

from __future__ import annotations

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder
from ptad_core.synthesis.shapes import Solid, ball, box, circle, cylinder, prism, rectangle


def housing(rng: np.random.Generator) -> Assembly:
    """Draw a housing of about 150 x 100 x 70 mm."""
    width, depth, height = rng.uniform(130, 160), rng.uniform(85, 110), rng.uniform(38, 55)
    corner = rng.uniform(4, 14)
    lid = rng.uniform(6, 10)
    b = Builder("housing")
    b.add("tray", prism(rectangle(width, depth, corner), height, bevel=1.2), sound=True)
    b.add("lid", prism(rectangle(width + 4, depth + 4, corner + 2), lid, bevel=1.5).at(0, 0, height), on="tray",
          sound=True)
    top = height + lid
    fins = int(rng.integers(4, 8))
    x_fins = -width * 0.2
    b.add("heat_sink", box(width * 0.42, depth * 0.62, 4).at(x_fins, 0, top),
          *(box(3.2, depth * 0.62, 18, bevel=0.5).at(x_fins + dx, 0, top + 3)
            for dx in np.linspace(-width * 0.19, width * 0.19, fins)), on="lid")
    b.add("display", prism(rectangle(width * 0.28, depth * 0.4, 3), 6, [rectangle(width * 0.22, depth * 0.3, 2)],
                           bevel=0.8).at(width * 0.26, depth * 0.17, top),
          box(width * 0.24, depth * 0.33, 2.5).at(width * 0.26, depth * 0.17, top), on="lid")
    b.add("knob", cylinder(rng.uniform(8, 11), 14, bevel=1.5, segments=32).at(width * 0.3, -depth * 0.28, top),
          on="lid")
    for k, y in enumerate(np.linspace(-depth * 0.28, depth * 0.28, int(rng.integers(2, 4)))):
        b.add(f"gland_{k}", _gland(rng.uniform(7, 10)).lying().at(width / 2 - 1, y, height * 0.45), on="tray")
    b.add("plug", box(rng.uniform(26, 36), 16, 20, corner=3, bevel=1).at(-width * 0.22, -depth / 2 - 6, height * 0.3),
          cylinder(6, 8, bevel=0.8).turned("x", 90).at(-width * 0.22, -depth / 2 - 13, height * 0.3 + 10), on="tray")
    lug = prism(rectangle(20, 22, 6), 6, [circle(3.4, 4, 0, segments=24)], bevel=0.8)
    b.add("lug_right", lug.at(width / 2 + 8, depth * 0.32, 0), on="tray")
    b.add("lug_left", lug.turned("z", 180).at(-width / 2 - 8, -depth * 0.22, 0), on="tray")
    b.add("antenna", cylinder(5, 10, bevel=0.8).at(-width / 2 + 12, depth / 2 - 12, top),
          cylinder(2.4, rng.uniform(34, 50)).at(-width / 2 + 12, depth / 2 - 12, top + 8), on="lid")
    b.add("lamp", ball(6).at(width * 0.08, -depth * 0.34, top - 2), on="lid")
    return b.assembly()


def _gland(radius: float) -> Solid:
    return prism(circle(radius, segments=6), 14, [circle(radius * 0.5, segments=24)], bevel=0.8)
