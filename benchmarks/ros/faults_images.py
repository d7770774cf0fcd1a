"""Images that are not what their header says, or show nothing that can be judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import NotAnsweredError, Rig
from benchmarks.ros.scene import Shot
from ptad_core.types import ColorImage, Reason, Verdict
from ptad_ros.images import image_message

FAMILY = "image"


def cut(message: Any) -> None:
    """Lose the last bytes."""
    message.data = bytes(message.data)[:-message.step // 2]


def become_float(message: Any) -> None:
    """Turn an image into one of floats, all NaN."""
    nothing = np.full((message.height, message.width), np.nan, np.float32)
    floats = image_message(nothing, "32FC1", message.header)
    message.encoding, message.step, message.data = floats.encoding, floats.step, floats.data


def become_thermal(message: Any) -> None:
    """State an encoding that nobody knows."""
    message.encoding = "thermal_x"


SPOILT = (cut, become_float, become_thermal)
"""What a camera on its way out sends now and then."""


@fault(FAMILY, "data end before step * height")
def short_data(rig: Rig) -> None:
    rig.refuses(Reason.IMAGE_CORRUPT, image=cut)


@fault(FAMILY, "no data at all")
def no_data(rig: Rig) -> None:
    rig.refuses(Reason.IMAGE_CORRUPT, image=lambda m: setattr(m, "data", b""))


@fault(FAMILY, "step shorter than a row")
def short_step(rig: Rig) -> None:
    rig.refuses(Reason.IMAGE_CORRUPT, image=lambda m: setattr(m, "step", m.step // 3))


@fault(FAMILY, "step longer than the data allow")
def long_step(rig: Rig) -> None:
    rig.refuses(Reason.IMAGE_CORRUPT, image=lambda m: setattr(m, "step", m.step + 64))


@fault(FAMILY, "width and height of zero")
def zero_size(rig: Rig) -> None:
    def shrink(message: Any) -> None:
        message.width = message.height = 0

    rig.refuses(Reason.IMAGE_CORRUPT, image=shrink)


@fault(FAMILY, "header states gigapixels")
def huge_size(rig: Rig) -> None:
    def grow(message: Any) -> None:
        message.width = message.height = message.step = 2**32 - 1

    rig.refuses(Reason.IMAGE_TOO_LARGE, image=grow)


@fault(FAMILY, "unknown encoding")
def unknown_encoding(rig: Rig) -> None:
    rig.refuses(Reason.BAD_ENCODING, image=become_thermal)


@fault(FAMILY, "float image full of NaN")
def nan_image(rig: Rig) -> None:
    rig.refuses(Reason.BAD_ENCODING, image=become_float)


@fault(FAMILY, "camera changes its encoding")
def other_encoding(rig: Rig) -> None:
    def become_rgb(message: Any) -> None:
        picture = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)
        message.encoding, message.data = "rgb8", picture[..., ::-1].tobytes()

    rig.passes("inspected as before", image=become_rgb)


@fault(FAMILY, "encoding says colour, data are grey")
def wrong_encoding(rig: Rig) -> None:
    def become_grey(message: Any) -> None:
        picture = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)
        message.step, message.data = message.width, picture[..., 1].tobytes()

    rig.refuses(Reason.IMAGE_CORRUPT, image=become_grey)


@fault(FAMILY, "camera changes its size, CameraInfo does not")
def other_size(rig: Rig) -> None:
    small = cv2.resize(rig.scene.good.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    rig.refuses(Reason.SIZE_MISMATCH, shot=_showing(rig, small))


@fault(FAMILY, "camera changes size and CameraInfo to half")
def half_size(rig: Rig) -> None:
    small = cv2.resize(rig.scene.good.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    camera = rig.scene.camera.scaled(0.5, small.shape[1], small.shape[0])

    def calibrated(info: Any) -> None:
        info.width, info.height = camera.width, camera.height
        info.k = camera.K.ravel()

    # Half the pixels show half as little: either it is judged within its tolerance, or said to be too coarse.
    result = rig.answer(rig.send(_showing(rig, small), info=calibrated, may_pass=True))
    if result.verdict != Verdict.PASS and list(result.reasons) != [Reason.TOO_COARSE]:
        raise NotAnsweredError(f"expected PASS or TOO_COARSE, got {list(result.reasons)}: {result.message!r}")
    rig.note("inspected, or `TOO_COARSE`", result.message or "PASS")


@fault(FAMILY, "lens covered: black")
def black(rig: Rig) -> None:
    rig.refuses(Reason.NO_OBJECT, Reason.MASK_UNRELIABLE, shot=_showing(rig, np.zeros_like(rig.scene.good.image)))


@fault(FAMILY, "overexposed: white")
def white(rig: Rig) -> None:
    rig.refuses(Reason.NO_OBJECT, Reason.MASK_UNRELIABLE, shot=_showing(rig, np.full_like(rig.scene.good.image, 255)))


@fault(FAMILY, "noise instead of a picture")
def noise(rig: Rig) -> None:
    picture = np.random.default_rng(0).integers(0, 256, rig.scene.good.image.shape, np.uint8)
    result = rig.answer(rig.send(_showing(rig, picture)))
    if result.verdict != Verdict.CANNOT_INSPECT:
        raise NotAnsweredError(f"expected CANNOT_INSPECT, got {Verdict(result.verdict).name}")
    rig.note("CANNOT_INSPECT, by what the mask looks like", f"{Reason(result.reasons[0]).name}: {result.message}")


@fault(FAMILY, "lower half was never transferred")
def half_grey(rig: Rig) -> None:
    picture = rig.scene.good.image.copy()
    picture[picture.shape[0] // 2:] = 128
    result = rig.answer(rig.send(_showing(rig, picture)))
    if result.verdict == Verdict.PASS:
        raise NotAnsweredError("expected no PASS")
    rig.note("CANNOT_INSPECT or FAIL", f"{Verdict(result.verdict).name}: {result.message}")


@fault(FAMILY, "image mirrored")
def mirrored(rig: Rig) -> None:
    result = rig.answer(rig.send(_showing(rig, rig.scene.good.image[:, ::-1])))
    if result.verdict == Verdict.PASS:
        raise NotAnsweredError("expected no PASS")
    rig.note("CANNOT_INSPECT or FAIL", f"{Verdict(result.verdict).name}: {result.message}")


@fault(FAMILY, "the fixture is empty")
def empty(rig: Rig) -> None:
    rig.refuses(Reason.NO_OBJECT, shot=rig.scene.shots["empty"][0])


@fault(FAMILY, "the same stamp twice")
def same_stamp(rig: Rig) -> None:
    at_ns = rig.send(may_pass=True)
    rig.answer(at_ns)
    rig.send(may_pass=True, at_ns=at_ns)
    rig.wait(lambda: len(rig.answers[at_ns]) == 2, 10.0, "a second answer")
    rig.note("both are inspected", "PASS, PASS")


def _showing(rig: Rig, picture: ColorImage) -> Shot:
    return replace(rig.scene.good, image=np.ascontiguousarray(picture), truth="spoilt")
