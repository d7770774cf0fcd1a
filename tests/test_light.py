"""What light explains: held against spheres that are lit by formula, and against pictures of parts."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402  only where torch is

from ptad_core.detection.network.inputs import CHANNELS, DEPTH, IMAGE, MASK, NORMAL, SEEN  # noqa: E402
from ptad_core.detection.network.light import GAMMA, explained_and_not, fit, polynomial, solved  # noqa: E402

SIZE = 96
AMBIENT, LAMP = 0.15, np.array([0.3, -0.5, -0.8]) / np.linalg.norm([0.3, -0.5, -0.8])


def ball() -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Return the input of a white ball under a lamp as wide as the sky, (S, S) where it is, and its brightness."""
    rows, cols = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2 - 1
    on = np.hypot(rows, cols) < 0.8
    normal = np.stack([cols, rows, -np.sqrt(np.clip(0.64 - rows ** 2 - cols ** 2, 0, None))]) / 0.8
    bright = np.where(on, AMBIENT + 0.5 * (0.5 + 0.5 * np.tensordot(LAMP, normal, 1)) ** 2, 0.0)
    x = np.zeros((1, CHANNELS, SIZE, SIZE), np.float32)
    x[0, IMAGE] = bright ** (1 / GAMMA)
    x[0, SEEN], x[0, MASK], x[0, DEPTH] = on, on, 0.5 * on
    x[0, NORMAL] = np.where(on, np.clip(128 + 127 * normal, 1, 255) / 255, 0)
    return torch.from_numpy(x), on, bright


def test_what_light_explains_leaves_nothing() -> None:
    x, on, bright = ball()
    left, fitted = explained_and_not(x)[0].numpy()
    off = np.abs(left[on] - 0.5)
    assert np.median(off) < 0.01 and off.max() < 0.04  # of four stops; the ridge costs a little at the rim
    assert np.abs(fitted[on] ** GAMMA - bright[on]).max() < 0.03
    assert (left[~on] == 0).all() and (fitted[~on] == 0).all()


def test_neither_exposure_nor_a_patch_changes_what_is_left_elsewhere() -> None:
    x, on, _ = ball()
    x[:, IMAGE] *= 0.5
    x[:, IMAGE, 40:52, 30:42] *= 0.6  # 0.6^2.2: 1.6 stops darker
    left = explained_and_not(x)[0, 0].numpy()
    patch = np.zeros_like(on)
    patch[40:52, 30:42] = True
    assert np.abs(left[on & ~patch] - 0.5).max() < 0.05
    assert (left[patch] < 0.25).all()


def test_a_dent_that_the_reference_lacks_is_left() -> None:
    """A lamp from one side makes that side of a dent darker, and the other brighter; the plate explains neither."""
    rows, cols = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2 - 1
    inside = np.clip(1 - (rows ** 2 + cols ** 2) / 0.1, 0, None)
    slope = np.stack([-4 * cols * inside, -4 * rows * inside, -np.ones_like(cols)])
    bright = 0.1 + 0.6 * np.clip(np.tensordot(LAMP, slope / np.linalg.norm(slope, axis=0), 1), 0, None)
    x = torch.zeros(1, CHANNELS, SIZE, SIZE)
    x[:, IMAGE] = torch.from_numpy(bright ** (1 / GAMMA)).float()
    x[:, SEEN] = x[:, MASK] = 1.0
    x[:, NORMAL] = torch.tensor([128, 128, 1])[:, None, None] / 255
    left = explained_and_not(x)[0, 0].numpy()
    assert np.abs(left[inside == 0] - 0.5).max() < 0.01
    along = LAMP[0] * cols + LAMP[1] * rows
    deep = (inside > 0.3) & (np.abs(along) > 0.05)
    assert np.corrcoef(left[deep], along[deep])[0, 1] < -0.7


def test_nothing_to_fit_is_no_fault() -> None:
    empty = explained_and_not(torch.zeros(2, CHANNELS, 64, 64))
    assert (empty == 0).all()
    x, _, _ = ball()
    x[:, IMAGE] = 0.0
    assert torch.isfinite(explained_and_not(x)).all()
    together = explained_and_not(torch.cat([x, ball()[0]]))[1:]
    assert torch.allclose(together, explained_and_not(ball()[0]), atol=1e-5), "pictures of a batch are apart"


def test_elimination_and_fit_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 9, 12)).astype(np.float32)
    matrix, right = a @ a.transpose(0, 2, 1) + 0.1 * np.eye(9, dtype=np.float32), rng.normal(size=(5, 9))
    got = solved(torch.from_numpy(matrix), torch.from_numpy(right.astype(np.float32))).numpy()
    assert np.allclose(got, np.linalg.solve(matrix.astype(float), right[..., None])[..., 0], rtol=2e-3, atol=2e-3)
    normal = rng.normal(size=(1, 3, 500)).astype(np.float32)
    basis = polynomial(torch.from_numpy(normal / np.linalg.norm(normal, axis=1, keepdims=True)))
    wanted = rng.normal(size=9).astype(np.float32)
    seen = torch.from_numpy(wanted) @ basis[0]
    seen[:100] += 3.0  # a fifth of the picture is painted over
    found = fit(basis, seen[None], torch.ones(1, 500, dtype=torch.bool), torch.ones(1))
    assert np.allclose(found[0], wanted, atol=0.1)
