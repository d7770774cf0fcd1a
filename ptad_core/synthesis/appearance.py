"""How a scene looks: materials of the components, ground and background, light, camera; four looks to draw from.

``CELL`` is a tidy cell: a coloured part on a grey table under two lamps. ``TRAIN`` and ``TEST`` vary far more, and
share no pattern of a surface, no kind of textured background and no arrangement of lamps: what is learned from one is
judged on the other. ``WIDE`` is ``TRAIN`` and more of everything, for pairs that networks learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.backgrounds import Background, backdrop_for, draw_background
from ptad_core.synthesis.lighting import Lighting, draw_further_light, draw_lighting, draw_raking_light, draw_room_light
from ptad_core.synthesis.sensor import Sensor, draw_any_sensor, draw_further_sensor, draw_sensor
from ptad_core.synthesis.table import Table, draw_table
from ptad_core.synthesis.textures import (
    FURTHER_PATTERNS,
    LEARNED_PATTERNS,
    UNSEEN_PATTERNS,
    Material,
    Noise,
    Pattern,
    draw_any_material,
    draw_material,
    draw_palette,
)

NO_TABLE = 0.25
"""Share of wild looks in which the part hangs before its background."""


class Look(StrEnum):
    """What appearances are drawn from."""

    CELL = "cell"
    TRAIN = "train"
    TEST = "test"
    WIDE = "wide"


_PATTERNS: Mapping[Look, Sequence[Pattern]] = {
    Look.TRAIN: LEARNED_PATTERNS, Look.TEST: UNSEEN_PATTERNS, Look.WIDE: (*LEARNED_PATTERNS, *FURTHER_PATTERNS)}


@dataclass(frozen=True, slots=True)
class Appearance:
    """Everything that changes the picture but not the shape.

    Attributes:
        materials: by the component's name.
        table: what the part stands on; None where it hangs free.
        lighting, sensor: light and camera.
        noise: that textures are made from.
        background: what is seen where there is neither part nor table; None for the table's colour.
    """

    materials: Mapping[str, Material]
    table: Table | None
    lighting: Lighting
    sensor: Sensor
    noise: Noise
    background: Background | None = None


def draw_materials(rng: np.random.Generator, assembly: Assembly) -> Mapping[str, Material]:
    """Draw a material for each component, all from one small palette."""
    hues = draw_palette(rng)
    return {c.name: draw_material(rng, hues) for c in assembly.components}


def draw_appearance(rng: np.random.Generator, assembly: Assembly, look: Look = Look.CELL, *,
                    table: bool | None = None) -> Appearance:
    """Draw materials for the components, what they stand on or hang before, lamps and a camera.

    ``table`` says whether the part stands on one; None leaves it to chance (a cell always has one).
    """
    if look is Look.CELL:
        return Appearance(draw_materials(rng, assembly), draw_table(rng), draw_lighting(rng), draw_sensor(rng),
                          Noise(rng))
    unseen, wide = look is Look.TEST, look is Look.WIDE
    materials = _any_materials(rng, assembly, _PATTERNS[look])
    lighting = (draw_raking_light if unseen else draw_further_light if wide else draw_room_light)(rng)
    background = draw_background(rng, unseen, wide)
    standing = rng.random() > NO_TABLE if table is None else table
    ground = Table.of(draw_background(rng, unseen, wide), float(rng.uniform(30, 110))) if standing else None
    sensor = draw_further_sensor(rng) if wide else draw_any_sensor(rng)
    return Appearance(materials, ground, lighting, sensor, Noise(rng), background)


def before_backdrop(appearance: Appearance) -> Appearance:
    """Return the look with the part hanging before a plain backdrop that it stands out from, lit or in shade."""
    colours = np.array([c for m in appearance.materials.values() for c in (m.colour, m.second)])
    return replace(appearance, table=None, background=backdrop_for(colours))


def _any_materials(rng: np.random.Generator, assembly: Assembly, patterns: Sequence[Pattern]) -> Mapping[str, Material]:
    """One material for all as cast and printed parts have, a few that take turns, or one for each."""
    names = [c.name for c in assembly.components]
    many = int(rng.choice([1, 3, len(names)], p=[0.3, 0.3, 0.4]))
    drawn = [draw_any_material(rng, patterns) for _ in range(many)]
    turns = rng.integers(many, size=len(names)) if many < len(names) else np.arange(len(names))
    return {name: drawn[int(k)] for name, k in zip(names, turns, strict=True)}
