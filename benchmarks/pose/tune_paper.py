"""Picks what the paper does not state, learning rate and start of its parameters, on the development parts.

``python -m benchmarks.pose.tune_paper`` prints success and median errors of each choice.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from benchmarks.pose.conditions import CAMERA, Condition, make_scene, ring_view
from benchmarks.pose.development import DEVELOPMENT
from benchmarks.pose.errors import pose_error
from benchmarks.pose.objects import BenchObject
from benchmarks.pose.run import segmented
from ptad_core.config import ReferenceConfig
from ptad_core.pose.paper import PaperBaseline, PaperSettings

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1)
START_ANGLES = (1e-3, 1.0)
CONDITIONS = (Condition.INTACT, Condition.MISSING)


def main() -> None:
    """Run the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=4, help="views per part and condition")
    views = parser.parse_args().views
    objects = [BenchObject(make(), "", ReferenceConfig()) for make in DEVELOPMENT]
    scenes = []
    for k, item in enumerate(objects):
        for view, condition in product(range(views), CONDITIONS):
            rng = np.random.default_rng([7, k, view])
            scene = make_scene(item, ring_view(item, rng), condition, rng)
            if scene is not None:
                scenes.append((item, scene))
    print(f"{len(scenes)} queries of {len(objects)} development parts")
    print(f"{'rate':>8} {'angle':>8} {'success':>8} {'deg':>8} {'% dist':>8} {'loss':>8}")
    for rate, angle in product(LEARNING_RATES, START_ANGLES):
        baselines = {i.name: PaperBaseline(i.reference, PaperSettings(learning_rate=rate, start_angle=angle))
                     for i in objects}
        errors, losses = [], []
        for item, scene in scenes:
            fit = baselines[item.name].align(segmented(scene), CAMERA)
            assert fit is not None
            errors.append(pose_error(fit.T_camera_part, scene.T_camera_part, item))
            losses.append(fit.loss)
        print(f"{rate:8.3f} {angle:8.3f} {np.mean([e.success for e in errors]):8.3f} "
              f"{np.median([e.rotation_deg for e in errors]):8.2f} "
              f"{np.median([e.centre_pct_of_distance for e in errors]):8.2f} {np.mean(losses):8.4f}", flush=True)


if __name__ == "__main__":
    main()
