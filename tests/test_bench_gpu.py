"""The GPU's benchmark: what it says without a GPU, and that each of its parts runs, on the CPU in torch."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.pose.conditions import Condition
from benchmarks.pose.objects import BenchObject, generated
from ptad_core.config import ReferenceConfig

torch = pytest.importorskip("torch", reason="needs torch: make learning")

from benchmarks import bench_gpu  # noqa: E402 - torch first
from benchmarks.gpu import accuracy, cases, soak, stages, whole  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
NAMED = {"device", "blind_ms", "seeded_ms", "adam150_ms", "images_per_s"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, reference_config: ReferenceConfig) -> None:
    item = next(o for o in generated(0, replace(reference_config, gaussians=1000)) if o.name == "bracket")

    def bracket(_gaussians: int | None = None) -> BenchObject:
        return item

    monkeypatch.setattr(bench_gpu, "bracket", bracket)
    monkeypatch.setattr(cases, "WARM_UPS", 0)
    monkeypatch.setattr(stages, "STEPS", 2)
    monkeypatch.setattr(accuracy, "generated", lambda _seed: [item])
    monkeypatch.setattr(accuracy, "MODE_NAMES", ("seeded",))
    monkeypatch.setattr(accuracy, "CONDITIONS", (Condition.INTACT,))
    monkeypatch.setattr(whole, "VIEWS", 1)
    monkeypatch.setattr(whole, "FRAMES", 2)
    monkeypatch.setattr(soak, "VIEWS", 1)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, fails: int = 0) -> tuple[str, dict[str, Any]]:
    small = ("--repeats", "1", "--batches", "2", "--gaussians", "1000", "--sizes", "96")
    assert bench_gpu.main([*arguments, *small]) == fails
    printed = capsys.readouterr().out
    return printed, json.loads(printed.splitlines()[-1])["gpu"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_figures_are_null_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    _, figures = run(capsys, "--device", "cuda")
    assert set(figures) == NAMED | {"reason"}
    assert all(figures[name] is None for name in NAMED) and "expected an NVIDIA GPU" in figures["reason"]


def test_stages_and_descent(capsys: pytest.CaptureFixture[str]) -> None:
    printed, figures = run(capsys, "--device", "cpu", "--parts", "stages", "search", "adam", "--adam-steps", "2")
    for stage in ("surface", "upload", "render", "compare", "refine", "one by one", "candidates ring20",
                  "coarse fit of 8"):
        assert stage in printed
    assert "2 Adam steps by own kernels: " in printed
    assert figures["device"].startswith("cpu, the CPU, by torch") and figures["adam150_ms"] is None
    assert set(figures["reasons"]) == {"blind_ms", "seeded_ms", "adam150_ms", "images_per_s"}
    assert "gsplat" in figures["reasons"]["adam150_ms"]


def test_alignments_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    printed, figures = run(capsys, "--device", "cpu", "--parts", "whole", "--soak", "3")
    assert figures["blind_ms"] > 0 and figures["seeded_ms"] > 0 and "rank" in printed and "3 inspections" in printed
    assert figures["render_ms"] > 0 and figures["network_ms"] > 0 and printed.count("on the CPU") == 2
    assert set(figures["memory"]) == {"inspections", "device_growth_mb", "reserved_growth_mb", "host_growth_mb"}
    assert figures["memory"]["inspections"] == 3
    assert not NAMED - set(figures) and set(figures["reasons"]) == {"adam150_ms", "images_per_s"}


def test_inspections_have_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    printed, figures = run(capsys, "--device", "cpu", "--parts", "images")
    assert figures["images_per_s"] > 0 and figures["images_per_s_overlapped"] > 0 and figures["refined_per_s"]["2"] > 0
    assert "2 and 2 of 2 with a verdict" in printed
    assert set(figures["stages_ms"]) == {"rectify", "segment", "align", "render", "detect"}


def test_a_part_that_fails_is_named_and_the_others_are_told(capsys: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    monkeypatch.setattr(whole, "alignments", broken)
    _, figures = run(capsys, "--device", "cpu", "--parts", "whole", "--soak", "2", fails=1)
    assert figures["failed"] == {"whole": "RuntimeError: CUDA error: an illegal memory access"}
    assert figures["memory"]["inspections"] == 2 and figures["reasons"]["blind_ms"] == "its part failed"


def test_stopped_from_outside_it_tells_what_it_has(capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(whole, "alignments", lambda *_, **__: (1.5, {}))
    monkeypatch.setattr(whole, "looking", endless)
    _, figures = run(capsys, "--device", "cpu", "--parts", "whole", "search", fails=1)
    assert figures["seeded_ms"] == 1.5 and list(figures["failed"]) == ["whole"]
    assert figures["failed"]["whole"].startswith("stopped after")
    assert signal.getsignal(signal.SIGTERM) == before


def test_accuracy_is_that_of_the_same_pairs_on_both(capsys: pytest.CaptureFixture[str]) -> None:
    printed, figures = run(capsys, "--device", "cpu", "--parts", "accuracy", "--pairs", "2")
    assert figures["accuracy"] == {"success_cpu": 1.0, "success_device": 1.0, "same_pose": 1.0}
    row = next(line.split() for line in printed.splitlines() if line.startswith("  seeded"))
    assert row[:5] == ["seeded", "intact", "2", "1.000", "1.000"] and len(row) == 12
