"""Recorded computations, with a stand-in for CUDA's graphs: what is copied in, replayed, copied out, kept and dropped.

The stand-in obeys the rules of a graph: it computes from the tensors that it was recorded with, into the same ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from

from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.query import Query, make_query
from ptad_core.reference import Reference
from ptad_core.types import FloatArray

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu import recordings  # noqa: E402 - torch first
from ptad_core.gpu.recordings import Recordings, Tensors  # noqa: E402
from ptad_core.gpu.refine import DeviceRefiner  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


class Recorder:
    """Counts recordings and replays."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        self.recorded += 1
        outputs = tuple(torch.full_like(t, 99) for t in compute())

        def replay() -> None:
            self.replayed += 1
            for kept, new in zip(outputs, compute(), strict=True):
                kept.copy_(new)

        return outputs, replay


def twice(tensors: Tensors) -> Tensors:
    return (2 * tensors[0],)


def test_recorded_once_for_each_shape_and_key_and_replayed_on_what_is_given() -> None:
    recorder = Recorder()
    kept = Recordings(CPU, recorder)
    first = kept.run("a", twice, (torch.tensor([1.0, 2.0]),))[0]
    second = kept.run("a", twice, (torch.tensor([5.0, 7.0]),))[0]
    assert first.tolist() == [2.0, 4.0] and second.tolist() == [10.0, 14.0]
    assert (recorder.recorded, recorder.replayed) == (1, 2)
    assert kept.run("a", twice, (torch.tensor([3.0]),))[0].tolist() == [6.0]
    assert kept.run("b", lambda t: (3 * t[0],), (torch.tensor([3.0]),))[0].tolist() == [9.0]
    assert recorder.recorded == 3


def test_the_caller_keeps_what_it_gave_and_what_it_got() -> None:
    kept = Recordings(CPU, Recorder())
    given = torch.tensor([1.0])
    got = kept.run("a", twice, (given,))[0]
    kept.run("a", twice, (torch.tensor([8.0]),))
    assert given.tolist() == [1.0] and got.tolist() == [2.0]


def test_the_one_not_used_for_longest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST", 2)
    recorder = Recorder()
    kept = Recordings(CPU, recorder)
    for size in (1, 2, 1, 3, 1):
        kept.run("a", twice, (torch.ones(size),))
    assert recorder.recorded == 3
    kept.run("a", twice, (torch.ones(2),))
    assert recorder.recorded == 4


def test_where_nothing_can_be_recorded_it_is_computed_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fail(_compute: object) -> None:
        calls.append(1)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    kept = Recordings(CPU, fail)
    for value in (1.0, 4.0):
        assert kept.run("a", twice, (torch.tensor([value]),))[0].tolist() == [2 * value]
    assert len(calls) == 1 and caplog.text.count("sent one by one: operation not permitted") == 1
    assert "more" not in caplog.text


def test_out_of_memory_is_not_taken_for_a_recording_that_fails() -> None:
    def fail(_compute: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Recordings(CPU, fail).run("a", twice, (torch.ones(1),))


def query_at(T: FloatArray) -> Query:
    segmentation = as_segmentation(exact_mask(bracket(), T))
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, 96)


def off(T: FloatArray, angle_deg: float) -> FloatArray:
    centre = T[:3, :3] @ bracket().center_m + T[:3, 3]
    R = rotation_exp(np.radians(angle_deg) * np.array([0.6, -0.48, 0.64])) @ T[:3, :3]
    return make_transform(R, centre - R @ bracket().center_m)


def test_one_recording_refines_other_images_as_no_recording_does(reference: Reference) -> None:
    """Other outlines, cameras and starts, and 3 poses or 4: nothing of the first image may be left in the recording."""
    plain, recorded = DeviceRefiner(reference, "cpu"), DeviceRefiner(reference, "cpu")
    recorder = Recorder()
    recorded._recordings = Recordings(CPU, recorder)
    for direction, distance_m, angles in (((0.5, -0.6, 0.7), 0.5, (2.0, -3.0, 1.0, 0.0)),
                                          ((-0.4, 0.5, 0.7), 0.3, (-1.0, 3.0, 2.0))):
        T = seen_from(bracket(), direction, distance_m)
        query, starts = query_at(T), [off(T, a) for a in angles]
        expected, found = plain.refine(query, starts, 3), recorded.refine(query, starts, 3)
        assert len(found) == len(expected) == len(starts)
        for fit, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(fit.T_camera_part, other.T_camera_part)
            np.testing.assert_array_equal(fit.mask, other.mask)
    assert (recorder.recorded, recorder.replayed) == (1, 2)
