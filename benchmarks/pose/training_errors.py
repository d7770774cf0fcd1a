"""Summary of the aligner's errors for the training of the detection network, from the rows of ``make bench-pose``.

usage: python -m benchmarks.pose.training_errors out/bench_pose/rows.jsonl

Writes ``ptad_core/training/pose_errors.json``: errors of trusted blind poses, a random choice of those measured.
Poses of the wrong hypothesis (flipped, or off by more than ``WRONG_DEG``) are left out and counted: there the
reference is another one, and a label would say nothing. Noisy masks count for both: a real mask is never exact.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.pose.conditions import DEFECTS, Condition
from benchmarks.pose.objects import BenchObject, generated

MODE = "sphere + picture"
WRONG_DEG = 12.0
MOST = 300
OUT = Path(__file__).resolve().parents[2] / "ptad_core" / "training" / "pose_errors.json"


def error_of(item: BenchObject, T_true: np.ndarray, T_found: np.ndarray) -> list[float]:
    """Return rotation vector (deg, camera frame), offset of the centre (x, y in diameters, z in distances)."""
    R = T_found[:3, :3] @ T_true[:3, :3].T
    true, found = (T[:3, :3] @ item.mesh.center_m + T[:3, 3] for T in (T_true, T_found))
    scale = np.array([item.mesh.diameter_m, item.mesh.diameter_m, np.linalg.norm(true)])
    return [*np.degrees(Rotation.from_matrix(R).as_rotvec()), *((found - true) / scale)]


def main(rows_file: Path, seed: int = 0) -> None:
    """Read the rows, write the summary, show its quantiles."""
    rows = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    items = {item.name: item for item in generated(seed)}
    rng = np.random.default_rng(seed)
    wanted = {"intact": {c.value for c in (Condition.INTACT, Condition.NOISE)},
              "defective": {c.value for c in (*DEFECTS, Condition.NOISE)}}
    summary: dict[str, object] = {"source": f"benchmarks/pose, mode '{MODE}', trusted poses of asymmetric objects"}
    for name, conditions in wanted.items():
        trusted = [r for r in rows if r["mode"] == MODE and r["condition"] in conditions and r["trusted"]
                   and r["asymmetric"] and r["object"] in items]
        right = [r for r in trusted if not r["flipped"] and r["rotation_deg"] < WRONG_DEG]
        errors = np.array([error_of(items[r["object"]], *(np.array(r[k]).reshape(4, 4) for k in ("T_true", "T_found")))
                           for r in right])
        chosen = errors[rng.permutation(len(errors))[:MOST]]
        size = np.column_stack([np.linalg.norm(errors[:, :3], axis=1), 100 * np.linalg.norm(errors[:, 3:5], axis=1),
                                100 * np.abs(errors[:, 5])])
        quantiles = {str(q): [round(float(v), 4) for v in np.quantile(size, q, axis=0)] for q in (0.5, 0.75, 0.9, 0.99)}
        summary[name] = [[float(f"{v:.3g}") for v in row] for row in chosen]
        summary[f"{name}_quantiles_deg_pctdiameter_pctdistance"] = quantiles
        summary[f"{name}_measured"] = {"trusted": len(trusted), "right": len(right)}
        print(name, len(trusted), "trusted,", len(right), "right;", quantiles)
    text = json.dumps(summary).replace("], [", "],\n[")
    OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
