"""Families of shapes: each draws an assembly of its kind, with other proportions for each generator state.

A family is registered here and nowhere else; whoever needs shapes takes them from :data:`FAMILIES`. Detectors are
trained, chosen and judged on different families: :data:`SPLIT` is fixed, and test families are never learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.actuator import actuator
from ptad_core.synthesis.families.animal import animal
from ptad_core.synthesis.families.bench import bench
from ptad_core.synthesis.families.bicycle import bicycle
from ptad_core.synthesis.families.boat import boat
from ptad_core.synthesis.families.bracket import bracket
from ptad_core.synthesis.families.bridge import bridge
from ptad_core.synthesis.families.cabinet import cabinet
from ptad_core.synthesis.families.casting import casting
from ptad_core.synthesis.families.chair import chair
from ptad_core.synthesis.families.circuit_board import circuit_board
from ptad_core.synthesis.families.composite import composite
from ptad_core.synthesis.families.console import console
from ptad_core.synthesis.families.contraption import contraption
from ptad_core.synthesis.families.dispenser import dispenser
from ptad_core.synthesis.families.flanged_pipe import flanged_pipe
from ptad_core.synthesis.families.frame import frame
from ptad_core.synthesis.families.gear_motor import gear_motor
from ptad_core.synthesis.families.gear_train import gear_train
from ptad_core.synthesis.families.grinder import grinder
from ptad_core.synthesis.families.hinge import hinge
from ptad_core.synthesis.families.housing import housing
from ptad_core.synthesis.families.lamp import lamp
from ptad_core.synthesis.families.plane import plane
from ptad_core.synthesis.families.pot import pot
from ptad_core.synthesis.families.pump import pump
from ptad_core.synthesis.families.shelf import shelf
from ptad_core.synthesis.families.stool import stool
from ptad_core.synthesis.families.table import table
from ptad_core.synthesis.families.truck import truck
from ptad_core.synthesis.families.valve import valve
from ptad_core.synthesis.families.violin import violin
from ptad_core.synthesis.families.vise import vise

Family = Callable[[np.random.Generator], Assembly]

FAMILIES: Mapping[str, Family] = MappingProxyType({family.__name__: family for family in (
    gear_motor, chair, flanged_pipe, housing, bench, table, bracket, gear_train, frame, dispenser, grinder, hinge,
    actuator, valve, composite, stool, pump, shelf, lamp, circuit_board, truck, contraption, animal, boat, plane,
    bicycle, bridge, cabinet, casting, console, vise, pot, violin)})

SPLIT: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "train": ("gear_motor", "chair", "flanged_pipe", "housing", "bench", "table", "bracket", "gear_train", "frame",
              "dispenser", "grinder", "hinge", "actuator", "valve", "composite", "contraption", "animal", "boat",
              "plane", "bicycle", "bridge", "cabinet", "casting", "console", "vise", "pot", "violin"),
    "validation": ("stool", "pump"),
    "test": ("shelf", "lamp", "circuit_board", "truck"),
})
"""Which families detectors are trained on, chosen on and judged on. Moving one makes published figures void."""

__all__ = ["FAMILIES", "SPLIT", "Family"]
