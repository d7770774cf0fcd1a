"""How sure a pose says that it is."""

from __future__ import annotations

import numpy as np
import pytest

from ptad_core.pose.refine import final_reach, tukey_weights
from ptad_core.pose.trust import FAR_PX, _noise
from ptad_core.types import FloatArray


def settled(e: FloatArray) -> tuple[float, float]:
    """Tukey's estimate of where offsets lie, by reweighting; and the sum of its weights."""
    at = float(np.median(e))
    for _ in range(30):
        w = tukey_weights(np.abs(e - at), final_reach(np.abs(e - at)))
        at = float((w * e).sum() / w.sum())
    return at, float(w.sum())


@pytest.mark.parametrize("sigma_px", [0.3, 1.0, 1.6])
@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_noise_is_the_scatter_of_the_robust_fit(sigma_px: float, outliers: float) -> None:
    """Fitted again and again, as far as that is from the truth: one over the sum of weights is the normal matrix."""
    rng = np.random.default_rng(0)
    error, claimed = [], []
    for _ in range(300):
        e = rng.normal(0, sigma_px, 300)
        e[:int(300 * outliers)] = rng.uniform(20, 40, int(300 * outliers))
        at, weights = settled(e)
        far = np.abs(e - at)
        far[far > FAR_PX] = np.inf
        error.append(at)
        claimed.append(_noise(np.where(np.isfinite(far), at - e, np.inf), far) ** 2 / weights)
    assert np.mean(np.square(error)) / np.mean(claimed) == pytest.approx(1, abs=0.35)


def test_without_an_outline_nothing_is_sure() -> None:
    assert _noise(np.zeros(0), np.zeros(0)) == FAR_PX
