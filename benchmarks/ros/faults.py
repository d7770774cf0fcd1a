"""``make faults``: every kind of fault, injected into a running cell over DDS.

Each fault has to be answered (a result with its reason, /diagnostics, the log, an exit code), after each a good image
has to pass again, and nothing may ever pass that was not inspected. The exit code is 1 where that fails. The last line
is JSON. ``--docs FILE`` writes the table of what the cell says into a page, between its two marks.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ros.fault import FAULTS, Fault
from benchmarks.ros.rig import NotAnsweredError, Rig, running_rig
from benchmarks.ros.scene import make_scene

FAMILIES = ("images", "camera_info", "transforms", "time", "transport", "parameters", "parts", "processes",
            "recordings")
BEGIN, END = "<!-- made by make faults -->", "<!-- end of what make faults made -->"
QUIET_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fault.

    Attributes:
        said: what the cell said, as the fault declares it.
        words: the same as it was worded in this run.
        problem: what it should have said and did not; '' where it answered.
        recovery_s: until a good image passed; None where none did.
        wrong_passes: images that passed and must not have.
    """

    fault: Fault
    said: tuple[str, ...]
    words: tuple[str, ...]
    problem: str
    recovery_s: float | None
    wrong_passes: int

    @property
    def right(self) -> bool:
        return not self.problem and self.recovery_s is not None and not self.wrong_passes


def inject(rig: Rig, fault: Fault) -> Outcome:
    """Inject a fault into the running cell, and see whether it recovers."""
    rig.begin()
    wrong_before, problem = rig.wrong_passes(), ""
    try:
        fault.inject(rig)
    except NotAnsweredError as error:
        problem = str(error)
    recovery_s = _recovery(rig)
    time.sleep(QUIET_S)  # what comes late counts too
    return Outcome(fault, tuple(rig.said), tuple(rig.words), problem, recovery_s,
                   rig.wrong_passes() - wrong_before)


def _recovery(rig: Rig) -> float | None:
    try:
        return rig.recovers()
    except NotAnsweredError:
        return None


def table(outcomes: list[Outcome]) -> str:
    """Return what each fault came to, as text."""
    lines = []
    for o in outcomes:
        mark = "ok  " if o.right else "FAIL"
        back = "no recovery" if o.recovery_s is None else f"{o.recovery_s:.1f} s"
        lines.append(f"{mark} {o.fault.family}: {o.fault.name} [{back}]")
        lines += [f"       {words[:180]}" for words in o.words]
        if o.problem:
            lines.append(f"       NOT ANSWERED: {o.problem}")
        if o.wrong_passes:
            lines.append(f"       WRONG PASS: {o.wrong_passes}")
    return "\n".join(lines)


def page(outcomes: list[Outcome]) -> str:
    """Return the same for the documentation: what happens, and what the cell says."""
    lines = ["| what happens | what the cell says |", "|---|---|"]
    for o in outcomes:
        said = "; ".join(dict.fromkeys(map(_plain, o.said)))
        lines.append(f"| {o.fault.family}: {o.fault.name} | {said} |")
    return "\n".join(lines)


def _plain(words: str) -> str:
    """Return what was looked for, a regular expression, as a person would write it."""
    return re.sub(r" ?\.\*", " ... ", words.replace("\\", "").replace("|", " or "))


def write_page(path: Path, text: str) -> None:
    """Put a table between the marks of a page."""
    head, rest = path.read_text(encoding="utf-8").split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def load() -> list[Fault]:
    """Return all kinds of faults, family by family."""
    for family in FAMILIES:
        importlib.import_module(f"benchmarks.ros.faults_{family}")
    twice = [name for name, count in Counter((f.family, f.name) for f in FAULTS).items() if count > 1]
    assert not twice, f"faults of one name: {twice}"
    return FAULTS


def main() -> None:
    """Inject all faults and report."""
    parser = argparse.ArgumentParser(description="inject faults into a running cell")
    parser.add_argument("--out", type=Path, default=Path("out/faults"))
    parser.add_argument("--only", default="", help="those whose family or name contains this")
    parser.add_argument("--docs", type=Path, help="page to write the table into")
    options = parser.parse_args()
    faults = [f for f in load() if options.only in f"{f.family}: {f.name}"]
    started = time.monotonic()
    outcomes = []
    with running_rig(make_scene(options.out), options.out) as rig:
        rig.start()
        for fault in faults:
            if outcomes and (outcomes[-1].fault.own_cell > fault.own_cell or outcomes[-1].recovery_s is None):
                rig.restart()
            outcomes.append(inject(rig, fault))
            print(table(outcomes[-1:]), flush=True)
    print(f"\n{len(outcomes)} faults in {time.monotonic() - started:.0f} s")
    (options.out / "table.txt").write_text(table(outcomes) + "\n", encoding="utf-8")
    if options.docs:
        write_page(options.docs, page(outcomes))
    recoveries = sorted(o.recovery_s for o in outcomes if o.recovery_s is not None)
    print(json.dumps({"faults": {
        "injected": len(outcomes), "answered": sum(not o.problem for o in outcomes), "recovered": len(recoveries),
        "wrong_pass": sum(o.wrong_passes for o in outcomes),
        "recovery_median_s": round(recoveries[len(recoveries) // 2], 2) if recoveries else None,
        "recovery_worst_s": round(recoveries[-1], 2) if recoveries else None}}))
    sys.exit(not all(o.right for o in outcomes))


if __name__ == "__main__":
    main()
