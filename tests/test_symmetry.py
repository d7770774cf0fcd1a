"""Declared symmetries: the groups they generate, and angles over them."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.errors import ConfigError
from ptad_core.frames import rotation_exp
from ptad_core.reference.symmetry import CONTINUOUS_STEPS, parse_symmetry, symmetric_angle_deg


@pytest.mark.parametrize(("text", "count"), [
    ("", 1), ("none", 1), ("axis=z order=1", 1), ("axis=z order=4", 4), ("axis=x order=2; axis=z order=2", 4),
    ("axis=z order=4; axis=x order=2", 8), ("axis=z order=inf", CONTINUOUS_STEPS),
    ("axis=z order=inf; axis=x order=2", 2 * CONTINUOUS_STEPS), ("axis=1,1,1 order=3; axis=z order=2", 12),
    ("  axis=y   order=3 ; ", 3)])
def test_group_sizes(text: str, count: int) -> None:
    group = parse_symmetry(text)
    assert group.shape == (count, 3, 3)
    assert np.array_equal(group[0], np.eye(3))


@pytest.mark.parametrize("text", ["axis=z order=6", "axis=z order=4; axis=x order=2",
                                  "axis=1,1,1 order=3; axis=z order=2"])
def test_a_group_is_closed(text: str) -> None:
    group = parse_symmetry(text)
    for a in group:
        assert np.allclose(a @ a.T, np.eye(3)) and np.linalg.det(a) > 0
        for b in group:
            assert np.abs(a @ b - group).max(axis=(1, 2)).min() < 1e-6


@pytest.mark.parametrize("text", ["axis=q order=2", "axis=z", "order=2", "axis=z order=0", "axis=z order=2.5", "z 4",
                                  "axis=0,0,0 order=2", "axis=1,0 order=2", "axis=z order=2 about=x",
                                  "axis=z order=-2"])
def test_what_cannot_be_read_is_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(ConfigError, match=r"symmetry: expected 'axis="):
        parse_symmetry(text)


def test_two_continuous_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than 1000"):
        parse_symmetry("axis=z order=inf; axis=x order=inf")


def test_angle_over_symmetric_copies() -> None:
    """Symmetries act in the part's own frame, before it is turned into the camera's."""
    R = rotation_exp(np.array([0.3, -0.8, 0.5]))
    quarter = rotation_exp(np.array([0.0, 0.0, np.pi / 2]))
    four, none = parse_symmetry("axis=z order=4"), parse_symmetry("")
    assert symmetric_angle_deg(R, R @ quarter, four) == pytest.approx(0, abs=1e-5)
    assert symmetric_angle_deg(R, R @ quarter, none) == pytest.approx(90)
    assert symmetric_angle_deg(R, quarter @ R, four) > 20
    small = rotation_exp(np.radians([0.0, 3.0, 0.0]))
    assert symmetric_angle_deg(R, R @ quarter @ small, four) == pytest.approx(3.0, abs=1e-5)
