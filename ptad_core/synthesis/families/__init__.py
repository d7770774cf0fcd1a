"""Families of shapes: each draws an assembly of its kind, with other proportions for each generator state.

A family is registered here and nowhere else; whoever needs shapes takes them from :data:`FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.chair import chair
from ptad_core.synthesis.families.flanged_pipe import flanged_pipe
from ptad_core.synthesis.families.gear_motor import gear_motor
from ptad_core.synthesis.families.housing import housing

Family = Callable[[np.random.Generator], Assembly]

FAMILIES: Mapping[str, Family] = MappingProxyType({
    "gear_motor": gear_motor,
    "chair": chair,
    "flanged_pipe": flanged_pipe,
    "housing": housing,
})

__all__ = ["FAMILIES", "Family"]
