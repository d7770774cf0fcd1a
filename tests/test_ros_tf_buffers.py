"""One suite for both transform buffers: tf2's where it is installed (here a stand-in with its interface), and ours."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ptad_core.evaluation.messages import feed_transforms
from ptad_core.frames import invert, make_transform, rotation_exp
from ptad_core.transforms import TransformBuffer, TransformMissingError, TransformStaleError
from ptad_ros import tf
from ptad_ros.messages import transform_message

S = 1_000_000_000


class TransformError(Exception):
    """tf2's exceptions, as far as they are told apart."""


class ExtrapolationError(TransformError):
    pass


class StandIn:
    """tf2's buffer as a node sees it: it interpolates across any gap, and its errors are its own."""

    def __init__(self) -> None:
        self._buffer = TransformBuffer()

    def set_transform(self, item: Any, _authority: str) -> None:
        if problems := feed_transforms(self._buffer, TFMessage(transforms=[item]), static=False):
            raise TransformError(problems[0])

    def set_transform_static(self, item: Any, _authority: str) -> None:
        if problems := feed_transforms(self._buffer, TFMessage(transforms=[item]), static=True):
            raise TransformError(problems[0])

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        try:
            T = self._buffer.lookup(target, source, time.nanoseconds)
        except TransformStaleError as error:
            where = "past" if error.ahead_s < 0 else "future"
            raise ExtrapolationError(f"Lookup would require extrapolation into the {where}") from error
        except TransformMissingError as error:
            raise TransformError(str(error)) from error
        return transform_message(T, Header(frame_id=target), source)

    def clear(self) -> None:
        self._buffer.clear()


@pytest.fixture(params=["ours", "tf2"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tf.Transforms]:
    if request.param == "ours":
        return tf.OwnTransforms
    if tf.tf2_ros is None:
        monkeypatch.setattr(tf, "tf2_ros", SimpleNamespace(Buffer=StandIn, TransformException=TransformError,
                                                           ExtrapolationException=ExtrapolationError))
    return tf.Tf2Transforms


def put(buffer: tf.Transforms, parent: str, child: str, t_s: float, x: float = 0.0, static: bool = False) -> list[str]:
    ns = round(t_s * S)
    header = Header(frame_id=parent, stamp=Time(sec=ns // S, nanosec=ns % S))
    T = make_transform(rotation_exp(np.array([0.0, 0.0, x])), np.array([x, 0.0, 0.0]))
    return buffer.feed(TFMessage(transforms=[transform_message(T, header, child)]), static)


def test_interpolates_at_the_stamp_through_moving_and_static_links(make: Callable[[float], tf.Transforms]) -> None:
    buffer = make(1.0)
    put(buffer, "cell", "camera", 1.0, 0.0)
    put(buffer, "cell", "camera", 2.0, 0.4)
    put(buffer, "cell", "part", 0.0, 0.3, static=True)
    T_cell_camera = make_transform(rotation_exp(np.array([0.0, 0.0, 0.1])), np.array([0.1, 0.0, 0.0]))
    T_cell_part = make_transform(rotation_exp(np.array([0.0, 0.0, 0.3])), np.array([0.3, 0.0, 0.0]))
    found = buffer.lookup("camera", "part", round(1.25 * S))
    np.testing.assert_allclose(found, invert(T_cell_camera) @ T_cell_part, atol=1e-6)


@pytest.mark.parametrize(("at_s", "ahead"), [(0.5, False), (2.5, True)])
def test_never_extrapolates(make: Callable[[float], tf.Transforms], at_s: float, ahead: bool) -> None:
    buffer = make(1.0)
    put(buffer, "cell", "camera", 1.0)
    put(buffer, "cell", "camera", 2.0)
    with pytest.raises(TransformStaleError) as caught:
        buffer.lookup("cell", "camera", round(at_s * S))
    assert (caught.value.ahead_s > 0) == ahead


def test_nothing_is_interpolated_across_a_long_gap(make: Callable[[float], tf.Transforms]) -> None:
    buffer, lenient = make(1.0), make(0.0)
    for each in (buffer, lenient):
        put(each, "cell", "camera", 1.0, 0.0)
        put(each, "cell", "camera", 3.0, 0.2)
        put(each, "part", "fixture", 0.0, static=True)
        put(each, "cell", "part", 0.0, static=True)
    for frames in (("cell", "camera"), ("camera", "cell"), ("camera", "fixture")):
        with pytest.raises(TransformStaleError, match=r"gap of 2\.000 s") as caught:
            buffer.lookup(*frames, 2 * S)
        assert caught.value.ahead_s < 0  # waiting does not help
    assert buffer.lookup("cell", "camera", 3 * S)[0, 3] == pytest.approx(0.2)
    assert buffer.lookup("cell", "fixture", 2 * S)[0, 3] == pytest.approx(0.0)  # not on the way
    assert lenient.lookup("cell", "camera", 2 * S)[0, 3] == pytest.approx(0.1)


def test_frames_that_are_not_connected(make: Callable[[float], tf.Transforms]) -> None:
    buffer = make(1.0)
    with pytest.raises(TransformMissingError):
        buffer.lookup("cell", "camera", S)
    put(buffer, "cell", "camera", 1.0)
    with pytest.raises(TransformMissingError):
        buffer.lookup("camera", "part", S)


def test_a_damaged_transform_is_named_and_left_out(make: Callable[[float], tf.Transforms]) -> None:
    buffer = make(1.0)
    (said,) = put(buffer, "cell", "cell", 1.0)
    assert "cell -> cell" in said
    message = TFMessage(transforms=[transform_message(np.eye(4), Header(frame_id="cell"), "camera")])
    message.transforms[0].transform.rotation.w = float("nan")
    assert len(buffer.feed(message, static=False)) == 1
    with pytest.raises(TransformMissingError):
        buffer.lookup("cell", "camera", 0)


def test_clearing_forgets_what_moves(make: Callable[[float], tf.Transforms]) -> None:
    buffer = make(1.0)
    put(buffer, "cell", "camera", 1.0)
    put(buffer, "cell", "part", 0.0, 0.3, static=True)
    buffer.clear()
    with pytest.raises((TransformMissingError, TransformStaleError)):
        buffer.lookup("cell", "camera", S)
    assert buffer.lookup("cell", "part", S)[0, 3] == pytest.approx(0.3)
