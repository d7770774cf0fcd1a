"""Which device is taken, what is said about it, and what happens where it fails."""

from __future__ import annotations

import logging
import subprocess
import sys
import types
from collections.abc import Callable

import pytest
from core_parts import CAMERA, as_segmentation, bracket, exact_mask, seen_from, turned_by_deg

from ptad_core.config import InspectorConfig, ReferenceConfig
from ptad_core.errors import DeviceError
from ptad_core.gpu import device
from ptad_core.gpu.device import choose_device
from ptad_core.inspector import Inspector
from ptad_core.reference import Reference, reference_from_mesh

T = seen_from(bracket(), (0.5, -0.6, 0.7), 0.5)


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", reference_config)


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
    assert choose_device("cpu", reference).refine is None


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "NEEDED", ("numpy", "not_there", "nor_this"))
    assert device._unusable() == "not_there and nor_this not installed (make gpu)"


def make_usable(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A device by name; what runs on it is the CPU."""
    pytest.importorskip("torch", reason="needs torch: make learning")
    from ptad_core.gpu import refine
    made = refine.DeviceRefiner
    monkeypatch.setattr(device, "_unusable", lambda: "")
    monkeypatch.setattr(refine, "DeviceRefiner", lambda reference, _device: made(reference, "cpu"))
    return refine


def test_a_device_that_computes_the_same_is_taken(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    make_usable(monkeypatch)
    found = choose_device("auto", reference)
    assert found.refine is not None and found.words.startswith("cuda, ")


@pytest.mark.parametrize(("what", "words"), [("splat_sums", "its mask differs"),
                                             ("level_set_sums", "its normal equations differ")])
def test_a_device_that_computes_something_else_is_refused(reference: Reference, monkeypatch: pytest.MonkeyPatch,
                                                          what: str, words: str) -> None:
    refine = make_usable(monkeypatch)
    made = refine.DeviceRefiner

    def wrong(*arguments: object) -> object:
        refiner = made(*arguments)
        right: Callable[..., object] = getattr(refiner, f"_{what}")
        setattr(refiner, f"_{what}", lambda *a: 1.2 * right(*a))  # type: ignore[operator]
        return refiner

    monkeypatch.setattr(refine, "DeviceRefiner", wrong)
    assert words in choose_device("auto", reference).words
    with pytest.raises(DeviceError, match=words):
        choose_device("cuda", reference)


def test_a_driver_that_fails_is_reported(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    refine = make_usable(monkeypatch)

    def broken(*_: object) -> object:
        raise RuntimeError("CUDA driver version is insufficient\nmore")

    monkeypatch.setattr(refine, "DeviceRefiner", broken)
    assert choose_device("auto", reference).words == ("cpu, chosen by auto: RuntimeError: CUDA driver version is "
                                                      "insufficient")


def test_out_of_memory_and_a_broken_device_leave_it_to_the_cpu(
        reference: Reference, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    make_usable(monkeypatch)
    import torch
    inspector = Inspector(reference, InspectorConfig(), "cuda")
    refiner = inspector._device.refine
    assert refiner is not None
    segmentation = as_segmentation(exact_mask(bracket(), T))
    calls = []

    def fail_with(error: Exception) -> None:
        def refine(*_: object) -> None:
            calls.append(error)
            raise error
        monkeypatch.setattr(refiner, "refine", refine)

    for error, words in ((torch.OutOfMemoryError("CUDA out of memory"), "for this image"),
                         (torch.OutOfMemoryError("CUDA out of memory"), "for this image"),
                         (torch.AcceleratorError("an illegal memory access"), "from now on")):
        caplog.clear()
        fail_with(error)
        inspector.reset()
        found = inspector.align(None, CAMERA, segmentation)
        assert found.trusted and found.pose is not None and turned_by_deg(found.pose.T_camera_part, T) < 1.0
        assert words in caplog.text
    inspector.reset()
    assert len(calls) == 3 and inspector.align(None, CAMERA, segmentation).trusted and len(calls) == 3
