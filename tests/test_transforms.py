"""The transform buffer: tf2's rules, kept without tf2."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ptad_core.errors import TransformError
from ptad_core.frames import invert, is_rigid, make_transform, rotation_angle_deg
from ptad_core.transforms import JumpWatch, TransformBuffer, TransformMissingError, TransformStaleError, interpolate
from ptad_core.types import Reason

S = 1_000_000_000


def random_transform(rng: np.random.Generator) -> np.ndarray:
    return make_transform(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))


def shifted(x: float) -> np.ndarray:
    return make_transform(np.eye(3), np.array([x, 0.0, 0.0]))


def test_walks_up_and_down_the_tree() -> None:
    rng = np.random.default_rng(0)
    T_cell_arm, T_arm_camera, T_cell_table, T_table_part = (random_transform(rng) for _ in range(4))
    buffer = TransformBuffer()
    buffer.set("cell", "arm", 5 * S, T_cell_arm)
    buffer.set("arm", "camera", 0, T_arm_camera, static=True)
    buffer.set("cell", "table", 0, T_cell_table, static=True)
    buffer.set("/table", "part", 0, T_table_part, static=True)
    expected = invert(T_cell_arm @ T_arm_camera) @ T_cell_table @ T_table_part
    np.testing.assert_allclose(buffer.lookup("camera", "part", 5 * S), expected, atol=1e-12)
    np.testing.assert_allclose(buffer.lookup("part", "camera", 5 * S), invert(expected), atol=1e-12)
    np.testing.assert_allclose(buffer.lookup("part", "part", 5 * S), np.eye(4), atol=1e-12)


def test_a_common_ancestor_needs_no_fresh_link_above_it() -> None:
    buffer = TransformBuffer()
    buffer.set("world", "cell", 1 * S, shifted(9.0))  # far too old for the stamp, and not on the way
    buffer.set("cell", "camera", 0, shifted(1.0), static=True)
    buffer.set("cell", "part", 0, shifted(3.0), static=True)
    np.testing.assert_allclose(buffer.lookup("camera", "part", 50 * S), shifted(2.0))


def test_interpolates_position_and_rotation_between_samples() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        T0, T1, f = random_transform(rng), random_transform(rng), rng.uniform()
        buffer = TransformBuffer()
        buffer.set("cell", "camera", 2 * S, T1)  # samples may come out of order
        buffer.set("cell", "camera", 1 * S, T0)
        T = buffer.lookup("cell", "camera", int((1 + f) * S))
        np.testing.assert_allclose(T[:3, 3], (1 - f) * T0[:3, 3] + f * T1[:3, 3], atol=1e-6)
        whole = rotation_angle_deg(T0[:3, :3], T1[:3, :3])
        assert rotation_angle_deg(T0[:3, :3], T[:3, :3]) == pytest.approx(f * whole, abs=1e-4)
        assert rotation_angle_deg(T[:3, :3], T1[:3, :3]) == pytest.approx((1 - f) * whole, abs=1e-4)
        assert is_rigid(T)
        np.testing.assert_allclose(interpolate(T0, T1, 1.0), T1, atol=1e-9)


def test_never_extrapolates_and_says_how_far_outside() -> None:
    buffer = TransformBuffer()
    buffer.set("cell", "camera", 10 * S, np.eye(4))
    buffer.set("cell", "camera", 11 * S, np.eye(4))
    with pytest.raises(TransformStaleError, match=r"cell -> camera: the newest is 0\.250 s older") as ahead:
        buffer.lookup("camera", "cell", int(11.25 * S))
    assert ahead.value.ahead_s == pytest.approx(0.25)
    with pytest.raises(TransformStaleError, match=r"2\.000 s older than the oldest kept") as behind:
        buffer.lookup("camera", "cell", 8 * S)
    assert behind.value.ahead_s == pytest.approx(-2.0)
    assert behind.value.reason is Reason.TF_STALE


def test_never_interpolates_across_a_long_gap() -> None:
    """A robot that said nothing for ten seconds may have been anywhere."""
    stamps = [i * S // 2 for i in (0, 1, 2, 22, 23)]
    limited, unlimited = TransformBuffer(math.inf, max_gap_s=1.0), TransformBuffer(math.inf, max_gap_s=0.0)
    for buffer in (limited, unlimited):
        for stamp_ns in stamps:
            buffer.set("cell", "arm", stamp_ns, shifted(stamp_ns / S))
        buffer.set("arm", "camera", 0, shifted(0.0), static=True)
    with pytest.raises(TransformStaleError, match=r"cell -> arm: .* gap of 10\.000 s .* longer than 1 s") as stale:
        limited.lookup("cell", "camera", 4 * S)
    assert stale.value.ahead_s == pytest.approx(-7.0), "waiting does not help"
    assert stale.value.reason is Reason.TF_STALE
    np.testing.assert_allclose(unlimited.lookup("cell", "camera", 4 * S), shifted(4.0))
    for stamp_ns in (*stamps, S // 4, int(11.25 * S)):
        np.testing.assert_allclose(limited.lookup("cell", "camera", stamp_ns), shifted(stamp_ns / S), atol=1e-12)


def test_a_frame_that_changes_its_parent_after_a_long_gap_is_not_held_meanwhile() -> None:
    buffer = TransformBuffer(max_gap_s=1.0)
    buffer.set("table", "part", 1 * S, shifted(1.0))
    buffer.set("gripper", "part", 4 * S, shifted(2.0))
    with pytest.raises(TransformStaleError, match=r"table -> part: .* gap of 3\.000 s"):
        buffer.lookup("table", "part", 2 * S)


def test_names_the_missing_link() -> None:
    buffer = TransformBuffer()
    with pytest.raises(TransformMissingError, match="'camera' has come; frames known: none"):
        buffer.lookup("camera", "part", S)
    buffer.set("arm", "camera", 0, np.eye(4), static=True)
    with pytest.raises(TransformMissingError, match="'part' has come; frames known: arm, camera"):
        buffer.lookup("camera", "part", S)
    with pytest.raises(TransformMissingError, match="'part' has come"):
        buffer.lookup("part", "part", S)
    buffer.set("cell", "part", 0, np.eye(4), static=True)
    with pytest.raises(TransformMissingError, match="first hangs below 'arm', the second below 'cell'") as error:
        buffer.lookup("camera", "part", S)
    assert error.value.reason is Reason.TF_MISSING


def test_a_loop_is_reported_and_does_not_hang() -> None:
    buffer = TransformBuffer()
    buffer.set("a", "b", 0, np.eye(4), static=True)
    buffer.set("b", "a", 0, np.eye(4), static=True)
    with pytest.raises(TransformMissingError, match="loop: b -> a -> b"):
        buffer.lookup("c", "b", S)


def test_history_is_bounded_and_old_samples_are_dropped() -> None:
    buffer = TransformBuffer(history_s=2.0)
    for i in range(1000):
        buffer.set("cell", "camera", i * S // 10, shifted(i))
    assert len(buffer._frames["camera"].stamps_ns) == 21
    buffer.set("cell", "camera", 1 * S, shifted(-1.0))
    with pytest.raises(TransformStaleError):
        buffer.lookup("cell", "camera", 1 * S)
    everything = TransformBuffer(history_s=math.inf)
    for i in range(1000):
        everything.set("cell", "camera", i * S // 10, shifted(i))
    np.testing.assert_allclose(everything.lookup("cell", "camera", 0), shifted(0.0))


def test_a_frame_may_change_its_parent() -> None:
    buffer = TransformBuffer()
    buffer.set("table", "part", 1 * S, shifted(1.0))
    buffer.set("gripper", "part", 2 * S, shifted(2.0))
    np.testing.assert_allclose(buffer.lookup("table", "part", int(1.5 * S)), shifted(1.0))
    np.testing.assert_allclose(buffer.lookup("gripper", "part", 2 * S), shifted(2.0))


@pytest.mark.parametrize("T", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1.0, -1.0, 1.0])])
def test_refuses_what_is_not_a_rigid_transform(T: np.ndarray) -> None:
    with pytest.raises(TransformError, match="finite rigid transform"):
        TransformBuffer().set("cell", "camera", 0, T)


def test_refuses_nameless_frames() -> None:
    for parent, child in (("cell", "cell"), ("", "camera"), ("cell", "/")):
        with pytest.raises(TransformError, match="two different frame names"):
            TransformBuffer().set(parent, child, 0, np.eye(4))


def test_clear_keeps_what_is_latched() -> None:
    buffer = TransformBuffer()
    buffer.set("cell", "camera", S, shifted(1.0))
    buffer.set("cell", "part", 0, shifted(2.0), static=True)
    buffer.clear()
    np.testing.assert_allclose(buffer.lookup("cell", "part", 7 * S), shifted(2.0))
    with pytest.raises(TransformMissingError):
        buffer.lookup("cell", "camera", S)
    buffer.clear(static=True)
    with pytest.raises(TransformMissingError):
        buffer.lookup("cell", "part", S)


def test_a_jump_is_reported_once_and_only_beyond_the_tolerance() -> None:
    watch = JumpWatch(tolerance_s=0.5)
    assert not watch.jumped_back("image", 10 * S)
    assert not watch.jumped_back("tf camera", 12 * S)  # another source may be ahead
    assert not watch.jumped_back("image", int(9.6 * S))
    assert watch.jumped_back("tf camera", 1 * S)
    assert not watch.jumped_back("image", 1 * S)
    assert not watch.jumped_back("image", 2 * S)
    assert watch.jumped_back("image", 1 * S)


def test_set_and_lookup_from_several_threads() -> None:
    buffer = TransformBuffer(history_s=0.5)
    buffer.set("cell", "camera", 0, shifted(0.0))
    errors: list[Exception] = []

    def look() -> None:
        for i in range(2000):
            try:
                buffer.lookup("cell", "camera", i * S // 1000)
            except TransformStaleError:
                continue
            except (TransformError, LookupError, RuntimeError) as error:
                errors.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(3000):
        buffer.set("cell", "camera", i * S // 1000, shifted(i))
    for reader in readers:
        reader.join()
    assert not errors


def test_frames_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptad_core.transforms.MAX_FRAMES", 3)
    buffer, watch = TransformBuffer(), JumpWatch()
    for name in ("camera", "part", "tool"):
        buffer.set("cell", name, S, shifted(1.0))
    with pytest.raises(TransformError, match="at most 3 frames"):
        buffer.set("cell", "one more", S, shifted(1.0))
    buffer.set("cell", "camera", 2 * S, shifted(3.0))  # those known go on
    assert buffer.lookup("cell", "camera", 2 * S)[0, 3] == 3.0
    for i in range(50):
        assert not watch.jumped_back(f"frame {i}", i * S)
    assert len(watch._newest_ns) <= 4
