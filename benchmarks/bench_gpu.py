"""The pose stage on a GPU: ``make bench-gpu``; tables, then one line of JSON.

Each stage is timed between two synchronisations after a warm-up; the figure is the median. The part is a bracket
without symmetry, its masks are those of the exact rasteriser; accuracy is that of ``make bench-pose``, the same pairs
on the CPU and on the device. Without a usable GPU it says so, and the figures of the line are null. ``--device cpu``
runs the device's arithmetic in torch on the CPU: a check of the benchmark, no measurement of anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.gpu import stages, whole
from benchmarks.gpu.accuracy import accuracy
from benchmarks.gpu.cases import bracket
from benchmarks.gpu.soak import soak
from benchmarks.pose.objects import BenchObject
from ptad_core.config import PoseConfig
from ptad_core.errors import DeviceError
from ptad_core.gpu.device import choose_device
from ptad_core.gpu.pose_device import TorchPoseDevice
from ptad_core.pose.paper import PaperSettings

NAMED = ("device", "blind_ms", "seeded_ms", "adam150_ms", "images_per_s")
PARTS = ("stages", "search", "whole", "adam", "images", "accuracy")
Figures = dict[str, object]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print."""
    options = _options(arguments)
    item = bracket()
    figures: Figures = dict.fromkeys(NAMED)
    reasons: dict[str, str] = {}
    try:
        device, words = _device(options.device, item)
    except DeviceError as error:
        print(f"no figures: {error}")
        print(json.dumps({"gpu": figures | {"reason": str(error)}}))
        return
    figures["device"] = words
    print(f"{words}; median of {options.repeats}")
    parts: dict[str, Callable[[], Figures]] = {
        "stages": lambda: _stages(item, options), "search": lambda: _search(item, device, options),
        "whole": lambda: _whole(item, device, options), "adam": lambda: _adam(item, options, reasons),
        "images": lambda: _images(item, device, options), "accuracy": lambda: _accuracy(options)}
    for name in options.parts:
        start = time.perf_counter()
        print(f"\n{name}")
        figures |= parts[name]()
        say(f"{name}: {time.perf_counter() - start:.0f} s")
    if options.soak:
        print(f"\nmemory, {options.soak} alignments")
        figures["memory"] = soak(item, device, options.soak, print)
    missing = {k: reasons.get(k, "not asked for") for k in NAMED if figures[k] is None}
    print(json.dumps({"gpu": figures | ({"reasons": missing} if missing else {})}))


def say(words: str) -> None:
    """Tell the operator how far it is, apart from the report."""
    print(words, file=sys.stderr, flush=True)


def _device(name: str, item: BenchObject) -> tuple[TorchPoseDevice, str]:
    if name == "cpu":
        device = TorchPoseDevice(item.reference, "cpu")
        return device, device.name
    chosen = choose_device(name, item.reference)
    assert chosen.pose is not None
    return chosen.pose, chosen.words


def _stages(item: BenchObject, options: argparse.Namespace) -> Figures:
    for count in options.gaussians:
        reference = bracket(count).reference
        for size in options.sizes:
            for batch in options.batches:
                for stage, ms in stages.refinement(reference, item, options.device, size, batch, options.repeats):
                    print(f"{count:7d} Gaussians  {size:4d} px  batch {batch:3d}  {stage:12s} {ms:9.3f} ms", flush=True)
    return {}


def _search(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Figures:
    for stage, ms in stages.searching(item, device, options.device, options.repeats):
        print(f"{stage:18s} {ms:9.3f} ms", flush=True)
    return {}


def _whole(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Figures:
    figures: Figures = {}
    for name, config, seeded in (("blind_ms", PoseConfig(preset="ring20"), False),
                                 ("blind_sphere_ms", PoseConfig(), False), ("seeded_ms", PoseConfig(), True)):
        ms, shares = whole.alignments(item, device, options.device, config, options.repeats, seeded=seeded)
        figures[name] = round(ms, 3)
        print(f"{name:16s} {ms:9.3f} ms, on the device: "
              + ", ".join(f"{stage} {value:.2f}" for stage, value in shares.items()), flush=True)
    return figures


def _adam(item: BenchObject, options: argparse.Namespace, reasons: dict[str, str]) -> Figures:
    times, why_not = whole.descents(item, options.device, replace(PaperSettings(), steps=options.adam_steps))
    for name, ms in times.items():
        print(f"{options.adam_steps} Adam steps by {name}: {ms:.1f} ms")
    for name, reason in why_not.items():
        print(f"{options.adam_steps} Adam steps by {name}: none, {reason}")
    reasons["adam150_ms"] = why_not.get("gsplat", "") or f"{options.adam_steps} steps were asked for"
    measured = options.adam_steps == PaperSettings().steps
    return {"adam150_ms": round(times["gsplat"], 2) if measured and "gsplat" in times else None,
            "adam150_kernels_ms": round(times["own kernels"], 2) if measured else None}


def _images(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Figures:
    figures: Figures = {}
    for key, network in (("images_per_s", "auto"), ("images_per_s_geometry", "none")):
        per_s, judged, shares = whole.inspections(item, options.device, network)
        figures[key] = round(per_s, 2)
        print(f"{key:22s} {per_s:8.1f}, {judged} of {whole.FRAMES} with a verdict; "
              + ", ".join(f"{stage} {ms:.2f} ms" for stage, ms in shares.items()), flush=True)
    refined = {str(n): round(per_s, 1) for n, per_s in _refined(item, device, options)}
    for images, per_s in refined.items():
        print(f"{images:>3} images in one batch, {stages.HYPOTHESES} poses each: {per_s:8.1f} refined a second")
    return figures | {"refined_per_s": refined}


def _refined(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Iterator[tuple[int, float]]:
    for images in options.batches:
        yield images, stages.several_images(item, device, options.device, images, options.repeats)


def _accuracy(options: argparse.Namespace) -> Figures:
    lines, figures = accuracy(options.device, options.pairs, say)
    print("\n".join(lines))
    return {"accuracy": figures}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=32)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[5_000, 20_000, 100_000, 500_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--adam-steps", type=int, default=150, help="other numbers are for trials")
    parser.add_argument("--pairs", type=int, default=30, help="pairs of object and view for the accuracy")
    parser.add_argument("--soak", type=int, default=0, help="alignments over which memory is watched; 10000 is the aim")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
