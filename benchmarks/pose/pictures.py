"""Pictures of answers: ``python -m benchmarks.pose.pictures --mode sphere --condition intact``.

Each tile is a query's picture with three outlines: of the mask that was given (white), of the CAD at the true pose
(green), and at the pose found (red).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.pose.conditions import CAMERA, Condition, make_scene
from benchmarks.pose.objects import BenchObject, from_folder, generated
from ptad_core.types import ColorImage, MaskImage

COLUMNS = 6
ZOOM = 2


def main() -> None:
    """Draw the wrong answers of a run, the trusted ones first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("out/bench-pose"))
    parser.add_argument("--mode", required=True)
    parser.add_argument("--condition", help="all where not given")
    parser.add_argument("--most", type=int, default=36)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--unit", default="mm")
    options = parser.parse_args()
    objects = generated(options.seed) + (from_folder(options.meshes, options.unit) if options.meshes else [])
    rows = [json.loads(line) for line in (options.run / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [r for r in rows if r["mode"] == options.mode and not r["success"]
             and options.condition in (None, r["condition"])]
    wrong.sort(key=lambda r: not r["trusted"])
    tiles = [_tile(r, {o.name: o for o in objects}[r["object"]], options.seed) for r in wrong[:options.most]]
    if not tiles:
        print(f"no wrong answers of {options.mode}")
        return
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % min(COLUMNS, len(tiles)))
    width = min(COLUMNS, len(tiles))
    path = options.run / f"wrong_{options.mode}_{options.condition or 'all'}.png".replace(" ", "_")
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[k:k + width]) for k in range(0, len(tiles), width)]))
    print(f"{len(wrong)} wrong answers of {options.mode}, {len(wrong[:options.most])} in {path}")


def _tile(row: dict[str, Any], item: BenchObject, seed: int) -> ColorImage:
    """One answer; the query is drawn again from the seeds of its row."""
    condition = Condition(row["condition"])
    which = int(not row["mode"].startswith(("ring20", "paper")))
    T = np.array(row["T_true"]).reshape(4, 4)
    rng = np.random.default_rng([seed, row["pair"], which, list(Condition).index(condition)])
    scene = make_scene(item, T, condition, rng)
    assert scene is not None
    image = cv2.resize(scene.image_bgr, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST) // 2
    _outline(image, scene.foreground, (255, 255, 255))
    _outline(image, item.renderer.render(CAMERA, T).mask, (0, 200, 0))
    if row["T_found"]:
        found = np.array(row["T_found"]).reshape(4, 4)
        _outline(image, item.renderer.render(CAMERA, found).mask, (0, 0, 255))
    off = f"{row['rotation_deg'] or float('nan'):.0f} deg {row['centre_pct_distance'] or float('nan'):.1f} %"
    state = "trusted" if row["trusted"] else " ".join(r.removeprefix("POSE_").lower() for r in row["reasons"])
    words = (f"{row['pair']} {row['object']}, {row['condition']}: {off}",
             f"IoU {row['mask_iou']:.3f} margin {row['margin'] or float('nan'):.2f} {state}")
    for k, line in enumerate(words):
        cv2.putText(image, line, (4, 14 + 15 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(image, dtype=np.uint8)


def _outline(image: ColorImage, mask: MaskImage, colour: tuple[int, int, int]) -> None:
    large = cv2.resize(mask.astype(np.uint8), None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, colour, 1)


if __name__ == "__main__":
    main()
