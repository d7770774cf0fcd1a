"""Times of the pose stage on a GPU: ``make bench-gpu``; a table, then one line of JSON.

Each stage is timed between two synchronisations after a warm-up; the figure is the median. The part is a bracket
without symmetry, its masks are those of the exact rasteriser. Without a usable GPU it says so, and the line has no
figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.pose.objects import BenchObject, generated
from ptad_core.camera import Camera
from ptad_core.config import PoseConfig, ReferenceConfig
from ptad_core.errors import DeviceError
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.gpu.device import Device, choose_device
from ptad_core.pose import align
from ptad_core.pose.query import make_query
from ptad_core.reference import Reference
from ptad_core.reference.views import look_at, sphere_directions
from ptad_core.segmentation.mask import box_of
from ptad_core.types import FloatArray, PoseSeed, SeedSource, Segmentation

DEVICE = "cuda"
CAMERA = Camera(800.0, 800.0, 319.5, 239.5, 640, 480)
DISTANCE_IN_DIAMETERS = 3.0
SPREAD_DEG, SPREAD_DIAMETERS = 2.0, 0.01
"""How far hypotheses lie from the truth, one sigma."""
STEPS = 12
VIEWS = 8


def main() -> None:
    """Measure, print."""
    options = _options()
    item = next(o for o in generated(0) if o.name == "bracket")
    try:
        device = choose_device(DEVICE, item.reference)
    except DeviceError as error:
        print(f"no figures: {error}")
        print(json.dumps({"gpu": None, "reason": str(error)}))
        return
    print(f"{device.words}; median of {options.repeats}")
    for count in options.gaussians:
        for size in options.sizes:
            for stage, batch, ms in _stages(_with(count).reference, item, size, options):
                print(f"{count:7d} Gaussians  {size:4d} px  batch {batch:3d}  {stage:12s} {ms:9.3f} ms", flush=True)
    blind_ms = statistics.median(_alignments(item, device, options.repeats, PoseConfig(preset="ring20"), seeded=False))
    seeded_ms = statistics.median(_alignments(item, device, options.repeats, PoseConfig(), seeded=True))
    print(json.dumps({"gpu": {"device": device.words, "blind_ms": blind_ms, "seeded_ms": seeded_ms,
                              "poses_per_s": 1e3 / seeded_ms}}))


def _stages(reference: Reference, item: BenchObject, size: int, options: argparse.Namespace,
            ) -> Iterator[tuple[str, int, float]]:
    """Yield stage, batch and milliseconds."""
    import torch

    from ptad_core.gpu import kernels
    from ptad_core.gpu.level_set import DeviceQuery
    from ptad_core.gpu.refine import DeviceRefiner
    from ptad_core.gpu.splat_sums import DeviceGaussians, camera_tensor
    cuda = torch.device(DEVICE)
    T, segmentation = _scene(item, 0)
    assert segmentation.box_px is not None
    query = make_query(segmentation.mask, segmentation.box_px, CAMERA, size)
    refiner, gaussians = DeviceRefiner(reference, DEVICE), DeviceGaussians.upload(reference.gaussians, cuda)
    camera = camera_tensor(query.camera, cuda)
    centre_part = torch.from_numpy(item.reference.center_m.astype(np.float32)).to(cuda)
    rng = np.random.default_rng(0)
    for batch in options.batches:
        starts = [_off(T, item, rng) for _ in range(batch)]
        poses = torch.from_numpy(np.stack(starts)[:, :3].astype(np.float32)).to(cuda)
        pivots = poses[:, :, :3] @ centre_part + poses[:, :, 3]
        outline = DeviceQuery.upload(query.outline, query.seen, cuda)
        sums = kernels.splat_sums(gaussians, camera, poses, size, size)

        def upload() -> None:
            DeviceQuery.upload(query.outline, query.seen, cuda)

        def render(poses: torch.Tensor = poses) -> None:
            kernels.splat_sums(gaussians, camera, poses, size, size)

        def compare(sums: torch.Tensor = sums, outline: DeviceQuery = outline, pivots: torch.Tensor = pivots) -> None:
            kernels.level_set_sums(sums, outline, camera, pivots, (6.0, 4.2, 3.0))

        def refine(starts: list[FloatArray] = starts) -> None:
            refiner.refine(query, starts, STEPS)

        for name, stage in (("upload", upload), ("render", render), ("compare", compare), ("refine", refine)):
            yield name, batch, statistics.median(_times(stage, torch.cuda.synchronize, options.repeats))


def _alignments(item: BenchObject, device: Device, repeats: int, config: PoseConfig, *, seeded: bool) -> list[float]:
    """Milliseconds of whole alignments, mask to pose: the search on the CPU, the refinement on the device."""
    import torch
    rng, times = np.random.default_rng(1), []
    for k in range(VIEWS):
        T, segmentation = _scene(item, k)
        seeds = (PoseSeed(_off(T, item, rng), SeedSource.TF, SPREAD_DEG, SPREAD_DIAMETERS * item.reference.diameter_m),)

        def solve(segmentation: Segmentation = segmentation, seeds: tuple[PoseSeed, ...] = seeds) -> None:
            align(segmentation, CAMERA, item.reference, config, seeds if seeded else (), refine=device.refine)

        times += _times(solve, torch.cuda.synchronize, max(repeats // VIEWS, 1))
    return times


def _times(stage: Callable[[], None], synchronise: Callable[[], None], repeats: int) -> list[float]:
    """Milliseconds of each of ``repeats`` runs, after two that are not counted."""
    times = []
    for k in range(repeats + 2):
        synchronise()
        start = time.perf_counter()
        stage()
        synchronise()
        if k >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def _with(count: int) -> BenchObject:
    return next(o for o in generated(0, ReferenceConfig(gaussians=count)) if o.name == "bracket")


def _scene(item: BenchObject, k: int) -> tuple[FloatArray, Segmentation]:
    """A pose all in the image, and its exact mask."""
    R = look_at(sphere_directions(VIEWS)[k])
    centre = np.array([0.0, 0.0, DISTANCE_IN_DIAMETERS * item.reference.diameter_m])
    T = make_transform(R, centre - R @ item.reference.center_m)
    mask = item.renderer.mask(CAMERA, T) >= 0.5
    return T, Segmentation(mask, "exact", 1.0, box_of(mask))


def _off(T: FloatArray, item: BenchObject, rng: np.random.Generator) -> FloatArray:
    """A pose near another one, turned about the part's centre."""
    centre = T[:3, :3] @ item.reference.center_m + T[:3, 3]
    R = rotation_exp(np.radians(SPREAD_DEG) * rng.normal(size=3)) @ T[:3, :3]
    centre = centre + SPREAD_DIAMETERS * item.reference.diameter_m * rng.normal(size=3)
    return make_transform(R, centre - R @ item.reference.center_m)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=32)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[5_000, 20_000, 100_000, 500_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    return parser.parse_args()


if __name__ == "__main__":
    main()
