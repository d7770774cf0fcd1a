"""Which device is taken, what is said about it, and what happens where it fails."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, picture, seen_from, turned_by_deg

from ptad_core.config import InspectorConfig
from ptad_core.detection import load_judge
from ptad_core.errors import DeviceError
from ptad_core.gpu import device
from ptad_core.gpu.device import choose_device
from ptad_core.inspector import Inspector
from ptad_core.reference import Reference
from ptad_core.types import FloatArray

T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)


def depth_of_centre(T_camera_part: FloatArray, reference: Reference) -> float:
    return float(T_camera_part[2, :3] @ reference.center_m + T_camera_part[2, 3])


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_unusable", lambda: "torch finds no CUDA device")


def test_the_core_imports_nothing_of_cuda() -> None:
    program = ("import sys, ptad_core.inspector, ptad_core.cli.options, ptad_core.gpu.device\n"
               "assert not {'torch', 'triton', 'gsplat'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.usefixtures("no_gpu")
def test_auto_says_what_it_chose_and_why(reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ptad_core"):
        inspector = Inspector(reference, InspectorConfig())
    assert inspector.device == "cpu, chosen by auto: torch finds no CUDA device"
    assert f"device: {inspector.device}" in caplog.text


@pytest.mark.usefixtures("no_gpu")
def test_cuda_without_a_gpu_is_an_error_at_start(reference: Reference) -> None:
    with pytest.raises(DeviceError, match="cuda was asked for: torch finds no CUDA device"):
        Inspector(reference, InspectorConfig(), "cuda")
    with pytest.raises(DeviceError, match="expected one of auto, cpu, cuda, got 'tpu'"):
        Inspector(reference, InspectorConfig(), "tpu")


def test_cpu_asks_for_no_gpu(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_unusable", lambda: pytest.fail("was asked"))
    assert choose_device("cpu", reference).pose is None


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "NEEDED", ("numpy", "not_there", "nor_this"))
    assert device._unusable() == "not_there and nor_this not installed (make gpu)"


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> types.ModuleType:  # noqa: ARG001 - set up first
    """A device by name; what runs on it is the CPU."""
    from ptad_core.gpu import pose_device
    prepare = device.prepare
    monkeypatch.setattr(device, "_unusable", lambda: "")
    monkeypatch.setattr(device, "prepare", lambda _name, *arguments: prepare("cpu", *arguments))
    return pose_device


@pytest.mark.usefixtures("usable")
def test_a_device_that_computes_the_same_is_taken(reference: Reference) -> None:
    judge = load_judge("auto")
    assert judge is not None
    found = choose_device("auto", reference, judge)
    assert found.pose is not None and found.words.startswith("cpu, the CPU, by torch")
    assert found.judge is not None and found.judge.device is not None and judge.device is None


@pytest.mark.parametrize(("part", "what", "words"), [
    ("refiner", "splat_sums", "its mask differs"), ("refiner", "level_set_sums", "its normal equations differ"),
    ("search", "fit_contours", "its contour fit ends")])
def test_a_device_that_computes_something_else_is_refused(reference: Reference, usable: types.ModuleType,
                                                          monkeypatch: pytest.MonkeyPatch, part: str, what: str,
                                                          words: str) -> None:
    made = usable.TorchPoseDevice

    def wrong(*arguments: object) -> object:
        found = made(*arguments)
        stage = getattr(found, part)
        right: Callable[..., Any] = getattr(stage, f"_{what}")

        def compute(*a: object) -> object:
            result = right(*a)
            return 1.2 * result if part == "refiner" else (result[0], result[1] + 1)

        setattr(stage, f"_{what}", compute)
        return found

    monkeypatch.setattr(usable, "TorchPoseDevice", wrong)
    assert words in choose_device("auto", reference).words
    with pytest.raises(DeviceError, match=words):
        choose_device("cuda", reference)


@pytest.mark.parametrize(("module", "name", "words"), [
    ("renderer", "DeviceRenderer", "its depth differs"), ("network", "DeviceNetwork", "its network's map differs")])
@pytest.mark.usefixtures("usable")
def test_so_is_one_that_renders_or_judges_otherwise(reference: Reference, monkeypatch: pytest.MonkeyPatch, module: str,
                                                    name: str, words: str) -> None:
    of = getattr(importlib.import_module(f"ptad_core.gpu.{module}"), name)
    monkeypatch.setattr(f"ptad_core.gpu.{module}.{name}", lambda *a: SimpleNamespace(
        of=of(*a), difference_to_cpu=lambda *_: words))
    judge = load_judge("auto")
    found = choose_device("auto", reference, judge)
    assert words in found.words and found.pose is None and found.render is None and found.judge is judge
    with pytest.raises(DeviceError, match=words):
        choose_device("cuda", reference, judge)


def test_a_driver_that_fails_is_reported(reference: Reference, usable: types.ModuleType,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("CUDA driver version is insufficient\nmore")

    monkeypatch.setattr(usable, "TorchPoseDevice", broken)
    assert choose_device("auto", reference).words == ("cpu, chosen by auto: RuntimeError: CUDA driver version is "
                                                      "insufficient")


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize(("part", "what"), [("refiner", "refine"), ("search", "fit"), ("search", "rank")])
def test_out_of_memory_and_a_broken_device_leave_it_to_the_cpu(
        reference: Reference, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str, what: str,
        ) -> None:
    import torch
    inspector = Inspector(reference, InspectorConfig(), "cuda")
    segmentation = as_segmentation(exact_mask(bracket(), T))
    calls = []

    def fail_with(error: Exception) -> None:
        def fail(*_: object) -> None:
            calls.append(error)
            raise error
        monkeypatch.setattr(getattr(inspector._device.pose, part), what, fail)

    for error, words in ((torch.OutOfMemoryError("CUDA out of memory"), "for this image"),
                         (torch.OutOfMemoryError("CUDA out of memory"), "for this image"),
                         (torch.AcceleratorError("an illegal memory access"), "from now on")):
        caplog.clear()
        before = len(calls)
        fail_with(error)
        inspector.reset()
        found = inspector.align(None, CAMERA, segmentation)
        assert found.trusted and found.pose is not None and turned_by_deg(found.pose.T_camera_part, T) < 1.0
        assert words in caplog.text and len(calls) > before
    inspector.reset()
    before = len(calls)
    assert inspector.align(None, CAMERA, segmentation).trusted and len(calls) == before


@pytest.mark.usefixtures("usable")
def test_the_whole_search_on_a_device_finds_what_the_cpus_finds(reference: Reference) -> None:
    segmentation = as_segmentation(exact_mask(bracket(), T))
    found, expected = (Inspector(reference, InspectorConfig(), name).align(None, CAMERA, segmentation).pose
                       for name in ("cuda", "cpu"))
    assert found is not None and expected is not None
    assert turned_by_deg(found.T_camera_part, expected.T_camera_part) < 0.2
    assert found.mask_iou == pytest.approx(expected.mask_iou, abs=0.005)
    assert found.residual_px == pytest.approx(expected.residual_px, abs=0.05)


@pytest.mark.usefixtures("usable")
def test_a_whole_inspection_on_a_device_is_that_of_the_cpu(reference: Reference, monkeypatch: pytest.MonkeyPatch,
                                                           ) -> None:
    """Every stage that a device has is asked there, and nothing of what comes out is otherwise."""
    image = picture(bracket(), T)
    on_device, on_cpu = (Inspector(reference, InspectorConfig(), name) for name in ("cuda", "cpu"))
    chosen = on_device._device
    assert chosen.pose is not None and chosen.render is not None and chosen.judge is not None
    asked = []

    def listened(of: object, name: str, stage: str) -> None:
        right = getattr(of, name)
        monkeypatch.setattr(of, name, lambda *a: asked.append(stage) or right(*a))

    listened(chosen.pose.refiner, "refine", "refine")
    listened(chosen.render, "_render", "render")
    listened(chosen.judge.device, "_answer", "judge")
    found, expected = on_device.inspect(image, CAMERA), on_cpu.inspect(image, CAMERA)
    assert asked[-3:] == ["refine", "render", "judge"]
    assert found.verdict == expected.verdict and found.detection is not None and expected.detection is not None
    logits = [d.evidence.network_logit for d in (found.detection, expected.detection) if d.evidence is not None]
    assert logits[0] == pytest.approx(logits[1], abs=0.2), "poses differ a little, and so do their pictures"
    assert found.rendering is not None and expected.rendering is not None
    solid = np.isfinite(found.rendering.depth) & np.isfinite(expected.rendering.depth)
    assert solid.sum() > 0.98 * np.isfinite(expected.rendering.depth).sum()
    assert found.pose is not None and expected.pose is not None
    nearer_m = [depth_of_centre(pose.T_camera_part, reference) for pose in (found.pose, expected.pose)]
    assert nearer_m[0] == pytest.approx(nearer_m[1], rel=1e-3), "poses differ by what a refinement leaves"
    apart_m = (found.rendering.depth - nearer_m[0]) - (expected.rendering.depth - nearer_m[1])
    assert np.median(np.abs(apart_m)[solid]) < 2e-4 * reference.diameter_m
