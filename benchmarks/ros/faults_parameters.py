"""Parameters that are changed while the cell runs, to what they must not be."""

from __future__ import annotations

from typing import Any

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import NotAnsweredError, Rig
from ptad_core.types import Reason

FAMILY = "parameter"


def _refused(name: str, parameter: str, value: Any, words: str) -> None:
    @fault(FAMILY, name)
    def refused(rig: Rig) -> None:
        taken, reason = rig.set(parameter, value)
        if taken or words not in reason:
            raise NotAnsweredError(f"expected that {parameter} is refused with {words!r}, got "
                                   f"{'it taken' if taken else repr(reason)}")
        rig.note("refused with the reason, the old value holds", reason)


_refused("below its range", "detection.tolerance_mm", -3.0, "detection.tolerance_mm")
_refused("not a number", "detection.tolerance_mm", float("nan"), "detection.tolerance_mm")
_refused("of another type", "pose.hypotheses", "many", "expected")
_refused("none of the choices", "segmentation.method", "magic", "expected one of")
_refused("list of another length", "segmentation.hsv_low", [1, 2], "expected 3 values")
_refused("unknown name", "segmentation.metod", "auto", "segmentation.metod")
_refused("part changed while it is in use", "part.cad", "other.stl", "cannot change while")


@fault(FAMILY, "within its range, but no object is as large")
def too_strict(rig: Rig) -> None:
    taken, reason = rig.set("segmentation.min_area_px", 10_000_000)
    if not taken:
        raise NotAnsweredError(f"expected that it is taken, got {reason!r}")
    try:
        rig.refuses(Reason.NO_OBJECT)
        rig.told("NO_OBJECT")
    finally:
        rig.set("segmentation.min_area_px", 400)


@fault(FAMILY, "a method that lacks what it needs")
def no_background(rig: Rig) -> None:
    taken, reason = rig.set("segmentation.method", "background")
    try:
        if taken:
            rig.refuses(Reason.MASK_UNRELIABLE, Reason.NO_OBJECT, Reason.INTERNAL_ERROR)
        else:
            rig.note("refused by name, the old value holds", reason)
    finally:
        rig.set("segmentation.method", "auto")


@fault(FAMILY, "changed with every image")
def restless(rig: Rig) -> None:
    for tolerance_mm in (2.9, 3.1, 2.8, 3.0):
        rig.set("detection.tolerance_mm", tolerance_mm)
        rig.passes()
    rig.note("holds from the next image on", "PASS")
