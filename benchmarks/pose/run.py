"""Runs of the aligner and of the paper's baseline over drawn pairs of object and view: one row per answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from benchmarks.pose.conditions import CAMERA, Condition, Scene, make_scene, ring_view, sphere_view
from benchmarks.pose.errors import nees, pose_error
from benchmarks.pose.objects import BenchObject
from ptad_core.config import PoseConfig, SegmentationConfig
from ptad_core.evaluation.wrong_seed import turned_and_shifted
from ptad_core.frames import make_transform
from ptad_core.pose import align
from ptad_core.pose.align import PoseDevice
from ptad_core.pose.paper import PaperBaseline, PaperFit
from ptad_core.rendering.splat import render_mask
from ptad_core.segmentation.mask import finish, to_lab
from ptad_core.types import AlignedPose, Alignment, FloatArray, PoseSeed, Reason, SeedSource, Segmentation

SEED_OFF_DEG = 10.0
SEED_OFF_SHARE = 0.05
"""Of the distance to the camera."""
MIN_IOU_AT_TRUTH = 0.93
MIN_IOU_OF_COPIES = 0.985

View = Callable[[BenchObject, np.random.Generator], FloatArray]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to ask for a pose.

    Attributes:
        name: in the tables.
        view: draws the true poses.
        config: settings of the aligner; None asks the paper's baseline.
        seeded: whether the aligner gets a first guess, ``SEED_OFF_DEG`` and ``SEED_OFF_SHARE`` off.
        picture: whether it sees the picture, or the mask alone.
    """

    name: str
    view: View
    config: PoseConfig | None
    seeded: bool = False
    picture: bool = False


PAPER = Mode("paper", ring_view, None)
MODES = (
    Mode("ring20", ring_view, PoseConfig(preset="ring20")),
    Mode("ring20 + picture", ring_view, PoseConfig(preset="ring20"), picture=True),
    PAPER,
    Mode("sphere", sphere_view, PoseConfig(preset="sphere")),
    Mode("sphere + picture", sphere_view, PoseConfig(preset="sphere"), picture=True),
    Mode("seeded", sphere_view, PoseConfig(preset="sphere"), seeded=True, picture=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer against the truth; NaN or None where a figure does not exist."""

    object: str
    asymmetric: bool
    pair: int
    condition: str
    mode: str
    success: bool
    rotation_deg: float
    centre_m: float
    centre_pct_distance: float
    flipped: bool
    trusted: bool
    ambiguous: bool
    reasons: tuple[str, ...]
    margin: float
    mask_iou: float
    residual_px: float
    nees: float
    seconds: float
    cpu_seconds: float
    T_true: list[float]
    T_found: list[float] | None


def check(objects: Iterable[BenchObject]) -> None:
    """Check the yardstick before anything is measured by it.

    Raises:
        AssertionError: if the splat mask at a true pose is not the exact one, a declared symmetry changes the exact
            mask, or the error of a true pose or of its symmetric copies is not zero.
    """
    for k, item in enumerate(objects):
        T = sphere_view(item, np.random.default_rng([1, k]))
        exact = item.renderer.render(CAMERA, T).mask
        iou = _iou(exact, render_mask(item.reference.gaussians, CAMERA, T) >= 0.5)
        assert iou > MIN_IOU_AT_TRUTH, f"{item.name}: splat and exact mask at the true pose: IoU {iou:.3f}"
        centre = item.reference.center_m
        for S in item.reference.symmetries:
            copy = T @ make_transform(S, centre - S @ centre)
            iou = _iou(exact, item.renderer.render(CAMERA, copy).mask)
            assert iou > MIN_IOU_OF_COPIES, f"{item.name}: the declared symmetry changes the mask (IoU {iou:.3f})"
            error = pose_error(copy, T, item)
            assert error.rotation_deg < 1e-3, f"{item.name}: a symmetric copy counts as {error.rotation_deg:g} deg off"
            assert error.centre_m < 1e-9, f"{item.name}: a symmetric copy counts as {error.centre_m:g} m off"


def run(objects: list[BenchObject], pairs: int, paper_pairs: int, conditions: tuple[Condition, ...],
        modes: tuple[Mode, ...], seed: int, progress: Callable[[str], None]) -> Iterator[Row]:
    """Yield a row per pair, condition and mode; conditions that a view cannot show are left out.

    The paper's baseline is slow and answers the first ``paper_pairs`` pairs only.
    """
    warm_up(objects[0], modes)
    for pair, item, condition, scene, segmentation, draws in scenes(objects, pairs, conditions, modes, seed, progress):
        for mode in draws:
            if mode.config is None and pair >= paper_pairs:
                continue
            yield answered(mode, item, pair, condition, scene, segmentation, seed)


def answered(mode: Mode, item: BenchObject, pair: int, condition: Condition, scene: Scene, segmentation: Segmentation,
             seed: int, device: PoseDevice | None = None) -> Row:
    """Ask one mode for one pose, on a device where one is given."""
    answer, seconds, cpu = _timed(mode, item, scene, segmentation, np.random.default_rng([seed, pair, 99]), device)
    return _judged(item, pair, condition, mode.name, scene, answer, seconds, cpu)


def _timed(mode: Mode, item: BenchObject, scene: Scene, segmentation: Segmentation, rng: np.random.Generator,
           device: PoseDevice | None) -> tuple[Alignment | PaperFit | None, float, float]:
    """Ask one mode; return the answer with the wall time and the processor time of all threads, in seconds."""
    seeds = (seed_off(scene.T_camera_part, item, rng),) if mode.seeded else ()
    image = scene.image_bgr if mode.picture else None
    baseline = _baseline(item) if mode.config is None else None
    answer: Alignment | PaperFit | None
    start, cpu_start = time.perf_counter(), time.process_time()
    if mode.config is None:
        answer = baseline.align(segmentation, CAMERA)
    else:
        answer = align(segmentation, CAMERA, item.reference, mode.config, seeds, image, device)
    return answer, time.perf_counter() - start, time.process_time() - cpu_start


@lru_cache
def _baseline(item: BenchObject) -> PaperBaseline:
    return PaperBaseline(item.reference)


def scenes(objects: list[BenchObject], pairs: int, conditions: tuple[Condition, ...], modes: tuple[Mode, ...],
           seed: int, progress: Callable[[str], None],
           ) -> Iterator[tuple[int, BenchObject, Condition, Scene, Segmentation, list[Mode]]]:
    """Draw the queries; the same for every choice of modes and conditions."""
    for pair in range(pairs):
        item = objects[pair % len(objects)]
        progress(f"pair {pair + 1} of {pairs}: {item.name}")
        for which, view in enumerate((ring_view, sphere_view)):
            draws = [m for m in modes if m.view is view]
            T = view(item, np.random.default_rng([seed, pair, which]))
            for condition in conditions if draws else ():
                rng = np.random.default_rng([seed, pair, which, list(Condition).index(condition)])
                scene = make_scene(item, T, condition, rng)
                if scene is not None:
                    yield pair, item, condition, scene, segmented(scene), draws


def segmented(scene: Scene) -> Segmentation:
    """Clean a scene's foreground as the segmentation stage does, so that what is measured is what runs."""
    return finish(scene.foreground, to_lab(scene.image_bgr), "exact", SegmentationConfig())


def _judged(item: BenchObject, pair: int, condition: Condition, mode: str, scene: Scene,
            answer: Alignment | PaperFit | None, seconds: float, cpu_seconds: float) -> Row:
    """Hold an answer against the truth; no answer is a wrong one, infinitely far off."""
    row = Row(
        object=item.name, asymmetric=item.asymmetric, pair=pair, condition=condition.value, mode=mode, success=False,
        rotation_deg=np.inf, centre_m=np.inf, centre_pct_distance=np.inf, flipped=False, trusted=False,
        ambiguous=False, reasons=(), margin=np.nan, mask_iou=0.0, residual_px=np.inf, nees=np.nan, seconds=seconds,
        cpu_seconds=cpu_seconds, T_true=scene.T_camera_part.ravel().tolist(), T_found=None)
    pose = answer.pose if isinstance(answer, Alignment) else answer
    if pose is not None:
        error = pose_error(pose.T_camera_part, scene.T_camera_part, item)
        row = replace(row, success=error.success, rotation_deg=error.rotation_deg, centre_m=error.centre_m,
                      centre_pct_distance=error.centre_pct_of_distance, flipped=error.flipped,
                      T_found=pose.T_camera_part.ravel().tolist())
    if isinstance(answer, Alignment):
        row = replace(row, trusted=answer.trusted, reasons=tuple(Reason(r).name for r in answer.reasons))
    if isinstance(pose, AlignedPose):
        comparable = row.success and not item.turns_freely
        row = replace(row, ambiguous=pose.ambiguous, margin=pose.runner_up_margin, mask_iou=pose.mask_iou,
                      residual_px=pose.residual_px,
                      nees=nees(pose, scene.T_camera_part, item) if comparable else np.nan)
    return row


def as_json(row: Row) -> dict[str, object]:
    """Return a row as plain values; JSON has neither infinity nor NaN."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(row).items()}


def warm_up(item: BenchObject, modes: tuple[Mode, ...], device: PoseDevice | None = None) -> None:
    """Compile and load whatever the first call does, on a scene that is not measured."""
    scene = make_scene(item, sphere_view(item, np.random.default_rng(0)), Condition.INTACT, np.random.default_rng(0))
    assert scene is not None
    for mode in modes * 2:
        _timed(mode, item, scene, segmented(scene), np.random.default_rng(0), device)


def seed_off(T: FloatArray, item: BenchObject, rng: np.random.Generator) -> PoseSeed:
    """A first guess that is off by exactly the stated angle and distance, in any direction."""
    off_m = SEED_OFF_SHARE * float(np.linalg.norm(T[:3, :3] @ item.reference.center_m + T[:3, 3]))
    return PoseSeed(turned_and_shifted(T, item.reference, SEED_OFF_DEG, off_m, rng), SeedSource.TF, SEED_OFF_DEG, off_m)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))
