"""What the benchmark looks at: assemblies with their reference, exact renderer and declared symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.pose import shapes
from ptad_core.config import ReferenceConfig
from ptad_core.errors import MeshError
from ptad_core.reference import load_mesh
from ptad_core.reference.build import Reference, reference_from_mesh
from ptad_core.reference.mesh import SUFFIXES, PartMesh, check_mesh
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.parts import patches

OWN = {
    "table": (shapes.table, ""),
    "bracket": (shapes.bracket, ""),
    "hook": (shapes.hook, ""),
    "angle_profile": (shapes.angle_profile, ""),
    "wheel": (shapes.wheel, "axis=z order=5"),
    "drill": (shapes.drill, ""),
    "bottle": (shapes.bottle, "axis=z order=inf"),
    "block": (shapes.block, "axis=z order=2; axis=x order=2"),
    "lamp": (shapes.lamp, ""),
    "crank": (shapes.crank, ""),
    "sheet": (shapes.sheet, ""),
}
DRAWN = ("gear_motor", "chair", "flanged_pipe", "housing")
"""The families of the synthesis that the benchmark looks at; fixed, so that its figures keep their meaning."""


@dataclass(frozen=True, eq=False)
class BenchObject:
    """An object of the benchmark; its reference is built on first use and cached on disk."""

    assembly: Assembly
    symmetry: str
    config: ReferenceConfig

    @property
    def name(self) -> str:
        return self.assembly.family

    @property
    def asymmetric(self) -> bool:
        return not self.symmetry

    @property
    def turns_freely(self) -> bool:
        """Whether an angle about an axis cannot be seen at all."""
        return "inf" in self.symmetry

    @cached_property
    def mesh(self) -> PartMesh:
        return check_mesh(self.assembly.solid.vertices, self.assembly.solid.faces, self.name)

    @cached_property
    def reference(self) -> Reference:
        return reference_from_mesh(self.mesh, self.name, self.config, self.symmetry)

    @cached_property
    def renderer(self) -> ExactRenderer:
        return ExactRenderer(self.assembly.solid.vertices, self.assembly.solid.faces)


def generated(seed: int, config: ReferenceConfig | None = None) -> list[BenchObject]:
    """Return the generated objects: one draw of each family of the synthesis, and the benchmark's own."""
    config = config or ReferenceConfig()
    drawn = [FAMILIES[name](np.random.default_rng([seed, k])) for k, name in enumerate(DRAWN)]
    own = [(make(), symmetry) for make, symmetry in OWN.values()]
    return [BenchObject(assembly, symmetry, config) for assembly, symmetry in [*((a, "") for a in drawn), *own]]


def from_folder(folder: Path, unit: str, config: ReferenceConfig | None = None) -> list[BenchObject]:
    """Return every mesh below a folder, divided into portions; ``<stem>.symmetry`` beside it may declare a symmetry.

    Raises:
        MeshError: if there is no mesh below the folder.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise MeshError(f"{folder}: expected meshes ({', '.join(SUFFIXES)}), found none")
    objects = []
    for path in paths:
        declared = path.with_suffix(".symmetry")
        symmetry = declared.read_text(encoding="utf-8").strip() if declared.is_file() else ""
        mesh = load_mesh(path, unit)
        objects.append(BenchObject(patches(mesh, path.stem), symmetry, config or ReferenceConfig()))
    return objects
