"""``make fuzz [INPUTS=10000]``: damaged input of every kind; nothing may crash, hang, or fail without words.

Each family runs in a process of its own with a memory limit, so that a crash of native code is seen, named by the
number of its input, and the run goes on behind it. ``--family NAME --only NUMBER`` repeats one input. The last line is
JSON; the exit code is 1 where anything failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.fuzz import files, messages
from benchmarks.fuzz.family import LIMIT_S, Family, feed

FAMILIES: tuple[Family, ...] = (*messages.FAMILIES, *files.FAMILIES)
PLACE = "number"
"""File that a process keeps the number of its input in: the last one, where it crashes."""
MEMORY_BYTES = 6 * 2**30
HUNG_S = 10 * LIMIT_S
"""Native code does not hear the signal that ends an input: a process that is silent for so long is killed."""


def share(inputs: int) -> dict[str, int]:
    """Return how many of all inputs each family gets."""
    total = sum(family.weight for family in FAMILIES)
    return {family.name: max(1, math.ceil(inputs * family.weight / total)) for family in FAMILIES}


def child(name: str, numbers: range, seed: int, out: Path) -> None:
    """Feed inputs of one family; print a line of JSON for each failure, and one at the end."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    family = next(f for f in FAMILIES if f.name == name)
    tally = {"taken": 0, "refused": 0, "failed": 0}
    with (out / PLACE).open("wb", buffering=0) as place:
        for number in numbers:
            os.pwrite(place.fileno(), f"{number:12d}".encode(), 0)
            outcome, words = feed(family, number, seed)
            tally[outcome] += 1
            if outcome == "failed":
                print(json.dumps({"number": number, "words": words}), flush=True)
    print(json.dumps(tally), flush=True)


def run(name: str, inputs: int, seed: int, out: Path) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Run a family in processes, as many as crashes demand; return its tally and its failures."""
    tally, failures, first = {"taken": 0, "refused": 0, "failed": 0}, [], 0
    while first < inputs:
        place = out / PLACE
        place.write_text(f"{first:12d}", encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.fuzz.fuzz", "--family", name, "--first", str(first),
                   "--inputs", str(inputs), "--seed", str(seed), "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, errors, hung = _watch(process, place)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        failures += [(line["number"], line["words"]) for line in lines if "number" in line]
        done = next((line for line in lines if "taken" in line), None)
        if done is not None:
            return {key: tally[key] + done[key] for key in tally}, failures
        number = int(place.read_text(encoding="utf-8"))
        words = (f"hung for {HUNG_S:g} s in native code" if hung else
                 f"crashed, code {process.returncode}: {errors[-800:]}")
        failures.append((number, words))
        tally["failed"] += 1
        tally["taken"] += number - first  # taken or refused: the process did not live to say
        first = number + 1
    return tally, failures


def _watch(process: subprocess.Popen[str], place: Path) -> tuple[str, str, bool]:
    """Wait for a process; kill it where it stays at one input for too long."""
    before, since_s = "", time.monotonic()
    while True:
        try:
            return *process.communicate(timeout=1.0), False
        except subprocess.TimeoutExpired:
            now = place.read_text(encoding="utf-8")
            if now != before:
                before, since_s = now, time.monotonic()
            elif time.monotonic() > since_s + HUNG_S:
                process.kill()
                return *process.communicate(), True


def main() -> None:
    """Run all families, or one."""
    parser = argparse.ArgumentParser(description="damaged input of every kind")
    parser.add_argument("--inputs", type=int, default=10_000, help="of all families together; of one with --family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", default="", help="only this one, in this process")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, help="repeat one input of a family")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    options = parser.parse_args()
    if options.only is not None:
        family = next(f for f in FAMILIES if f.name == options.family)
        print(*feed(family, options.only, options.seed), sep="\n")
        return
    if options.family:
        child(options.family, range(options.first, options.inputs), options.seed, options.out)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    total, failed, started = 0, 0, time.monotonic()
    for name, inputs in share(options.inputs).items():
        began = time.monotonic()
        tally, failures = run(name, inputs, options.seed, options.out)
        print(f"{name:20s} {inputs:6d} inputs: {tally['taken']:6d} taken, {tally['refused']:6d} refused in words, "
              f"{tally['failed']:3d} failed ({time.monotonic() - began:.0f} s)", flush=True)
        for number, words in failures[:5]:
            print(f"    --family '{name}' --only {number}:\n        " + words.replace("\n", "\n        "))
        total, failed = total + inputs, failed + tally["failed"]
    print(json.dumps({"fuzz": {"inputs": total, "families": len(FAMILIES), "failed": failed,
                               "seconds": round(time.monotonic() - started)}}))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
