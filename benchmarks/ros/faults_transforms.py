"""Transforms that are absent, late, broken, or lie."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import Rig
from ptad_core.frames import make_transform
from ptad_core.synthesis.recording import CAMERA_FRAME, CELL_FRAME, PART_FRAME, PERIOD_NS
from ptad_core.types import Reason

FAMILY = "TF"


@fault(FAMILY, "the part's frame was never published")
def absent(rig: Rig) -> None:
    rig.set("tf.part_frame", "nowhere")
    try:
        rig.refuses(Reason.TF_MISSING)
        rig.told("TF_MISSING")
    finally:
        rig.set("tf.part_frame", PART_FRAME)


@fault(FAMILY, "the robot stops to publish")
def silent(rig: Rig) -> None:
    rig.refuses(Reason.TF_STALE, tf=False)


@fault(FAMILY, "late, but within its timeout")
def late(rig: Rig) -> None:
    at_ns = rig.send(tf=False, may_pass=True)
    time.sleep(0.1)
    rig.move(rig.scene.good.T_cell_camera, at_ns)
    rig.answer(at_ns)
    rig.note("waits, then inspects", "PASS")


@fault(FAMILY, "later than its timeout")
def too_late(rig: Rig) -> None:
    at_ns = rig.send(tf=False)
    rig.refuses(Reason.TF_STALE, at_ns=at_ns)
    rig.move(rig.scene.good.T_cell_camera, at_ns)


@fault(FAMILY, "a gap of seconds around the image")
def gap(rig: Rig) -> None:
    rig.now_ns += 2_000_000_000
    rig.move(rig.scene.good.T_cell_camera, rig.now_ns + 2_000_000_000)
    rig.refuses(Reason.TF_STALE, tf=False)
    rig.now_ns += 2_000_000_000


@fault(FAMILY, "jumps by 30 cm and 60 degrees")
def jumps(rig: Rig) -> None:
    turned = Rotation.from_euler("z", 60, degrees=True).as_matrix()
    at_ns = rig.now_ns + PERIOD_NS
    rig.move(rig.scene.good.T_cell_camera @ make_transform(turned, np.array([0.3, 0.0, 0.0])), at_ns)
    rig.refuses(Reason.SEED_CONTRADICTED, tf=False)


@fault(FAMILY, "camera hangs below another robot")
def disconnected(rig: Rig) -> None:
    rig.move(rig.scene.good.T_cell_camera, rig.now_ns + PERIOD_NS, "other_robot")
    rig.refuses(Reason.TF_MISSING, tf=False)


@fault(FAMILY, "frames form a loop")
def loop(rig: Rig) -> None:
    at_ns = rig.now_ns + PERIOD_NS
    rig.move(np.eye(4), at_ns, CAMERA_FRAME, CELL_FRAME)
    try:
        rig.refuses(Reason.TF_MISSING)
    finally:  # the loop lies in the past of what comes now, on a static frame that holds
        rig.move(np.eye(4), at_ns, "world", CELL_FRAME, static=True)
        rig.hold_part()


def _broken(name: str, edit: Callable[[Any], None]) -> None:
    @fault(FAMILY, name)
    def broken(rig: Rig) -> None:
        rig.move(rig.scene.good.T_cell_camera, rig.now_ns + PERIOD_NS, edit=edit)
        rig.refuses(Reason.TF_STALE, tf=False)


def _not_a_number(transform: Any) -> None:
    transform.transform.translation.x = float("nan")


def _no_rotation(transform: Any) -> None:
    q = transform.transform.rotation
    q.x = q.y = q.z = q.w = 0.0


_broken("NaN in a translation", _not_a_number)
_broken("a quaternion of zeros", _no_rotation)


@fault(FAMILY, "a fixture moved by 8 cm")
def fixture_moved(rig: Rig) -> None:
    T = rig.scene.T_cell_part.copy()
    T[0, 3] += 0.08
    rig.move(T, rig.now_ns, CELL_FRAME, PART_FRAME, static=True)
    time.sleep(0.3)
    try:
        rig.refuses(Reason.SEED_CONTRADICTED)
        rig.told("SEED_CONTRADICTED")
    finally:
        rig.hold_part()
        time.sleep(0.3)
