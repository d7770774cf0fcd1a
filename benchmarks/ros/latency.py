"""``make bench-ros``: how much a cell adds to what its pipeline takes, and whether every image is accounted for.

A camera of some size sends at some rate, stamping each image when it is sent. Overhead is the time from that stamp, or
from when the cell was done with the image before if that was later, to the result at a listener, minus the pipeline's
own stages as the result states them. It contains: sending, DDS, making Python objects, decoding, joining, waiting for
threads, and the way back. The last line is JSON.

All processes use ``config/fastdds.xml``, as the guide advises where images are large; ``--profile ''`` shows what it is
like without. Where the machine has other work, that work is what is measured: ``chrt -r 1`` before the command keeps it
apart.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ptad_msgs.msg import InspectionResult
from rclpy.serialization import serialize_message

from benchmarks.ros.rig import COUNTS, RELIABLE, Rig, header, running_rig
from benchmarks.ros.scene import Scene, make_scene
from ptad_core.camera import Camera
from ptad_core.evaluation.messages import stamp_ns
from ptad_core.synthesis.recording import CAMERA, CAMERA_FRAME, CELL_FRAME, INTACT
from ptad_core.types import Verdict
from ptad_ros.images import image_message

SIZES = ((640, 480), (1280, 1024), (1920, 1080))
RATES_HZ = (1.0, 5.0, 30.0)
PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
TARGET_MS, TARGET_SIZE = 15.0, (1280, 1024)


@dataclass(frozen=True, slots=True)
class Row:
    """One size at one rate, once.

    Attributes:
        latency_ms: of each answered image, from stamp to result.
        pipeline_ms: what its stages took.
        overhead_ms: latency without the pipeline and without waiting for the image before.
        uncounted: images that were neither answered nor counted as dropped or lost.
    """

    size: tuple[int, int]
    rate_hz: float
    sent: int
    latency_ms: tuple[float, ...]
    pipeline_ms: tuple[float, ...]
    overhead_ms: tuple[float, ...]
    dropped: int
    lost: int
    uncounted: int

    @property
    def overhead_p95_ms(self) -> float:
        return float(np.percentile(self.overhead_ms, 95))


class Stopwatch:
    """Sends images that were serialised beforehand, as a driver in C++ would, and notes when results come."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._message = bytearray(serialize_message(
            image_message(rig.scene.good.image, "bgr8", header(0, CAMERA_FRAME))))
        self._came_ns: dict[int, tuple[int, InspectionResult]] = {}
        self._sent = 0
        rig.create_subscription(InspectionResult, "result", self._hear, RELIABLE)

    def _hear(self, result: InspectionResult) -> None:
        self._came_ns[stamp_ns(result.header)] = (time.time_ns(), result)

    def send(self) -> int:
        """Send an image stamped now; return its stamp."""
        at_ns = time.time_ns()
        stamp = header(at_ns, "").stamp
        self._rig.allow(at_ns)
        self._rig.send_info(at_ns)
        self._message[4:12] = np.array([stamp.sec, stamp.nanosec], "<u4").tobytes()  # behind CDR's own four bytes
        self._rig.image.publish(bytes(self._message))
        self._sent += 1
        return at_ns

    def settle(self) -> dict[str, int]:
        """Send until an image is answered, so that nothing waits and losses are noticed; return the cell's counts."""
        until = time.monotonic() + 120.0
        while time.monotonic() < until:
            at_ns, wait_until = self.send(), time.monotonic() + 5.0
            while at_ns not in self._came_ns and time.monotonic() < wait_until:
                time.sleep(0.005)
            if at_ns in self._came_ns:
                result = self._came_ns[at_ns][1]
                if result.verdict != Verdict.PASS:
                    raise SystemExit(f"bench-ros: expected PASS, got {result.message!r}")
                return self._rig.counts()
        raise SystemExit("bench-ros: the cell answers no image")

    def measure(self, size: tuple[int, int], rate_hz: float, images: int) -> Row:
        """Send images at a rate, and say what came of them."""
        before, sent_before, first_s = self.settle(), self._sent, time.monotonic()
        stamps = []
        for i in range(images):
            time.sleep(max(0.0, first_s + i / rate_hz - time.monotonic()))
            stamps.append(self.send())
        after = self.settle()
        change = {name: after[name] - before[name] for name in COUNTS}
        counted = sum(change.values())
        answered = [s for s in stamps if s in self._came_ns]
        latency, pipeline, overhead = [], [], []
        done_ns = 0
        for at_ns in answered:
            came_ns, result = self._came_ns[at_ns]
            own_ms = sum(t.ms for t in result.times)
            latency.append((came_ns - at_ns) / 1e6)
            pipeline.append(own_ms)
            overhead.append((came_ns - max(at_ns, done_ns)) / 1e6 - own_ms)
            done_ns = came_ns
        return Row(size, rate_hz, images, tuple(latency), tuple(pipeline), tuple(overhead), change["frames dropped"],
                   change["frames lost"], abs(self._sent - sent_before - counted))


@contextmanager
def stopwatch(scene: Scene, out: Path, arguments: tuple[str, ...] = ()) -> Iterator[Stopwatch]:
    """Run a cell with its usual QoS before a fixed camera of the scene's size, whose driver offers to be reliable."""
    with running_rig(scene, out) as rig:
        rig.start(reliable=False, arguments=arguments)
        rig.move(scene.good.T_cell_camera, time.time_ns(), CELL_FRAME, CAMERA_FRAME, static=True)
        yield Stopwatch(rig)


def camera_of(size: tuple[int, int]) -> Camera:
    """Return a camera that sees as much as the demonstration's, in so many pixels."""
    width, height = size
    f = CAMERA.fx * height / CAMERA.height
    return Camera(f, f, (width - 1) / 2, (height - 1) / 2, width, height)


def table(rows: list[Row]) -> str:
    """Return the rows as text."""
    lines = ["     size  Hz sent answered dropped lost uncounted | latency p50, p95 | pipeline p50 | overhead p50, p95"]
    for r in rows:
        latency, pipeline, overhead = (np.percentile(ms, (50, 95)) for ms in (
            r.latency_ms, r.pipeline_ms, r.overhead_ms))
        lines.append(
            f"{r.size[0]:4d}x{r.size[1]:<4d} {r.rate_hz:3g} {r.sent:4d} {len(r.latency_ms):8d} {r.dropped:7d} "
            f"{r.lost:4d} {r.uncounted:9d} | {latency[0]:8.0f} {latency[1]:6.0f} | {pipeline[0]:12.0f} | "
            f"{overhead[0]:9.1f} {overhead[1]:6.1f}")
    return "\n".join(lines)


def main() -> None:
    """Measure all sizes and rates, several times, and report."""
    parser = argparse.ArgumentParser(description="overhead of a cell over its pipeline")
    parser.add_argument("--out", type=Path, default=Path("out/bench-ros"))
    parser.add_argument("--seconds", type=float, default=10.0, help="at each size and rate, each time")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--profile", default=str(PROFILE), help="Fast DDS profiles; '' for none")
    parser.add_argument("--sizes", nargs="+", default=["x".join(map(str, size)) for size in SIZES])
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES_HZ))
    options = parser.parse_args()
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = options.profile
    rows: list[Row] = []
    for size in (tuple(map(int, text.split("x"))) for text in options.sizes):
        scene = make_scene(options.out, camera_of(size), frozenset({INTACT}))
        with stopwatch(scene, options.out) as watch:
            for rate_hz in options.rates * options.rounds:
                rows.append(watch.measure(size, rate_hz, max(3, round(options.seconds * rate_hz))))
                print(table(rows[-1:]) if len(rows) == 1 else table(rows[-1:]).splitlines()[1], flush=True)
    print(f"\nload of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    # The median over the rounds: what else the machine does hits some of them.
    p95 = {(r.size, r.rate_hz): float(np.median([o.overhead_p95_ms for o in rows
                                                 if (o.size, o.rate_hz) == (r.size, r.rate_hz)])) for r in rows}
    at_target = [value for (size, _), value in p95.items() if size == TARGET_SIZE]
    print(json.dumps({"ros": {
        "overhead_p95_ms": round(max(at_target), 1) if at_target else None, "target_ms": TARGET_MS,
        "dropped_uncounted": sum(r.uncounted for r in rows), "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 1),
        "overhead_p95_ms_by_size_and_rate": {f"{w}x{h}@{rate:g}": round(value, 1)
                                             for ((w, h), rate), value in p95.items()},
        "sent": sum(r.sent for r in rows), "answered": sum(len(r.latency_ms) for r in rows),
        "dropped": sum(r.dropped for r in rows), "lost_on_the_way": sum(r.lost for r in rows)}}))


if __name__ == "__main__":
    main()
