"""Collects the components of an assembly; families draw in millimetres."""

from __future__ import annotations

from ptad_core.synthesis.assembly import Assembly, Component
from ptad_core.synthesis.shapes import Solid, union

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
        """Return what was added."""
        return Assembly(self._family, tuple(self._components))
