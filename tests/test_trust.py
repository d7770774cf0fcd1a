"""How sure a pose says that it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from
from scipy.spatial.transform import Rotation

from ptad_core.config import ReferenceConfig
from ptad_core.pose.covariance import covariance, outline_noise
from ptad_core.pose.query import make_query
from ptad_core.pose.refine import final_reach, refine_mask, tukey_weights
from ptad_core.pose.trust import FAR_PX, agreement
from ptad_core.reference import reference_from_mesh
from ptad_core.types import FloatArray

CAMERA_SIZE = (CAMERA.width, CAMERA.height)


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
        claimed.append(outline_noise(np.where(np.isfinite(far), at - e, np.inf), far)[0] ** 2 / weights)
    assert np.mean(np.square(error)) / np.mean(claimed) == pytest.approx(1, abs=0.35)


def test_errors_that_come_in_arcs_are_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of an outline are pushed in or out by a pixel, as shadows do: far less averages out than of noise."""
    reference = reference_from_mesh(bracket(), "bracket", ReferenceConfig(gaussians=8000, views=100,
                                                                          cache_dir=str(tmp_path)))
    rng, kernel = np.random.default_rng(1), np.ones((3, 3), np.uint8)
    scores: list[float] = []
    proud: list[float] = []
    for _ in range(24):
        T = seen_from(bracket(), tuple(rng.normal(size=3)), 0.4)
        true = exact_mask(bracket(), T).astype(np.uint8)
        push = cv2.resize(rng.integers(-1, 2, (24, 32)).astype(np.int8), CAMERA_SIZE, interpolation=cv2.INTER_NEAREST)
        mask = np.select([push < 0, push > 0], [cv2.erode(true, kernel), cv2.dilate(true, kernel)], true) > 0
        box = as_segmentation(mask).box_px
        assert box is not None
        query = make_query(mask, box, CAMERA, 256)
        fit = refine_mask(query, reference, T, 12)
        assert fit is not None
        found = agreement(query, fit)
        e = np.concatenate([T[:3, 3] - fit.T_camera_part[:3, 3],
                            Rotation.from_matrix(T[:3, :3] @ fit.T_camera_part[:3, :3].T).as_rotvec()])
        scores.append(e @ np.linalg.solve(covariance(query, reference, fit, found.offset_px, found.distance_px), e) / 6)
        monkeypatch.setattr("ptad_core.pose.covariance._pulls_of_arcs", lambda *_: np.zeros((1, 6)))
        proud.append(e @ np.linalg.solve(covariance(query, reference, fit, found.offset_px, found.distance_px), e) / 6)
        monkeypatch.undo()
    assert 0.3 < np.mean(scores) < 3.0
    assert np.mean(proud) > 2 * np.mean(scores)


def test_without_an_outline_nothing_is_sure() -> None:
    assert outline_noise(np.zeros(0), np.zeros(0))[0] == FAR_PX
    assert outline_noise(np.full(9, np.inf), np.full(9, np.inf))[0] == FAR_PX
