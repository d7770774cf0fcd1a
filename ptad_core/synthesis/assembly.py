"""An assembly of named components, each a closed solid in its place, and its CAD file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptad_core.config import UNITS_IN_METRES
from ptad_core.synthesis.shapes import Solid, union


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of an assembly.

    Attributes:
        name: unique within the assembly; the name of its group in the CAD file.
        solid: in metres, in the assembly's frame.
        on: the component that carries it, '' for what stands by itself. It moves and goes with its carrier.
        sound: never missing, moved, broken or swapped (the body that everything else is mounted on, small screws).
    """

    name: str
    solid: Solid
    on: str = ""
    sound: bool = False


@dataclass(frozen=True)
class Assembly:
    """Components that make a part to be inspected; z is up and the intact part stands on z = 0."""

    family: str
    components: tuple[Component, ...]

    def __getitem__(self, name: str) -> Component:
        return next(c for c in self.components if c.name == name)

    def carried_by(self, name: str) -> frozenset[str]:
        """Return a component's name with the names of all that it carries."""
        names = {name}
        while more := {c.name for c in self.components if c.on in names} - names:
            names |= more
        return frozenset(names)

    def without(self, names: frozenset[str]) -> Assembly:
        """Return the assembly less some components."""
        return replace(self, components=tuple(c for c in self.components if c.name not in names))

    def with_solid(self, name: str, solid: Solid) -> Assembly:
        """Return the assembly with one component's shape exchanged."""
        return replace(self, components=tuple(
            replace(c, solid=solid) if c.name == name else c for c in self.components))

    @cached_property
    def solid(self) -> Solid:
        """All components in one mesh, in their order."""
        return union(*(c.solid for c in self.components))

    @cached_property
    def component_of_face(self) -> NDArray[np.int64]:
        """(m,) index of the component that each face of :attr:`solid` belongs to."""
        return np.repeat(np.arange(len(self.components)), [len(c.solid.faces) for c in self.components])

    @cached_property
    def diameter_m(self) -> float:
        """Diagonal of the bounding box."""
        return float(np.linalg.norm(self.solid.extent))


def write_obj(assembly: Assembly, path: Path, unit: str = "mm") -> None:
    """Write the assembly as an OBJ file with one group per component, in the given unit."""
    factor = 1.0 / UNITS_IN_METRES[unit]
    lines = [f"# {assembly.family}, lengths in {unit}"]
    start = 1
    for component in assembly.components:
        lines.append(f"g {component.name}")
        lines += [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in component.solid.vertices * factor]
        lines += [f"f {a} {b} {c}" for a, b, c in component.solid.faces + start]
        start += len(component.solid.vertices)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
