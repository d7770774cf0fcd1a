"""Memory over many inspections: what the device and the host hold at the end that they did not hold at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.cases import CAMERA, VIEWS, scene, seed_off
from benchmarks.pose.objects import BenchObject
from ptad_core.config import PoseConfig
from ptad_core.detection.network.inputs import CHANNELS
from ptad_core.gpu.device import Device
from ptad_core.pose import align
from ptad_core.rendering.view import look

SETTLED = 200
"""Inspections after which caches are filled and every recording is made."""
REPORTS = 10


def soak(item: BenchObject, device: Device, count: int, say: Callable[[str], None]) -> Iterator[dict[str, float]]:
    """Align, render and judge ``count`` times; yields growth in MB since the first ``SETTLED`` times, now and then.

    Segmentation and geometry are left out: they run on the host as they always did, and take most of the time.
    """
    rng, scenes = np.random.default_rng(3), [scene(item, k) for k in range(VIEWS)]
    assert device.judge is not None
    pair = rng.integers(0, 256, (CHANNELS, device.judge.size_px, device.judge.size_px)).astype(np.uint8)
    begun, settled = memory_mb(), min(SETTLED, count // 2)
    for k in range(count):
        T, segmentation = scenes[k % VIEWS]
        # One in ten without a seed, and every size of batch that the search asks for.
        seeds = (seed_off(T, item, rng),) if k % 10 else ()
        found = align(segmentation, CAMERA, item.reference, PoseConfig(), seeds, device=device.pose)
        assert found.pose is not None
        assert look(item.reference.gaussians, CAMERA, found.pose.T_camera_part, device=device.render) is not None
        device.judge(pair)
        if k + 1 == settled:
            begun = memory_mb()
        if (k + 1) % max(count // REPORTS, 1) == 0 or k + 1 == count:
            now = memory_mb()
            say(f"{k + 1:7d} inspections: device {now['device']:.1f} MB, reserved {now['reserved']:.1f} MB, "
                f"host {now['host']:.1f} MB")
            yield {"inspections": k + 1, **{f"{name}_growth_mb": round(value - begun[name], 3)
                                            for name, value in now.items()}}


def memory_mb() -> dict[str, float]:
    """Return what tensors hold and what torch keeps on the device, and the resident size of this process."""
    on_device = torch.cuda.is_available()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {"device": torch.cuda.memory_allocated() / 1e6 if on_device else 0.0,
            "reserved": torch.cuda.memory_reserved() / 1e6 if on_device else 0.0, "host": pages * 4096 / 1e6}
