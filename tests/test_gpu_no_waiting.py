"""What runs on a device neither waits for it nor mixes it with the host, shown on torch's meta device.

That device has no values, so that reading one back is an error there, and so is a tensor of the host beside its own.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.gpu import contour, ranking, solver  # noqa: E402 - torch first
from ptad_core.gpu.level_set import STATS  # noqa: E402
from ptad_core.pose import descent  # noqa: E402
from ptad_core.rendering.differentiable import FlowMasks  # noqa: E402

META = torch.device("meta")


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=META)


def test_the_meta_device_shows_what_it_should() -> None:
    with pytest.raises(RuntimeError):
        empty(3) + torch.ones(3)
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(empty(1) > 0)


def test_the_damped_steps() -> None:
    def linearise(poses: torch.Tensor, pivots: torch.Tensor, _reach: object, active: torch.Tensor) -> torch.Tensor:
        assert poses.device == pivots.device == active.device == META
        return empty(len(poses), STATS)

    found = solver.solve(empty(4, 3, 3, dtype=torch.float64), empty(4, 3, dtype=torch.float64),
                         empty(3, dtype=torch.float64), 3, 6.0, linearise)
    assert found.R.shape == (4, 3, 3) and found.lost.shape == (4,) and found.stats.dtype == torch.float64


def test_the_ranking() -> None:
    candidates, costs = ranking.rank(empty(50, 96, 2), empty(50, 24, dtype=torch.bool), empty(256, 256), empty(96, 2),
                                     empty(5))
    assert candidates.shape == (240, 5) and costs.shape == (240,) and candidates.device == META


def test_the_contour_fit() -> None:
    views = contour.DeviceViews(empty(642, 3), empty(642, 192, 3), empty(642, 192, 3), empty(642))
    found, costs = contour.fit_contours(views, empty(24, 3, 4), empty(5), empty(128, 4), empty(11), 2)
    assert found.shape == (24, 3, 4) and costs.shape == (24,) and found.device == META


def test_the_papers_descent() -> None:
    def render_flow(poses: torch.Tensor, _cameras: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, ...]:
        return empty(len(poses), height, width), empty(len(poses), 4, height, width)

    best, losses = descent.descend(
        FlowMasks(render_flow, META), empty(2, 48, 64), empty(2, 4, dtype=torch.float64),
        empty(2, 4, 4, dtype=torch.float64), empty(3, dtype=torch.float64), 0.1, 3, 0.01, 1.0)
    assert best.shape == (2, 4, 4) and losses.shape == (2,) and best.device == META
