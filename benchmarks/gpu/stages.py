"""Times of single stages, by batch, number of Gaussians and image size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.gpu.cases import median_ms, off, query_of, scene
from benchmarks.pose.objects import BenchObject
from ptad_core.gpu.level_set import DeviceQueries
from ptad_core.gpu.level_set import level_set_sums as level_set_sums_in_torch
from ptad_core.gpu.pose_device import TorchPoseDevice
from ptad_core.gpu.refine import DeviceRefiner
from ptad_core.gpu.renderer import DeviceRenderer
from ptad_core.gpu.splat_sums import DeviceGaussians
from ptad_core.gpu.splat_sums import splat_sums as splat_sums_in_torch
from ptad_core.pose import search
from ptad_core.reference import Reference
from ptad_core.rendering.differentiable import camera_rows

STEPS = 12
HYPOTHESES = 4
"""Of each image, where several images are refined in one batch."""


def refinement(reference: Reference, item: BenchObject, device: str, size: int, batch: int, repeats: int,
               ) -> Iterator[tuple[str, float]]:
    """Yield stages of the refinement with their milliseconds; ``item`` gives the scene, ``reference`` the Gaussians."""
    if device == "cuda":
        from ptad_core.gpu import kernels
        splat_sums, level_set_sums = kernels.splat_sums, kernels.level_set_sums
    else:
        splat_sums, level_set_sums = splat_sums_in_torch, level_set_sums_in_torch
    where, rng = torch.device(device), np.random.default_rng(0)
    T, segmentation = scene(item, 0)
    query, gaussians = query_of(segmentation, size), DeviceGaussians.upload(reference.gaussians, where)
    refiner, one_by_one = DeviceRefiner(reference, device), DeviceRefiner(reference, device, recorded=False)
    starts = [off(T, item, rng) for _ in range(batch)]
    poses = torch.from_numpy(np.stack(starts)[:, :3].astype(np.float32)).to(where)
    pivots = poses[:, :, :3] @ torch.from_numpy(item.reference.center_m.astype(np.float32)).to(where) + poses[:, :, 3]
    cameras = camera_rows([query.camera] * batch, where).float()

    def upload() -> DeviceQueries:
        return DeviceQueries.of_queries([(query.outline, query.seen)], [0] * batch, where)

    def render() -> torch.Tensor:
        return splat_sums(gaussians, cameras, poses, size, size)

    outline, sums = upload(), render()
    stages: dict[str, Callable[[], object]] = {
        "upload": upload, "render": render,
        "compare": lambda: level_set_sums(sums, outline, cameras, pivots, (6.0, 4.2, 3.0)),
        "refine": lambda: refiner.refine(query, starts, STEPS),
        "one by one": lambda: one_by_one.refine(query, starts, STEPS)}
    for name, stage in stages.items():
        yield name, median_ms(stage, device, repeats)


def rendering(reference: Reference, item: BenchObject, device: str, size: int, repeats: int,
              ) -> Iterator[tuple[str, float]]:
    """Yield the rendering of mask, depth and normals with its milliseconds, the transfer to the host included."""
    T, segmentation = scene(item, 0)
    renderer, camera = DeviceRenderer(reference.gaussians, device), query_of(segmentation, size).camera
    yield "surface", median_ms(lambda: renderer(camera, T), device, repeats)


def searching(item: BenchObject, device: TorchPoseDevice, name: str, repeats: int) -> Iterator[tuple[str, float]]:
    """Yield stages of the search with their milliseconds."""
    T, segmentation = scene(item, 0)
    query, rng = query_of(segmentation, 256), np.random.default_rng(0)
    for preset, allowed in (("ring20", search.ring(item.reference)), ("sphere", search.whole_sphere(item.reference))):
        yield f"candidates {preset}", median_ms(
            lambda a=allowed: search.candidate_poses(query, item.reference, a, 24, 14.0, device.rank), name, repeats)
    starts = [off(T, item, rng) for _ in range(24)]
    yield "rough fit of 24", median_ms(lambda: device.fit(query, starts, 30.0, 10, 2), name, repeats)
    yield "coarse fit of 8", median_ms(lambda: device.fit(query, starts[:8], 8.0, 14, 1), name, repeats)


def several_images(item: BenchObject, device: TorchPoseDevice, name: str, images: int, repeats: int) -> float:
    """Return how many images a second are refined, so many of them in one batch."""
    rng = np.random.default_rng(0)
    scenes = [scene(item, k) for k in range(images)]
    queries = [query_of(segmentation, 256) for _, segmentation in scenes]
    starts = [[off(T, item, rng) for _ in range(HYPOTHESES)] for T, _ in scenes]
    ms = median_ms(lambda: device.refiner.refine_all(queries, starts, STEPS), name, repeats)
    return 1e3 * images / ms

