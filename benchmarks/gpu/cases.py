"""The part, the scenes and the clocks of the GPU's benchmark."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.pose.objects import BenchObject, generated
from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.query import Query, make_query
from ptad_core.reference.views import look_at, sphere_directions
from ptad_core.segmentation.mask import box_of
from ptad_core.types import FloatArray, PoseSeed, SeedSource, Segmentation

CAMERA = Camera(800.0, 800.0, 319.5, 239.5, 640, 480)
DISTANCE_IN_DIAMETERS = 3.0
SPREAD_DEG, SPREAD_DIAMETERS = 2.0, 0.01
"""How far hypotheses lie from the truth, one sigma."""
VIEWS = 8
WARM_UPS = 2


def bracket(gaussians: int | None = None) -> BenchObject:
    """Return a part without symmetry; of so many Gaussians and with few views, where its Gaussians alone matter."""
    config = ReferenceConfig() if gaussians is None else ReferenceConfig(gaussians=gaussians, views=20)
    return next(o for o in generated(0, config) if o.name == "bracket")


def scene(item: BenchObject, k: int) -> tuple[FloatArray, Segmentation]:
    """Return a pose that is all in the image, and its exact mask."""
    R = look_at(sphere_directions(VIEWS)[k % VIEWS])
    centre = np.array([0.0, 0.0, DISTANCE_IN_DIAMETERS * item.reference.diameter_m])
    T = make_transform(R, centre - R @ item.reference.center_m)
    mask = item.renderer.mask(CAMERA, T) >= 0.5
    return T, Segmentation(mask, "exact", 1.0, box_of(mask))


def query_of(segmentation: Segmentation, size: int) -> Query:
    """Crop a scene for the solvers."""
    assert segmentation.box_px is not None
    return make_query(segmentation.mask, segmentation.box_px, CAMERA, size)


def off(T: FloatArray, item: BenchObject, rng: np.random.Generator) -> FloatArray:
    """Return a pose near another one, turned about the part's centre."""
    centre = T[:3, :3] @ item.reference.center_m + T[:3, 3]
    R = rotation_exp(np.radians(SPREAD_DEG) * rng.normal(size=3)) @ T[:3, :3]
    centre = centre + SPREAD_DIAMETERS * item.reference.diameter_m * rng.normal(size=3)
    return make_transform(R, centre - R @ item.reference.center_m)


def seed_off(T: FloatArray, item: BenchObject, rng: np.random.Generator) -> PoseSeed:
    """Return a first guess with its stated spread."""
    return PoseSeed(off(T, item, rng), SeedSource.TF, SPREAD_DEG, SPREAD_DIAMETERS * item.reference.diameter_m)


def synchronise(device: str) -> None:
    """Wait for all that the device was sent."""
    if device == "cuda":
        torch.cuda.synchronize()


def median_ms(stage: Callable[[], object], device: str, repeats: int) -> float:
    """Return the median of ``repeats`` runs between two synchronisations, after warm-ups that are not counted."""
    times = []
    for _ in range(WARM_UPS + repeats):
        synchronise(device)
        start = time.perf_counter()
        stage()
        synchronise(device)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[WARM_UPS:])
