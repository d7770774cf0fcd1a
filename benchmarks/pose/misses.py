"""What stops the answers that are wrong: does the right pose explain the outline better, as well, or worse?

usage: python -m benchmarks.pose.misses out/bench-pose/rows.jsonl [MODE ...]

Draws the scenes of wrong answers again (pairs of the generated objects, seed 0), refines the true pose and the one that
was found to the same mask, and compares the outlines' distances. Where the right pose explains the outline worse, or
as well, no search over outlines finds it; where it explains it better, the search missed it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.pose.conditions import CAMERA, DEFECTS, Condition, make_scene
from benchmarks.pose.errors import pose_error
from benchmarks.pose.objects import generated
from benchmarks.pose.run import MODES, segmented
from ptad_core.pose.query import make_query
from ptad_core.pose.refine import FINAL_REACH_PX, refine_mask

SEED = 0
STEPS = 12
ALIKE = 0.05
"""Relative difference of outline distances below which two poses explain an outline equally well."""
COUNTED = (Condition.INTACT, *DEFECTS)


def main(rows_file: Path, wanted: tuple[str, ...]) -> None:
    """Print a line for each wrong answer, then a count."""
    objects = generated(SEED)
    rows = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines()]
    views = list(dict.fromkeys(mode.view for mode in MODES))
    for mode in (m for m in MODES if m.name in wanted and m.config is not None):
        answers = [r for r in rows if r["mode"] == mode.name and r["condition"] in {c.value for c in COUNTED}]
        counts: Counter[str] = Counter()
        for row in answers:
            if row["success"]:
                continue
            item, condition = objects[row["pair"] % len(objects)], Condition(row["condition"])
            draws = np.random.default_rng([SEED, row["pair"], views.index(mode.view), list(Condition).index(condition)])
            scene = make_scene(item, np.array(row["T_true"]).reshape(4, 4), condition, draws)
            assert scene is not None
            segmentation = segmented(scene)
            assert segmentation.box_px is not None
            assert mode.config is not None
            query = make_query(segmentation.mask, segmentation.box_px, CAMERA, mode.config.work_size_px)
            true = refine_mask(query, item.reference, scene.T_camera_part, STEPS, FINAL_REACH_PX)
            found = None if row["T_found"] is None else refine_mask(
                query, item.reference, np.array(row["T_found"]).reshape(4, 4), STEPS, FINAL_REACH_PX)
            if true is None or found is None:
                words = "no fit"
            elif not pose_error(true.T_camera_part, scene.T_camera_part, item).success:
                words = "the right pose does not hold"
            else:
                ratio = true.cost_px / found.cost_px
                words = "better" if ratio < 1 - ALIKE else "worse" if ratio > 1 + ALIKE else "as well"
            costs = " ".join("  -  " if fit is None else f"{fit.cost_px:5.2f}" for fit in (true, found))
            print(f"{mode.name:8s} {row['pair']:4d} {item.name:14s} {condition.value:11s} {row['rotation_deg']:6.1f} "
                  f"deg  outline px, true and found: {costs}  the right one: {words}")
            counts[words] += 1
        print(f"{mode.name}: {counts.total()} of {len(answers)} wrong; the right pose explains the outline "
              + ", ".join(f"{words} {n}" for words, n in counts.most_common()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or ("ring20", "sphere", "seeded"))
