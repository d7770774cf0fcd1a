"""Where the heavy stages run: ``auto | cpu | cuda``. Importing this imports neither torch nor anything of CUDA."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptad_core.errors import DeviceError
from ptad_core.reference.build import Reference

if TYPE_CHECKING:
    from ptad_core.detection.network.judge import Judge
    from ptad_core.gpu.pose_device import TorchPoseDevice
    from ptad_core.gpu.renderer import DeviceRenderer

DEVICES = ("auto", "cpu", "cuda")
NEEDED = ("torch", "triton")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """What was chosen, and the stages there.

    Attributes:
        words: what, and why.
        judge: whose network runs there; None where there was none.
        pose: finds poses; None where the CPU does everything.
        render: renders the aligned part; None likewise.
    """

    words: str
    judge: Judge | None = None
    pose: TorchPoseDevice | None = None
    render: DeviceRenderer | None = None


def choose_device(wanted: str, reference: Reference, judge: Judge | None = None) -> Device:
    """Choose where a part is inspected, and log it.

    Args:
        wanted: cpu; cuda; or auto, which takes a GPU where there is one that computes what the CPU computes.
        reference: the part; its Gaussians and views are uploaded here, once.
        judge: its network, if any, is uploaded too; the judge given stays as it is.

    Raises:
        DeviceError: if cuda was asked for and cannot be used.
    """
    if wanted not in DEVICES:
        raise DeviceError(f"device: expected one of {', '.join(DEVICES)}, got {wanted!r}")
    if wanted == "cpu":
        return _chosen(Device("cpu, as asked for", judge))
    why_not = _unusable()
    if not why_not:
        try:
            device, why_not = prepare("cuda", reference, judge)
        except Exception as error:  # noqa: BLE001 - drivers and compilers fail in ways of their own; it is reported
            why_not = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
        if not why_not:
            return _chosen(device)
    if wanted == "cuda":
        raise DeviceError(f"device: expected an NVIDIA GPU, as cuda was asked for: {why_not}; auto or cpu go without")
    return _chosen(Device(f"cpu, chosen by auto: {why_not}", judge))


def prepare(name: str, reference: Reference, judge: Judge | None) -> tuple[Device, str]:
    """Upload to a device of torch's, and compare with the CPU; returns in words what differs, '' where nothing."""
    from ptad_core.gpu.fallback import Fallback
    from ptad_core.gpu.pose_device import TorchPoseDevice, probe
    from ptad_core.gpu.renderer import DeviceRenderer
    fallback = Fallback()
    pose = TorchPoseDevice(reference, name, fallback)
    renderer = DeviceRenderer(reference.gaussians, name, pose.refiner.gaussians, fallback)
    why_not = pose.difference_to_cpu() or renderer.difference_to_cpu(*probe(reference))
    if judge is not None and not why_not:
        from ptad_core.gpu.network import DeviceNetwork
        network = DeviceNetwork(judge, name, fallback)
        why_not, judge = network.difference_to_cpu(), judge.on(network)
    return Device(f"{name}, {pose.name}: it computes what the CPU computes", judge, pose, renderer), why_not


def _chosen(device: Device) -> Device:
    logger.info("device: %s", device.words)
    return device


def _unusable() -> str:
    """Say what a CUDA device lacks to be used; '' where nothing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (make gpu)"
    import torch
    if not torch.cuda.is_available():
        return "torch finds no CUDA device" if torch.version.cuda else "this torch is built for the CPU (make gpu)"
    return ""
