"""The pose stage on a GPU: ``make bench-gpu``; tables, then one line of JSON.

Each stage is timed between two synchronisations after a warm-up; the figure is the median. The part is a bracket
without symmetry, its masks are those of the exact rasteriser; accuracy is that of ``make bench-pose``, the same pairs
on the CPU and on the device. Without a usable GPU it says so, and the figures of the line are null. ``--device cpu``
runs the device's arithmetic in torch on the CPU: a check of the benchmark, no measurement of anything.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.gpu import stages, whole
from benchmarks.gpu.accuracy import accuracy
from benchmarks.gpu.cases import bracket
from benchmarks.gpu.soak import soak
from benchmarks.pose.objects import BenchObject
from ptad_core.config import PoseConfig
from ptad_core.detection import load_judge
from ptad_core.errors import DeviceError
from ptad_core.gpu.device import Device, choose_device, prepare
from ptad_core.gpu.pose_device import TorchPoseDevice
from ptad_core.pose.paper import PaperSettings

NAMED = ("device", "blind_ms", "seeded_ms", "adam150_ms", "images_per_s")
PARTS = ("stages", "search", "whole", "adam", "images", "accuracy")
Figures = dict[str, object]


class Stopped(BaseException):
    """Somebody's patience is at an end; what was measured until then is told."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print; returns how many parts failed."""
    options = _options(arguments)
    figures: Figures = dict.fromkeys(NAMED)
    reasons: dict[str, str] = {}
    failed: dict[str, str] = {}
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        item = bracket()
        device = _device(options.device, item)
        figures["device"] = device.words
        print(f"{device.words}; median of {options.repeats}")
        for name, part in _parts(item, device, options, reasons).items():
            _run(name, part, figures, failed)
    except DeviceError as error:
        print(f"no figures: {error}")
        figures["reason"] = str(error)
    except Stopped:
        say("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
        missing = {k: reasons.get(k, "its part failed" if failed else "not asked for") for k in NAMED
                   if figures[k] is None and "reason" not in figures}
        figures |= {name: of for name, of in (("reasons", missing), ("failed", failed)) if of}
        print(json.dumps({"gpu": figures}), flush=True)
    return len(failed)


def say(words: str) -> None:
    """Tell the operator how far it is, apart from the report."""
    print(words, file=sys.stderr, flush=True)


def _stop(*_: object) -> None:
    raise Stopped


def _run(name: str, part: Callable[[], Iterator[Figures]], figures: Figures, failed: dict[str, str]) -> None:
    """Run one part; the next ones have their turn whatever becomes of it."""
    start = time.perf_counter()
    print(f"\n{name}")
    try:
        for found in part():
            figures |= found
    except Stopped:
        failed[name] = f"stopped after {time.perf_counter() - start:.0f} s"
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is named in the last line
        traceback.print_exc()
        failed[name] = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
        print(f"{name} FAILED: {failed[name]}")
    say(f"{name}: {time.perf_counter() - start:.0f} s")


def _parts(item: BenchObject, device: Device, options: argparse.Namespace, reasons: dict[str, str],
           ) -> dict[str, Callable[[], Iterator[Figures]]]:
    pose = device.pose
    assert pose is not None
    parts: dict[str, Callable[[], Iterator[Figures]]] = {
        "stages": lambda: _stages(item, options), "search": lambda: _search(item, pose, options),
        "whole": lambda: _whole(item, device, options), "adam": lambda: _adam(item, options, reasons),
        "images": lambda: _images(item, pose, options), "accuracy": lambda: _accuracy(options)}
    asked = {name: parts[name] for name in options.parts}
    if options.soak:
        asked["memory"] = lambda: ({"memory": grown} for grown in soak(item, device, options.soak, print))
    return asked


def _device(name: str, item: BenchObject) -> Device:
    judge = load_judge("auto")
    if name != "cpu":
        return choose_device(name, item.reference, judge)
    device, why_not = prepare(name, item.reference, judge)
    if why_not:
        raise DeviceError(why_not)
    return device


def _stages(item: BenchObject, options: argparse.Namespace) -> Iterator[Figures]:
    for count in options.gaussians:
        reference = bracket(count).reference
        for size in options.sizes:
            for stage, ms in stages.rendering(reference, item, options.device, size, options.repeats):
                print(f"{count:7d} Gaussians  {size:4d} px  {stage:12s} {ms:9.3f} ms", flush=True)
            for batch in options.batches:
                for stage, ms in stages.refinement(reference, item, options.device, size, batch, options.repeats):
                    print(f"{count:7d} Gaussians  {size:4d} px  batch {batch:3d}  {stage:12s} {ms:9.3f} ms", flush=True)
    yield {}


def _search(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Iterator[Figures]:
    for stage, ms in stages.searching(item, device, options.device, options.repeats):
        print(f"{stage:18s} {ms:9.3f} ms", flush=True)
    yield {}


def _whole(item: BenchObject, device: Device, options: argparse.Namespace) -> Iterator[Figures]:
    assert device.pose is not None
    for name, config, seeded in (("blind_ms", PoseConfig(preset="ring20"), False),
                                 ("blind_sphere_ms", PoseConfig(), False), ("seeded_ms", PoseConfig(), True)):
        ms, shares = whole.alignments(item, device.pose, options.device, config, options.repeats, seeded=seeded)
        print(f"{name:16s} {ms:9.3f} ms, on the device: "
              + ", ".join(f"{stage} {value:.2f}" for stage, value in shares.items()), flush=True)
        yield {name: round(ms, 3)}
    for name, cpu_ms, ms in whole.looking(item, device, options.device, options.repeats):
        print(f"{name:16s} {ms:9.3f} ms, on the CPU {cpu_ms:.2f}", flush=True)
        yield {name: round(ms, 3)}


def _adam(item: BenchObject, options: argparse.Namespace, reasons: dict[str, str]) -> Iterator[Figures]:
    times, why_not = whole.descents(item, options.device, replace(PaperSettings(), steps=options.adam_steps))
    for name, ms in times.items():
        print(f"{options.adam_steps} Adam steps by {name}: {ms:.1f} ms")
    for name, reason in why_not.items():
        print(f"{options.adam_steps} Adam steps by {name}: none, {reason}")
    reasons["adam150_ms"] = why_not.get("gsplat", "") or f"{options.adam_steps} steps were asked for"
    measured = options.adam_steps == PaperSettings().steps
    yield {"adam150_ms": round(times["gsplat"], 2) if measured and "gsplat" in times else None,
           "adam150_kernels_ms": round(times["own kernels"], 2) if measured else None}


def _images(item: BenchObject, device: TorchPoseDevice, options: argparse.Namespace) -> Iterator[Figures]:
    for key, network in (("images_per_s", "auto"), ("images_per_s_geometry", "none")):
        found = whole.inspections(item, options.device, network)
        print(f"{key:22s} {found.per_s:8.1f}, stages overlapped {found.overlapped_per_s:.1f}; {found.judged[0]} and "
              f"{found.judged[1]} of {whole.FRAMES} with a verdict; "
              + ", ".join(f"{stage} {ms:.2f} ms" for stage, ms in found.stages_ms.items()), flush=True)
        yield {key: round(found.per_s, 2), f"{key}_overlapped": round(found.overlapped_per_s, 2)}
        if network == "auto":
            yield {"stages_ms": {stage: round(ms, 2) for stage, ms in found.stages_ms.items()}}
    refined: dict[str, float] = {}
    for images in options.batches:
        per_s = stages.several_images(item, device, options.device, images, options.repeats)
        print(f"{images:>3} images in one batch, {stages.HYPOTHESES} poses each: {per_s:8.1f} refined a second")
        refined[str(images)] = round(per_s, 1)
        yield {"refined_per_s": refined}


def _accuracy(options: argparse.Namespace) -> Iterator[Figures]:
    lines, figures = accuracy(options.device, options.pairs, say)
    print("\n".join(lines))
    yield {"accuracy": figures}


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
    parser.add_argument("--soak", type=int, default=0, help="inspections over which memory is watched")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main() > 0)
