"""``make bench-pose`` on the device: the same pairs there and on the CPU, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from benchmarks.pose.conditions import DEFECTS, Condition
from benchmarks.pose.objects import BenchObject, generated
from benchmarks.pose.run import MODES, Row, answered, scenes, warm_up
from ptad_core.frames import rotation_angle_deg
from ptad_core.gpu.pose_device import TorchPoseDevice

MODE_NAMES = ("ring20", "sphere", "seeded")
CONDITIONS = (Condition.INTACT, *DEFECTS)
SAME_DEG = 0.5


def accuracy(device: str, pairs: int, say: Callable[[str], None]) -> tuple[list[str], dict[str, float]]:
    """Return a table, and the figures of the JSON line."""

    @lru_cache
    def device_of(item: BenchObject) -> TorchPoseDevice:
        return TorchPoseDevice(item.reference, device)

    objects, modes = generated(0), tuple(m for m in MODES if m.name in MODE_NAMES)
    for of in (None, device_of(objects[0])):
        warm_up(objects[0], modes, of)
    rows: dict[str, list[Row]] = {"cpu": [], "device": []}
    for pair, item, condition, scene, segmentation, draws in scenes(objects, pairs, CONDITIONS, modes, 0, say):
        for mode in draws:
            for name, of in (("cpu", None), ("device", device_of(item))):
                rows[name].append(answered(mode, item, pair, condition, scene, segmentation, 0, of))
    head = (f"{'mode':>8} {'':>9} {'pairs':>6} {'success':>15} {'median deg':>17} {'median % dist':>17} "
            f"{'median ms':>17} {'same pose':>10}")
    lines = [head, f"{'':>25} {'cpu  device':>15}" + 3 * f" {'cpu   device':>17}", *_lines(rows["cpu"], rows["device"])]
    figures = {f"success_{name}": round(float(np.mean([r.success for r in of])), 4) for name, of in rows.items()}
    return lines, figures | {"same_pose": round(_same(rows["cpu"], rows["device"]), 4)}


def _lines(cpu: list[Row], device: list[Row]) -> Iterator[str]:
    for mode in MODE_NAMES:
        for words, conditions in (("intact", {Condition.INTACT}), ("defects", set(DEFECTS))):
            a, b = ([r for r in rows if r.mode == mode and r.condition in conditions] for rows in (cpu, device))
            if a:
                yield (f"{mode:>8} {words:>9} {len(a):6d} {_mean(a, 'success'):7.3f} {_mean(b, 'success'):7.3f} "
                       + " ".join(f"{_median(a, name) * by:8.2f} {_median(b, name) * by:8.2f}" for name, by in
                                  (("rotation_deg", 1), ("centre_pct_distance", 1), ("seconds", 1e3)))
                       + f" {_same(a, b):10.3f}")


def _same(a: list[Row], b: list[Row]) -> float:
    """Share of the answers that are the same pose on both."""
    same = [p.T_found is not None and q.T_found is not None
            and rotation_angle_deg(*(np.array(r.T_found).reshape(4, 4)[:3, :3] for r in (p, q))) < SAME_DEG
            for p, q in zip(a, b, strict=True)]
    return float(np.mean(same))


def _mean(rows: list[Row], name: str) -> float:
    return float(np.mean([getattr(r, name) for r in rows]))


def _median(rows: list[Row], name: str) -> float:
    return float(np.median([getattr(r, name) for r in rows]))
