"""What becomes of a wrong seed: the nominal pose of TF, turned and shifted, must be put right or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ptad_core.config import CellConfig
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.replay import inspect_frame
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.inspector import Inspector
from ptad_core.reference import Reference
from ptad_core.reference.symmetry import symmetric_angle_deg
from ptad_core.types import AlignedPose, FloatArray, Verdict

OFF_DEG, OFF_M = 15.0, 0.05
SAME_DEG, SAME_DIAMETERS = 5.0, 0.05
"""Poses that are nearer to each other than this are one answer, as in ``make bench-pose``."""


def wrong_seeds(frames: Iterable[Frame], reference: Reference, config: CellConfig) -> Mapping[str, int]:
    """Inspect frames with their seed, and again with it ``OFF_DEG`` and ``OFF_M`` off in a drawn direction.

    Each frame stands alone, nothing is tracked. Only frames that are inspected with the right seed are asked again.

    Returns:
        How often the pose was ``recovered``, the frame ``refused`` by any stage, or another pose inspected, ``wrong``.
    """
    rng = np.random.default_rng(0)
    inspector = Inspector(reference, config)
    counts = Counter({"recovered": 0, "refused": 0, "wrong": 0})

    def ask(frame: Frame) -> AlignedPose | None:
        inspector.reset()
        result = inspect_frame(inspector, reference, frame)
        return None if result.verdict is Verdict.CANNOT_INSPECT else result.pose

    for frame in frames:
        right = ask(frame) if frame.seed is not None else None
        if right is None or frame.seed is None:
            continue
        T = turned_and_shifted(frame.seed.T_camera_part, reference, OFF_DEG, OFF_M, rng)
        found = ask(replace(frame, seed=replace(frame.seed, T_camera_part=T)))
        if found is None:
            counts["refused"] += 1
        else:
            counts["recovered" if _same(found, right, reference) else "wrong"] += 1
    return counts


def turned_and_shifted(T_camera_part: FloatArray, reference: Reference, off_deg: float, off_m: float,
                       rng: np.random.Generator) -> FloatArray:
    """Turn a pose about the part's centre by so much, and shift it so far, in directions that are drawn."""
    axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    centre = T_camera_part[:3, :3] @ reference.center_m + T_camera_part[:3, 3]
    R = rotation_exp(np.radians(off_deg) * axis) @ T_camera_part[:3, :3]
    return make_transform(R, centre + off_m * way - R @ reference.center_m)


def _same(a: AlignedPose, b: AlignedPose, reference: Reference) -> bool:
    T_a, T_b = a.T_camera_part, b.T_camera_part
    apart_m = np.linalg.norm((T_a - T_b)[:3, :3] @ reference.center_m + (T_a - T_b)[:3, 3])
    return bool(apart_m < SAME_DIAMETERS * reference.diameter_m
                and symmetric_angle_deg(T_a[:3, :3], T_b[:3, :3], reference.symmetries) < SAME_DEG)
