"""CameraInfo that is absent, late, or of another camera."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import Edit, Rig
from ptad_core.types import Reason

FAMILY = "CameraInfo"


@fault(FAMILY, "never came", own_cell=True)
def absent(rig: Rig) -> None:
    rig.restart(warm=False)  # the one before knows the camera
    rig.refuses(Reason.CAMERA_INFO_MISSING, info=False)


@fault(FAMILY, "of another camera's frame", own_cell=True)
def other_frame(rig: Rig) -> None:
    rig.restart(warm=False)
    rig.refuses(Reason.CAMERA_INFO_MISSING, info=lambda i: setattr(i.header, "frame_id", "other_camera"))


@fault(FAMILY, "late, but within its timeout")
def late(rig: Rig) -> None:
    at_ns = rig.send(info=False, may_pass=True)
    time.sleep(0.08)
    rig.send_info(at_ns)
    rig.answer(at_ns)
    rig.note("waits, then inspects", "PASS")


@fault(FAMILY, "stops while images go on")
def stops(rig: Rig) -> None:
    for _ in range(3):
        rig.passes(info=False)
    rig.note("the last one of the camera holds", "PASS")


def _spoilt(name: str, edit: Edit, reason: Reason) -> None:
    @fault(FAMILY, name)
    def spoilt(rig: Rig) -> None:
        rig.refuses(reason, info=edit)


def _set(**values: Any) -> Edit:
    def edit(info: Any) -> None:
        for name, value in values.items():
            setattr(info, name, value)
    return edit


_spoilt("K of zeros: never calibrated", _set(k=np.zeros(9)), Reason.BAD_INTRINSICS)
_spoilt("NaN in K", _set(k=np.full(9, np.nan)), Reason.BAD_INTRINSICS)
_spoilt("negative focal length", _set(k=np.array([-600.0, 0, 320, 0, -600, 240, 0, 0, 1])), Reason.BAD_INTRINSICS)
_spoilt("distortion of infinity", _set(d=[np.inf, 0.0, 0.0, 0.0, 0.0]), Reason.BAD_INTRINSICS)
_spoilt("seven distortion coefficients", _set(d=[0.1] * 7), Reason.BAD_INTRINSICS)
_spoilt("unknown distortion model", _set(d=[0.1] * 5, distortion_model="magic"), Reason.BAD_INTRINSICS)
_spoilt("of another resolution", _set(width=1280, height=960), Reason.SIZE_MISMATCH)


@fault(FAMILY, "focal length of another lens")
def other_lens(rig: Rig) -> None:
    def zoom(info: Any) -> None:
        K = np.array(info.k).reshape(3, 3)
        K[[0, 1], [0, 1]] *= 1.5
        info.k = K.ravel()

    rig.refuses(Reason.SEED_CONTRADICTED, Reason.POSE_UNTRUSTED, Reason.POSE_NOT_FOUND, info=zoom)
