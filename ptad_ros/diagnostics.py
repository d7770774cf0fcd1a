"""What a node says about itself on /diagnostics: counts, times per stage, the last failure and what to do about it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ptad_core.advice import NEXT_STEP
from ptad_core.types import InspectionResult, Reason, StageTime, Verdict

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
_RECENT = 100
_SILENT_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the images of a node went; those that are neither done nor dropped wait or are under way.

    Attributes:
        images: how many came.
        done: how many were answered.
        dropped: how many were given up for newer ones.
        lost: how many never came, as far as the middleware noticed.
        evicted: those of the dropped that were given up because too many waited for what did not come.
        unwanted: how many came besides that nobody had asked for (``input.on_demand``).
    """

    images: int
    done: int
    dropped: int
    lost: int = 0
    evicted: int = 0
    unwanted: int = 0

    @property
    def waiting(self) -> int:
        return self.images - self.done - self.dropped


@contextmanager
def timed(stage: str, times: list[StageTime]) -> Iterator[None]:
    """Measure a stage into a list."""
    started = time.perf_counter()
    yield
    times.append(StageTime(stage, 1e3 * (time.perf_counter() - started)))


class Health:
    """Collects what happens to frames; the worker writes, the executor reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}
        self._verdicts: Counter[str] = Counter()
        self._failure = ""
        self._advice = ""
        self._fault = ""
        self._trouble = ""
        self._refusing = False
        self._told = Counts(0, 0, 0)

    def times(self, times: Iterable[StageTime]) -> None:
        """Note how long stages took."""
        with self._lock:
            for t in times:
                self._times.setdefault(t.stage, deque(maxlen=_RECENT)).append(t.ms)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure a stage, and note how long it took."""
        times: list[StageTime] = []
        with timed(stage, times):
            yield
        self.times(times)

    def result(self, result: InspectionResult) -> None:
        """Note an answer."""
        self.times(result.times)
        self.answered(result.verdict, result.reasons, result.message)

    def answered(self, verdict: Verdict | None, reasons: tuple[Reason, ...], message: str) -> None:
        """Note what was answered to an image (None: a stage's result that is no verdict), and why.

        A stage that gives reasons refuses the image, and so does a verdict that it cannot be inspected.
        """
        with self._lock:
            self._refusing = verdict is Verdict.CANNOT_INSPECT or (verdict is None and bool(reasons))
            if verdict is not None:
                self._verdicts[verdict.name] += 1
            elif reasons:
                self._verdicts[Verdict.CANNOT_INSPECT.name] += 1
            if self._refusing and reasons:
                self._failure = f"{', '.join(r.name for r in reasons)}: {message}"
                self._advice = NEXT_STEP[reasons[0]]
            if Reason.INTERNAL_ERROR not in reasons:
                self._fault = ""

    def fault(self, message: str, reason: Reason = Reason.INTERNAL_ERROR) -> None:
        """Note an error of the node itself; it is shown until a frame is answered without one."""
        with self._lock:
            self._fault = f"internal error: {message}" if reason is Reason.INTERNAL_ERROR else message
            self._failure, self._advice = f"{reason.name}: {message}", NEXT_STEP[reason]

    def trouble(self, message: str) -> None:
        """Note what went wrong beside the inspection; it is shown as a warning once."""
        with self._lock:
            if message not in self._trouble:
                self._trouble = f"{self._trouble}; {message}" if self._trouble else message

    def recovered(self) -> None:
        """Note that the node starts anew: what failed before is no fault any more."""
        with self._lock:
            self._fault = ""

    def status(self, name: str, part_id: str, reference_hash: str, calibration: str, state: str, counts: Counts,
               image_topic: str, publishers: int, last_image_s: float) -> DiagnosticStatus:
        """Return the state of things as a diagnostics message.

        Args:
            name: of the node.
            part_id: what is inspected.
            reference_hash: of the reference that it is held against.
            calibration: what verdicts are held against, in words.
            state: lifecycle state.
            counts: of images.
            image_topic: where images are expected.
            publishers: how many publish there.
            last_image_s: when the last one came, by the monotonic clock.
        """
        with self._lock:
            silent_s = time.monotonic() - last_image_s
            (level, summary, next_step), *others = self._findings(state, counts, image_topic, publishers, silent_s)
            self._told, self._trouble = counts, ""
            values = {
                "next step": next_step, "also": "; ".join(what for level, what, _ in others if level != OK),
                "state": state, "part": part_id, "reference": reference_hash, "calibration": calibration,
                "frames in": counts.images, "frames done": counts.done, "frames dropped": counts.dropped,
                "frames waiting": counts.waiting, "frames lost": counts.lost,
                "frames given up while they waited": counts.evicted, "frames not asked for": counts.unwanted,
                **{f"verdict {verdict}": n for verdict, n in sorted(self._verdicts.items())},
                **{f"{stage} ms (p50 / p95)": f"{np.median(ms):.1f} / {np.percentile(ms, 95):.1f}"
                   for stage, ms in self._times.items()},
                "last failure": self._failure, "what to do": self._advice}
        return DiagnosticStatus(level=level, name=name, message=summary, hardware_id=part_id,
                                values=[KeyValue(key=k, value=str(v)) for k, v in values.items()])

    def _findings(self, state: str, counts: Counts, image_topic: str, publishers: int,
                  silent_s: float) -> Iterator[tuple[bytes, str, str]]:
        """Yield what there is to say with what the operator does about it, the worst first."""
        if self._fault:
            yield DiagnosticStatus.ERROR, self._fault, self._advice
        if state != "active":
            yield WARN, f"node is {state}: it answers no images", NEXT_STEP[Reason.NOT_ACTIVE]
        if self._trouble:
            yield WARN, self._trouble, "as the message says"
        if silent_s > _SILENT_AFTER_S:
            why, step = f"{publishers} publisher(s), check the camera", NEXT_STEP[Reason.NO_IMAGE]
            if not publishers:
                why, step = "nobody publishes it", "start the camera's driver, or remap its topic; ptad doctor --live"
            yield WARN, f"no image on {image_topic} for {silent_s:.0f} s; {why}", step
        if self._refusing:
            yield WARN, f"cannot inspect: {self._failure}", self._advice
        lost, evicted = counts.lost - self._told.lost, counts.evicted - self._told.evicted
        dropped = counts.dropped - self._told.dropped - evicted
        if lost > 0:
            yield WARN, f"{lost} images lost on the way lately", (
                "let the camera's driver publish reliably, or send compressed images")
        if evicted > 0:
            yield WARN, (f"{evicted} images given up lately: too many waited for the stages before, for CameraInfo or "
                         "for transforms"), "check that these come, and in time"
        if dropped > 0:
            yield WARN, f"images come faster than they are inspected: {dropped} dropped lately", (
                "nothing where the newest image is what counts; else trigger the camera, or ask by the action inspect")
        yield OK, "inspecting", ""
