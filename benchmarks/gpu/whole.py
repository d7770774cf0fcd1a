"""Times of whole alignments, whole inspections and the paper's descent."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.gpu.cases import CAMERA, VIEWS, median_ms, query_of, scene, seed_off, synchronise
from benchmarks.pose.conditions import CAMERA as SMALL_CAMERA
from benchmarks.pose.conditions import Condition, make_scene, sphere_view
from benchmarks.pose.objects import BenchObject
from ptad_core.config import DetectionConfig, InspectorConfig, PoseConfig
from ptad_core.detection import load_judge
from ptad_core.detection.network.inputs import network_input
from ptad_core.errors import DeviceError
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.gpu.device import Device
from ptad_core.gpu.gsplat_masks import GsplatMasks
from ptad_core.gpu.masks import device_masks
from ptad_core.gpu.pose_device import TorchPoseDevice
from ptad_core.inspector import Inspector
from ptad_core.pose import align
from ptad_core.pose.paper import PaperBaseline, PaperSettings
from ptad_core.rendering.differentiable import MaskRenderer
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.rendering.splat import render
from ptad_core.rendering.view import look
from ptad_core.types import ColorImage, InspectionResult, Segmentation, Verdict

FRAMES = 48
JUDGING = 2
"""Threads that render and judge while the next images are segmented and aligned."""
BACKDROP_BGR = (40, 160, 20)
"""As in a cell: nothing of the part looks like it. What is timed is an inspection that comes to its end."""
TURN_DEG = 2.0
"""From one frame of a sequence to the next."""


@dataclass
class Timed:
    """A device of which each call is timed, between two synchronisations."""

    device: TorchPoseDevice
    name: str

    def __post_init__(self) -> None:
        self.ms: dict[str, float] = defaultdict(float)

    def _timed(self, stage: str, compute: Callable[[], object]) -> object:
        synchronise(self.name)
        start = time.perf_counter()
        result = compute()
        synchronise(self.name)
        self.ms[stage] += 1e3 * (time.perf_counter() - start)
        return result

    def __getattr__(self, stage: str) -> Callable[..., object]:
        method = getattr(self.device, stage)
        return lambda *arguments: self._timed(stage, lambda: method(*arguments))


def alignments(item: BenchObject, device: TorchPoseDevice, name: str, config: PoseConfig, repeats: int, *,
               seeded: bool) -> tuple[float, dict[str, float]]:
    """Return median milliseconds of an alignment, mask to pose, and the mean of what each stage takes of them."""
    rng, whole, stages = np.random.default_rng(1), [], Timed(device, name)
    for k in range(VIEWS):
        T, segmentation = scene(item, k)
        seeds = (seed_off(T, item, rng),) if seeded else ()
        arguments = (segmentation, CAMERA, item.reference, config, seeds)
        whole.append(median_ms(lambda a=arguments: align(*a, device=device), name, max(repeats // VIEWS, 1)))
        align(*arguments, device=stages)  # type: ignore[arg-type]  # it has the methods
    return float(np.median(whole)), {stage: ms / VIEWS for stage, ms in stages.ms.items()}


@dataclass(frozen=True)
class Sequence:
    """What came of a tracked sequence.

    Attributes:
        per_s: images a second, one after the other.
        overlapped_per_s: the same with each stage in a thread of its own, as in a cell of three nodes.
        judged: images with a verdict, one after the other and overlapped.
        stages_ms: median of each stage; every stage ends with its results on the host.
    """

    per_s: float
    overlapped_per_s: float
    judged: tuple[int, int]
    stages_ms: dict[str, float]


def inspections(item: BenchObject, device: str, network: str) -> Sequence:
    """Inspect a tracked sequence at 256 x 256, all stages."""
    inspector = Inspector(item.reference, InspectorConfig(detection=DetectionConfig(network=network)), device)
    pictures = _sequence(item)
    for inspect in (_one_by_one, _overlapped):  # compiles, records, fills caches
        inspect(inspector, pictures[:4])
    results, per_s = _timed(_one_by_one, inspector, pictures, device)
    overlapped, overlapped_per_s = _timed(_overlapped, inspector, pictures, device)
    stages: dict[str, list[float]] = defaultdict(list)
    for time_of in (t for r in results for t in r.times):
        stages[time_of.stage].append(time_of.ms)
    one_by_one, together = (sum(r.verdict != Verdict.CANNOT_INSPECT for r in of) for of in (results, overlapped))
    return Sequence(per_s, overlapped_per_s, (one_by_one, together),
                    {name: float(np.median(ms)) for name, ms in stages.items()})


def _sequence(item: BenchObject) -> list[ColorImage]:
    rng = np.random.default_rng(2)
    T, pictures = sphere_view(item, rng), []
    for k in range(FRAMES):
        turn = rotation_exp(np.radians(TURN_DEG * k) * np.array([0.0, 0.6, 0.8])) @ T[:3, :3]
        centre = T[:3, :3] @ item.reference.center_m + T[:3, 3]
        drawn = make_scene(item, make_transform(turn, centre - turn @ item.reference.center_m), Condition.INTACT, rng)
        assert drawn is not None
        pictures.append(np.where(drawn.foreground[..., None], drawn.image_bgr, np.uint8(BACKDROP_BGR)).astype(np.uint8))
    return pictures


def _timed(inspect: Callable[[Inspector, list[ColorImage]], list[InspectionResult]], inspector: Inspector,
           pictures: list[ColorImage], device: str) -> tuple[list[InspectionResult], float]:
    inspector.reset()
    synchronise(device)
    start = time.perf_counter()
    results = inspect(inspector, pictures)
    synchronise(device)
    return results, len(pictures) / (time.perf_counter() - start)


def _one_by_one(inspector: Inspector, pictures: list[ColorImage]) -> list[InspectionResult]:
    return [inspector.inspect(picture, SMALL_CAMERA) for picture in pictures]


def _overlapped(inspector: Inspector, pictures: list[ColorImage]) -> list[InspectionResult]:
    """One thread segments, this one aligns, since a pose is looked for where the last one was, and others judge."""
    def segmented(picture: ColorImage) -> tuple[ColorImage, Segmentation]:
        return picture, inspector.segment(picture, SMALL_CAMERA)

    def judged(picture: ColorImage, segmentation: Segmentation) -> Callable[[], InspectionResult]:
        alignment = inspector.align(picture, SMALL_CAMERA, segmentation)

        def decide() -> InspectionResult:
            detection = None
            if alignment.trusted and not segmentation.reasons:
                detection = inspector.detect(picture, SMALL_CAMERA, segmentation, alignment)
            return inspector.decide(segmentation, alignment, detection)

        return decide

    with ThreadPoolExecutor(1) as segmenting, ThreadPoolExecutor(JUDGING) as judging:
        waiting = [judging.submit(judged(*found)) for found in segmenting.map(segmented, pictures)]
        return [future.result() for future in waiting]


def looking(item: BenchObject, device: Device, name: str, repeats: int) -> Iterator[tuple[str, float, float]]:
    """Yield rendering and network with their milliseconds on the CPU and on the device; one view at 256 x 256."""
    T, on_cpu = sphere_view(item, np.random.default_rng(2)), load_judge("auto")
    gaussians = item.reference.gaussians
    view = look(gaussians, SMALL_CAMERA, T)
    on_device, judge = device.render, device.judge
    assert view is not None
    assert on_device is not None
    assert judge is not None
    assert on_cpu is not None
    nothing = np.zeros((SMALL_CAMERA.height, SMALL_CAMERA.width, 3), np.uint8)
    cad = ExactRenderer(item.reference.mesh.vertices, item.reference.mesh.faces)
    pair = network_input(nothing, view.in_image().mask > 0.5, cad, view.camera, T, view.window,
                         item.reference.diameter_m, on_cpu.size_px)
    for stage, there, here in (
            ("render_ms", lambda: render(gaussians, view.camera, T), lambda: on_device(view.camera, T)),
            ("network_ms", lambda: on_cpu(pair), lambda: judge(pair))):
        yield stage, median_ms(there, "cpu", max(repeats // 4, 1)), median_ms(here, name, repeats)


def descents(item: BenchObject, device: str, settings: PaperSettings) -> tuple[dict[str, float], dict[str, str]]:
    """Return milliseconds of the paper's descent by each renderer, and why one has none."""
    T, segmentation = scene(item, 0)
    query, rng = query_of(segmentation, settings.work_size_px), np.random.default_rng(0)
    start = seed_off(T, item, rng).T_camera_part
    renderers: dict[str, Callable[[], MaskRenderer]] = {
        "gsplat": lambda: GsplatMasks(item.reference.gaussians, device),
        "own kernels": lambda: device_masks(item.reference.gaussians, device)}
    times, reasons = {}, {}
    for name, make in renderers.items():
        try:
            render = make()
        except DeviceError as error:
            reasons[name] = str(error)
            continue
        PaperBaseline(item.reference, replace(settings, steps=3), render).descend_from([query], [start])
        baseline = PaperBaseline(item.reference, settings, render)
        times[name] = median_ms(lambda b=baseline: b.descend_from([query], [start]), device, 1)
    return times, reasons
