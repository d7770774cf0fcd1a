"""``make soak [MINUTES=3]``: a cell over time. Memory, threads and file handles stay; every image is accounted for.

The camera sends more than the cell can inspect, good and bad images in turn, all pictures are listened to, settings
change and the node is deactivated and activated now and then. Memory growth is the median of the last quarter of the
time against that of the quarter before it. The exit code is 1 where something grows or is not accounted for. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image

from benchmarks.ros.faults_images import SPOILT
from benchmarks.ros.rig import COUNTS, RELIABLE, NotAnsweredError, Rig, running_rig
from benchmarks.ros.scene import make_scene
from ptad_core.synthesis.recording import EMPTY, INTACT

RATE_HZ = 8.0
WARM_UP_SHARE, QUARTER = 0.5, 0.25
MAX_GROWTH = 0.02
PICTURES = ("mask", "overlay", "anomaly_map", "rendered_depth")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the cell's process holds at one moment."""

    at_s: float
    rss_kib: int
    threads: int
    files: int


def sample(pid: int, started_s: float) -> Sample:
    """Look at a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    return Sample(time.monotonic() - started_s, int(status["VmRSS"].split()[0]), int(status["Threads"]),
                  len(list(Path(f"/proc/{pid}/fd").iterdir())))


def soak(rig: Rig, minutes: float) -> tuple[list[Sample], dict[str, int]]:
    """Keep a cell busy; return what its process held over time, and where the images went."""
    assert rig.process is not None
    for topic in PICTURES:
        rig.create_subscription(Image, topic, lambda _: None, RELIABLE)
    rig.quiet()
    started_s, samples, pauses, sent = time.monotonic(), [], 0, 0
    went: Counter[str] = Counter()
    before, sent_before = rig.counts(), rig.sent

    def account() -> None:
        nonlocal sent
        rig.quiet()
        went.update({name: n - before[name] for name, n in rig.counts().items()})
        sent += rig.sent - sent_before

    for number in count():
        at_s = number / RATE_HZ
        if at_s > 60 * minutes:
            break
        time.sleep(max(0.0, started_s + at_s - time.monotonic()))
        _send(rig, number)
        if number % round(RATE_HZ) == 0:
            samples.append(sample(rig.process.pid, started_s))
        if number % round(10 * RATE_HZ) == 0:
            rig.set("detection.tolerance_mm", 3.0 + 0.1 * (number % 3))
        if number % round(30 * RATE_HZ) == round(29 * RATE_HZ):
            account()
            if not (rig.change("deactivate") and rig.change("activate")):
                raise NotAnsweredError("expected that the node can be deactivated and activated")
            rig.quiet()  # what is sent before the two have found each other is nobody's
            before, sent_before, pauses = rig.counts(), rig.sent, pauses + 1
    account()
    return samples, {"sent": sent, "pauses": pauses, **{name: went[name] for name in COUNTS}}


def _send(rig: Rig, number: int) -> None:
    if number % 10 == 3:
        rig.send(image=SPOILT[number // 10 % len(SPOILT)])
    elif number % 10 == 7:
        rig.send(rig.scene.shots[EMPTY][0])
    else:
        shots = rig.scene.shots[INTACT]
        rig.send(shots[number % len(shots)], may_pass=True)


def growth(values: list[int]) -> float:
    """Return how much the last quarter's median lies above that of the quarter before, as a share."""
    n = max(1, round(QUARTER * len(values)))
    early, late = np.median(values[-2 * n:-n]), np.median(values[-n:])
    return float(late / early - 1.0)


def main() -> None:
    """Soak and report."""
    parser = argparse.ArgumentParser(description="a cell over time")
    parser.add_argument("--out", type=Path, default=Path("out/soak"))
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    with running_rig(make_scene(options.out, truths=frozenset({INTACT, EMPTY})), options.out) as rig:
        rig.start()
        samples, counts = soak(rig, options.minutes)
        wrong = rig.wrong_passes()
    print("   min   RSS MiB threads files")
    for s in samples[::max(1, len(samples) // 20)]:
        print(f"{s.at_s / 60:6.1f} {s.rss_kib / 1024:9.1f} {s.threads:7d} {s.files:5d}")
    settled = samples[round(WARM_UP_SHARE * len(samples)):]
    figures = {
        "minutes": options.minutes, **counts,
        "unaccounted": counts["sent"] - sum(counts[name] for name in COUNTS),
        "rss_mib": round(samples[-1].rss_kib / 1024, 1),
        "memory_growth": round(growth([s.rss_kib for s in samples]), 4),
        "thread_growth": settled[-1].threads - settled[0].threads,
        "file_growth": settled[-1].files - settled[0].files, "wrong_pass": wrong}
    print(json.dumps({"soak": figures}))
    sys.exit(figures["memory_growth"] > MAX_GROWTH or figures["thread_growth"] > 0 or figures["file_growth"] > 0
             or bool(wrong) or figures["unaccounted"] != 0)


if __name__ == "__main__":
    main()
