"""The detection network as a device runs it: its answers, what is recorded, and what happens where it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from ptad_core.detection import load_judge  # noqa: E402 - torch first
from ptad_core.detection.network.inputs import CHANNELS, Pair  # noqa: E402
from ptad_core.detection.network.judge import Judge  # noqa: E402
from ptad_core.gpu.fallback import Fallback  # noqa: E402
from ptad_core.gpu.network import DeviceNetwork, _displaced_disc  # noqa: E402
from ptad_core.gpu.recordings import Recordings, Tensors  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def judge() -> Judge:
    found = load_judge("auto")
    assert found is not None
    return found


@pytest.fixture
def network(judge: Judge) -> DeviceNetwork:
    return DeviceNetwork(judge, DEVICE, Fallback())


def picture(judge: Judge, seed: int) -> Pair:
    """Blocks of noise, of every size, and under every second seed a disc that its reference lies beside."""
    rng, out = np.random.default_rng(seed), np.zeros((CHANNELS, judge.size_px, judge.size_px))
    for block in (1, 4, 16):
        size = judge.size_px // block
        out += np.kron(rng.integers(0, 86, (CHANNELS, size, size)), np.ones((1, block, block)))
    return _displaced_disc(judge.size_px) if seed % 2 else out.astype(np.uint8)


def test_it_answers_as_on_the_cpu(judge: Judge, network: DeviceNetwork) -> None:
    moved = judge.on(network)
    answers = []
    for seed in range(3):
        pair = picture(judge, seed)
        found, (logit, cells) = moved(pair), judge.answer(pair, mixed=False)
        assert found.logit == pytest.approx(logit, abs=0.01 * max(1, abs(logit)))
        np.testing.assert_allclose([found.missing, found.surplus], cells, atol=0.005)
        assert found.missing.dtype == found.surplus.dtype == np.float32
        answers.append(found.logit)
    assert np.ptp(answers) > 0.1, "pictures that all look alike would show nothing"
    assert network.difference_to_cpu() == ""
    assert judge.device is None, "the judge that others hold stays on the CPU"


def test_one_recording_serves_all_pictures(judge: Judge, network: DeviceNetwork) -> None:
    recorded: list[int] = []

    def record(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        recorded.append(1)
        outputs = tuple(torch.full_like(t, 99) for t in compute())

        def replay() -> None:
            for kept, new in zip(outputs, compute(), strict=True):
                kept.copy_(new)

        return outputs, replay

    network._recordings = Recordings(torch.device(DEVICE), record)
    for seed in range(3):
        answer, (logit, _) = network(picture(judge, seed)), judge.answer(picture(judge, seed), mixed=False)
        assert answer is not None and answer[0] == pytest.approx(logit, abs=0.01)
    assert len(recorded) == 1


def test_a_network_that_differs_is_told(network: DeviceNetwork) -> None:
    with torch.no_grad():
        network._network.score_head[2].bias += 0.2
    assert "logit differs from the CPU's by 0.2" in network.difference_to_cpu()
    with torch.no_grad():
        network._network.score_head[2].bias -= 0.2
        network._network.smooth[3].bias += 0.2
    assert "differs from the CPU's" in network.difference_to_cpu()


def test_where_it_fails_the_cpu_answers(judge: Judge, network: DeviceNetwork, caplog: pytest.LogCaptureFixture) -> None:
    moved, pair = judge.on(network), picture(judge, 0)
    errors = (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
              torch.AcceleratorError("CUDA error: an illegal memory access\nmore"))
    calls = []

    class Failing(Recordings):
        def __init__(self, error: Exception) -> None:
            self.error = error

        def run(self, *_: object) -> Tensors:
            calls.append(self.error)
            raise self.error

    for error, words in zip(errors, ("for this image", "for this image", "from now on"), strict=True):
        network._recordings = Failing(error)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert moved(pair).logit == judge(pair).logit
        assert words in caplog.text and "more" not in caplog.text
    asked = len(calls)
    assert moved(pair).logit == judge(pair).logit and len(calls) == asked


def test_an_error_of_ours_is_not_taken_for_the_devices(judge: Judge, network: DeviceNetwork) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        network(np.concatenate([picture(judge, 0), picture(judge, 0)[:1]]))
