"""Collects the components of an assembly; families draw in millimetres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ptad_core.synthesis.assembly import Assembly, Component
from ptad_core.synthesis.shapes import Solid, sweep, union
from ptad_core.types import FloatArray

METRES_PER_MM = 1e-3


class Builder:
    """Components in the order in which they are added."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._components: list[Component] = []

    def add(self, name: str, *solids: Solid, on: str = "", sound: bool = False) -> None:
        """Add a component made of one or more solids in millimetres."""
        self._components.append(Component(name, union(*solids).scaled(METRES_PER_MM), on, sound))

    def assembly(self) -> Assembly:
        """Return what was added, standing on z = 0."""
        drawn = Assembly(self._family, tuple(self._components))
        low = float(drawn.solid.vertices[:, 2].min())
        if abs(low) < 1e-9:
            return drawn
        return replace(drawn, components=tuple(replace(c, solid=c.solid.at(0, 0, -low)) for c in drawn.components))


def on_ring(count: int, radius: float, start_deg: float = 0.0) -> list[tuple[float, float]]:
    """Return points (x, y) evenly spaced on a circle."""
    angle = np.radians(start_deg) + 2 * np.pi * np.arange(count) / count
    return [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angle]


def rod(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, segments: int = 20) -> Solid:
    """Return a straight round bar between two points."""
    path: FloatArray = np.array([start, end], dtype=np.float64)
    return sweep(path, radius, segments)


def chance(rng: np.random.Generator, share: float) -> bool:
    """Return true in a share 0..1 of all draws."""
    return bool(rng.random() < share)


def count(rng: np.random.Generator, least: int, most: int) -> int:
    """Draw a number between two, both included."""
    return int(rng.integers(least, most + 1))
