"""Pose benchmark: ``make bench-pose [MESHES=FOLDER] [PAIRS=200]``; tables, then one line of JSON.

Rows of all answers go to ``--out``/rows.jsonl, the tables to ``--out``/report.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks.pose.conditions import Condition
from benchmarks.pose.objects import from_folder, generated
from benchmarks.pose.report import headline_of, write_report
from benchmarks.pose.run import MODES, Row, as_json, check, run


def main() -> None:
    """Check, run and report."""
    options = _options()
    objects = generated(options.seed)
    if options.meshes:
        objects += from_folder(options.meshes, options.unit)
    modes = tuple(m for m in MODES if options.modes is None or m.name in options.modes)
    conditions = tuple(c for c in Condition if options.conditions is None or c.value in options.conditions)
    say(f"{len(objects)} objects, {options.pairs} pairs, {len(conditions)} conditions, "
        f"modes {', '.join(m.name for m in modes)}")
    check(objects)
    say("checked: splats against the exact masks, symmetries, errors of true poses")
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    rows: list[Row] = []
    with (options.out / "rows.jsonl").open("w", encoding="utf-8") as file:
        for row in run(objects, options.pairs, options.paper_pairs, conditions, modes, options.seed, say):
            rows.append(row)
            file.write(json.dumps(as_json(row)) + "\n")
    say(f"{len(rows)} answers in {time.perf_counter() - start:.0f} s")
    text = (f"{_machine()}; {len(objects)} objects, {options.pairs} pairs, seed {options.seed}\n\n"
            + write_report(rows, headline_of(rows)))
    (options.out / "report.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def say(words: str) -> None:
    """Tell the operator how far it is, apart from the report."""
    print(words, file=sys.stderr, flush=True)


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    load = os.getloadavg()[2]
    return (f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, load of the machine "
            f"{load:.1f} in the last 15 minutes (2 is all ours; above, wall times are too long)")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of object and view")
    parser.add_argument("--paper-pairs", type=int, default=75, help="pairs that the paper's baseline, slow, is run on")
    parser.add_argument("--meshes", type=Path, help="folder whose meshes are added to the generated objects")
    parser.add_argument("--unit", default="mm", help="unit of those meshes (figures do not depend on it)")
    parser.add_argument("--modes", nargs="+", help=f"of {', '.join(m.name for m in MODES)}")
    names = ", ".join(c.value for c in Condition)
    parser.add_argument("--conditions", nargs="+", help=f"of {names}".replace("%", "%%"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/bench-pose"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
