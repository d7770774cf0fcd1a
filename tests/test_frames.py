"""Rigid transforms: names cancel, quaternions are x, y, z, w, twists act from the left."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.frames import (
    from_quaternion,
    invert,
    is_rigid,
    make_transform,
    rotation_angle_deg,
    rotation_exp,
    skew,
    to_quaternion,
    transform_points,
)
from ptad_core.types import FloatArray


def some_transforms(count: int = 20) -> list[FloatArray]:
    rng = np.random.default_rng(3)
    return [make_transform(rotation_exp(rng.normal(size=3)), rng.normal(size=3)) for _ in range(count)]


def test_inner_names_cancel() -> None:
    points_c = np.random.default_rng(1).normal(size=(7, 3))
    for T_a_b, T_b_c in zip(some_transforms(), some_transforms()[::-1], strict=True):
        two_steps = transform_points(T_a_b, transform_points(T_b_c, points_c))
        assert np.allclose(transform_points(T_a_b @ T_b_c, points_c), two_steps)
        assert np.allclose(invert(T_a_b) @ T_a_b, np.eye(4))
        assert is_rigid(T_a_b) and is_rigid(invert(T_a_b))


def test_quaternions_there_and_back() -> None:
    for T in some_transforms():
        q = to_quaternion(T)
        assert np.linalg.norm(q) == pytest.approx(1)
        for same in (q, -q, 3 * q):
            assert np.allclose(from_quaternion(T[:3, 3], same), T)


def test_quaternion_order_is_xyzw() -> None:
    quarter_about_z = from_quaternion(np.array([1.0, 2, 3]), np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)]))
    assert np.allclose(quarter_about_z @ [1, 0, 0, 1], [1, 3, 3, 1])


@pytest.mark.parametrize("q", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1]])
def test_a_quaternion_without_length_is_refused(q: list[float]) -> None:
    with pytest.raises(ValueError, match="non-zero length"):
        from_quaternion(np.zeros(3), np.array(q, dtype=float))


def test_rotation_exp_is_the_series_of_skew() -> None:
    for T in some_transforms():
        w = T[:3, 3]
        series, term = np.eye(3), np.eye(3)
        for k in range(1, 40):
            term = term @ skew(w) / k
            series = series + term
        assert np.allclose(rotation_exp(w), series)
        assert np.allclose(skew(w) @ [1.0, 2.0, 3.0], np.cross(w, [1.0, 2.0, 3.0]))


def test_angle_between_rotations() -> None:
    for angle_deg in (0.0, 1e-5, 30.0, 179.0, 180.0):
        for T in some_transforms(4):
            R = T[:3, :3]
            turned = R @ rotation_exp(np.radians(angle_deg) * np.array([0.6, 0.0, 0.8]))
            assert rotation_angle_deg(R, turned) == pytest.approx(angle_deg, abs=1e-6)


def test_what_is_no_rigid_transform() -> None:
    scaled, mirrored, not_finite, bottom = (np.eye(4) for _ in range(4))
    scaled[0, 0], mirrored[0, 0], not_finite[0, 3], bottom[3, 0] = 1.01, -1, np.nan, 0.1
    for T in (scaled, mirrored, not_finite, bottom, np.eye(3), np.zeros((4, 4))):
        assert not is_rigid(T)
    assert is_rigid(scaled, tolerance=0.1)
