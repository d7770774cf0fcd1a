"""A buffer of timed transforms that answers for any moment in between; what tf2's buffer does, without ROS.

Same rules as tf2: every frame has one parent at a time, static transforms hold for ever, moving ones are
interpolated between the two samples around the stamp and never extrapolated. One rule is ours: nothing is interpolated
across a long gap, for a frame that was silent meanwhile may have been anywhere.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from scipy.spatial.transform import Rotation

from ptad_core.errors import TransformError
from ptad_core.frames import invert, is_rigid, make_transform
from ptad_core.types import FloatArray, Reason

_NS = 1_000_000_000
MAX_FRAMES = 10_000
"""A robot has hundreds; more than this are somebody's mistake, and must not fill the memory."""


class TransformMissingError(TransformError):
    """No chain of transforms connects the two frames: a link was never published."""

    reason = Reason.TF_MISSING


class TransformStaleError(TransformError):
    """The frames are connected, but not at the stamp that was asked for.

    Attributes:
        ahead_s: how much later than the newest sample the stamp is, in seconds; negative where it is older than the
            oldest one, or than the end of a gap that is too long. Positive means that waiting may help.
    """

    reason = Reason.TF_STALE

    def __init__(self, message: str, ahead_s: float) -> None:
        super().__init__(message)
        self.ahead_s = ahead_s


class TransformGapError(TransformStaleError):
    """The stamp lies between two samples that are too far apart in time."""


@dataclass(frozen=True, slots=True)
class _Sample:
    parent: str
    T_parent_child: FloatArray


@dataclass(slots=True)
class _History:
    """What is known of one child frame: samples sorted by stamp, or a single static one."""

    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    samples: list[_Sample] = field(default_factory=list)


class TransformBuffer:
    """Transforms by name and time. All methods may be called from any thread.

    Args:
        history_s: how far back samples are kept, behind the newest one of the same frame; ``math.inf`` keeps all.
        max_gap_s: samples further apart than this are not interpolated between; 0 is no limit.
    """

    def __init__(self, history_s: float = 10.0, max_gap_s: float = 0.0) -> None:
        self._history_s = history_s
        self._max_gap_s = max_gap_s or math.inf
        self._frames: dict[str, _History] = {}
        self._lock = Lock()

    def set(self, parent: str, child: str, stamp_ns: int, T_parent_child: FloatArray, static: bool = False) -> None:
        """Add a sample. Samples may come out of order; one that is older than the history is dropped.

        Raises:
            TransformError: if the transform is not rigid and finite, a frame is its own parent or has no name, or there
                are too many frames already.
        """
        parent, child = _name(parent), _name(child)
        if not parent or not child or parent == child:
            raise TransformError(f"expected two different frame names, got {parent!r} -> {child!r}")
        if not is_rigid(T_parent_child, tolerance=1e-3):
            raise TransformError(f"{parent} -> {child}: expected a finite rigid transform, got\n{T_parent_child}")
        sample = _Sample(parent, T_parent_child)
        with self._lock:
            if child not in self._frames and len(self._frames) >= MAX_FRAMES:
                raise TransformError(f"{parent} -> {child}: expected at most {MAX_FRAMES} frames; this one is left out")
            if static:
                self._frames[child] = _History(True, [stamp_ns], [sample])
                return
            history = self._frames.get(child)
            if history is None or history.static:
                history = self._frames[child] = _History(False)
            self._insert(history, stamp_ns, sample)

    def _insert(self, history: _History, stamp_ns: int, sample: _Sample) -> None:
        stamps, samples = history.stamps_ns, history.samples
        i = bisect_left(stamps, stamp_ns)
        if i < len(stamps) and stamps[i] == stamp_ns:
            return  # repeated data: the first one stays, as in tf2
        newest_ns = max(stamp_ns, stamps[-1]) if stamps else stamp_ns
        oldest_kept_ns = newest_ns - self._history_s * _NS
        if stamp_ns < oldest_kept_ns:
            return
        stamps.insert(i, stamp_ns)
        samples.insert(i, sample)
        if stamps[0] < oldest_kept_ns:
            expired = bisect_left(stamps, oldest_kept_ns)
            del stamps[:expired], samples[:expired]

    def lookup(self, target: str, source: str, stamp_ns: int) -> FloatArray:
        """Return T_target_source (4, 4) at a stamp.

        Raises:
            TransformMissingError: if a link between the two frames was never set; it names where the chain ends.
            TransformStaleError: if a link has no samples around the stamp, or only ones too far apart; it says how far
                outside the stamp is, or how long the gap.
        """
        target, source = _name(target), _name(source)
        with self._lock:
            if target == source:
                self._require_known(target)
            T_above_source, source_error = self._climb(source, stamp_ns)
            T_above_target, target_error = self._climb(target, stamp_ns)
        for frame, T_frame_target in T_above_target.items():
            if frame in T_above_source:
                return invert(T_frame_target) @ T_above_source[frame]
        error = source_error or target_error
        if error is not None:
            raise error
        self._require_known(target)
        self._require_known(source)
        raise TransformMissingError(
            f"no transform connects {target!r} and {source!r}: the first hangs below {list(T_above_target)[-1]!r}, "
            f"the second below {list(T_above_source)[-1]!r}")

    def require_no_gap(self, target: str, source: str, stamp_ns: int) -> None:
        """Raise TransformStaleError where the stamp lies in a gap of a link that connects two frames.

        Says nothing of what else may be wrong, be it that a link is missing: this is for who looks up elsewhere.
        """
        try:
            self.lookup(target, source, stamp_ns)
        except TransformGapError:
            raise
        except TransformError:
            return

    def _climb(self, frame: str, stamp_ns: int) -> tuple[dict[str, FloatArray], TransformStaleError | None]:
        """Return T_ancestor_frame of the frame and all its ancestors, nearest first, and what stopped the climb."""
        above: dict[str, FloatArray] = {frame: np.eye(4)}
        here = frame
        while here in self._frames:
            try:
                sample = _at(self._frames[here], here, stamp_ns, self._max_gap_s)
            except TransformStaleError as error:
                return above, error
            if sample.parent in above:
                raise TransformMissingError(f"the transforms form a loop: {' -> '.join([*above, sample.parent])}")
            above[sample.parent] = sample.T_parent_child @ above[here]
            here = sample.parent
        return above, None

    def _require_known(self, frame: str) -> None:
        known = set(self._frames)
        for history in self._frames.values():
            known.update(sample.parent for sample in history.samples[-1:])
        if frame not in known:
            names = ", ".join(sorted(known)) or "none"
            raise TransformMissingError(f"no transform of frame {frame!r} has come; frames known: {names}")

    def clear(self, static: bool = False) -> None:
        """Forget all moving transforms. Static ones stay unless asked: they are latched and would not come again."""
        with self._lock:
            self._frames = {} if static else {name: h for name, h in self._frames.items() if h.static}


def _name(frame: str) -> str:
    return frame.lstrip("/")  # ROS 1 habits survive in drivers and bags; tf2 frames have no leading slash


def _at(history: _History, child: str, stamp_ns: int, max_gap_s: float) -> _Sample:
    """Return a frame's transform at a stamp, interpolated."""
    stamps, samples = history.stamps_ns, history.samples
    if history.static:
        return samples[0]
    i = bisect_left(stamps, stamp_ns)
    if i < len(stamps) and stamps[i] == stamp_ns:
        return samples[i]
    parent = samples[-1].parent
    if i == len(stamps):
        ahead_s = (stamp_ns - stamps[-1]) / _NS
        raise TransformStaleError(
            f"transform {parent} -> {child}: the newest is {ahead_s:.3f} s older than the stamp asked for", ahead_s)
    if i == 0:
        behind_s = (stamps[0] - stamp_ns) / _NS
        raise TransformStaleError(
            f"transform {parent} -> {child}: the stamp asked for is {behind_s:.3f} s older than the oldest kept",
            -behind_s)
    before, after = samples[i - 1], samples[i]
    gap_s = (stamps[i] - stamps[i - 1]) / _NS
    if gap_s > max_gap_s:
        raise TransformGapError(
            f"transform {before.parent} -> {child}: the stamp asked for lies in a gap of {gap_s:.3f} s without "
            f"transforms, longer than {max_gap_s:g} s", (stamp_ns - stamps[i]) / _NS)
    if before.parent != after.parent:
        return before  # the frame was handed over in between: it stays with its old parent until the new one speaks
    fraction = (stamp_ns - stamps[i - 1]) / (stamps[i] - stamps[i - 1])
    return _Sample(before.parent, interpolate(before.T_parent_child, after.T_parent_child, fraction))


def interpolate(T_a_b0: FloatArray, T_a_b1: FloatArray, fraction: float) -> FloatArray:
    """Return the transform a fraction 0..1 of the way: straight line in position, constant rate in rotation."""
    R0 = Rotation.from_matrix(T_a_b0[:3, :3])
    turn = (R0.inv() * Rotation.from_matrix(T_a_b1[:3, :3])).as_rotvec()
    R = (R0 * Rotation.from_rotvec(fraction * turn)).as_matrix()
    return make_transform(R, (1.0 - fraction) * T_a_b0[:3, 3] + fraction * T_a_b1[:3, 3])


class JumpWatch:
    """Notices that time went backward: a bag that loops, a simulation that restarts.

    Args:
        tolerance_s: messages of one source may be this much out of order without it being a jump.
    """

    def __init__(self, tolerance_s: float = 0.5) -> None:
        self._tolerance_ns = tolerance_s * _NS
        self._newest_ns: dict[str, int] = {}

    def jumped_back(self, source: str, stamp_ns: int) -> bool:
        """Take note of a message's stamp; tell whether it jumped back against the same source's newest.

        A jump makes the watch forget all sources, so that one loop of a bag is reported once and not by each topic.
        """
        if stamp_ns < self._newest_ns.get(source, -math.inf) - self._tolerance_ns:
            self._newest_ns = {source: stamp_ns}
            return True
        if len(self._newest_ns) > MAX_FRAMES:
            self._newest_ns.clear()
        self._newest_ns[source] = max(stamp_ns, self._newest_ns.get(source, stamp_ns))
        return False
