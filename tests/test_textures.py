"""Patterns of surfaces: every one mixes two colours, and those added for training are like no other."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.synthesis.textures import (
    FURTHER_PATTERNS,
    LEARNED_PATTERNS,
    UNSEEN_PATTERNS,
    Material,
    Noise,
    Pattern,
    albedo,
)


def _mixed(pattern: Pattern, turn: float = 0.0) -> np.ndarray:
    """Return (n,) shares of the second colour on three sides of a cube of half a diameter."""
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0, 0.5, 60)]), axis=-1).reshape(-1, 2)
    sides = [np.insert(grid, axis, 0.21 + turn, axis=1) for axis in range(3)]
    material = Material(pattern, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.eye(3), 0.2, 0.1, 20.0, 0.0)
    return albedo(material, np.concatenate(sides), Noise(np.random.default_rng(0)))[:, 0]


@pytest.mark.parametrize("pattern", Pattern)
def test_a_pattern_mixes_two_colours(pattern: Pattern) -> None:
    mix = _mixed(pattern)
    assert mix.min() >= 0 and mix.max() <= 1 and mix.std() > 0.02
    assert np.array_equal(mix, _mixed(pattern))


def test_further_patterns_are_like_no_other_and_none_is_both_learned_and_judged_on() -> None:
    mixes = {pattern: _mixed(pattern) for pattern in Pattern}
    for a in FURTHER_PATTERNS:
        assert sum(abs(np.corrcoef(mixes[a], mixes[b])[0, 1]) > 0.6 for b in Pattern) == 1, a
    assert set(LEARNED_PATTERNS) | set(FURTHER_PATTERNS) | set(UNSEEN_PATTERNS) == set(Pattern)
    assert not (set(LEARNED_PATTERNS) | set(FURTHER_PATTERNS)) & set(UNSEEN_PATTERNS)
