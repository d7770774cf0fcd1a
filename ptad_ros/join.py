"""Puts together what belongs to one frame: messages of one stamp, and the CameraInfo that holds for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

IMAGE = "image"
_MAX_BYTES = 512 * 2**20
_MAX_FRAMES = 1000
_MAX_CAMERAS = 16
"""A topic carries one camera; more frame_ids than this are somebody's mistake, and must not fill the memory."""


@dataclass(slots=True)
class JoinedFrame:
    """The messages of one image's stamp.

    Attributes:
        since_s: when the image came.
        parts: by name; ``parts["image"]`` is always there.
        info: the CameraInfo, None where none is known for this camera.
        missing: names of the parts that did not come in time.
    """

    stamp_ns: int
    frame_id: str
    since_s: float
    parts: dict[str, Any]
    info: Any = None
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pending:
    frame_id: str
    since_s: float
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(len(getattr(message, "data", ())) for message in self.parts.values())

    @property
    def image_alone(self) -> bool:
        return len(self.parts) == 1 and IMAGE in self.parts


@dataclass(slots=True)
class _Infos:
    """CameraInfo of one camera frame: the last few by stamp. One that came only once is latched and always holds."""

    by_stamp: OrderedDict[int, Any] = field(default_factory=OrderedDict)

    def add(self, stamp_ns: int, info: Any) -> None:
        self.by_stamp[stamp_ns] = info
        while len(self.by_stamp) > 30:
            self.by_stamp.popitem(last=False)

    def choose(self, stamp_ns: int, waited_enough: bool) -> Any:
        """Return the info that holds at a stamp; None where a better one may still come."""
        if stamp_ns in self.by_stamp:
            return self.by_stamp[stamp_ns]
        newest_ns = next(reversed(self.by_stamp))
        published_once = len(self.by_stamp) == 1
        passed_by = newest_ns > stamp_ns
        return self.by_stamp[newest_ns] if published_once or passed_by or waited_enough else None


class FrameJoin:
    """Joins by exact stamp. Not thread-safe: it belongs to the executor's thread.

    Args:
        parts: names of what makes up a frame besides the CameraInfo; "image" is one of them.
        max_frames: frames that may wait.
        max_bytes: of message data that may wait. What limits how long a frame waits is time, not these: they bound
            the memory. Beyond them the waiting frames are thinned out, see ``_make_room``.

    Attributes:
        dropped: images given up: the stages before had skipped them, or too many waited.
        evicted: those of them that were given up because too many waited.
    """

    def __init__(self, parts: tuple[str, ...] = (IMAGE,), max_frames: int = _MAX_FRAMES,
                 max_bytes: int = _MAX_BYTES) -> None:
        assert IMAGE in parts
        self._parts = parts
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._bytes = 0
        self._pending: dict[int, _Pending] = {}
        self._infos: dict[str, _Infos] = {}
        self.dropped = self.evicted = 0

    @property
    def waiting(self) -> int:
        """How many frames wait for something."""
        return len(self._pending)

    @property
    def has_info(self) -> bool:
        """Whether any CameraInfo has come."""
        return bool(self._infos)

    def add(self, part: str, stamp_ns: int, frame_id: str, message: Any, now_s: float) -> None:
        """Take a message of a frame."""
        pending = self._pending.setdefault(stamp_ns, _Pending(frame_id, now_s))
        if part == IMAGE:
            self.dropped += IMAGE in pending.parts  # two images of one stamp: the later one counts
            pending.frame_id, pending.since_s = frame_id, now_s
        self._bytes -= pending.bytes
        pending.parts[part] = message
        self._bytes += pending.bytes
        self._make_room()

    def add_info(self, stamp_ns: int, frame_id: str, info: Any) -> None:
        """Take a CameraInfo."""
        self._infos.setdefault(frame_id, _Infos()).add(stamp_ns, info)
        if len(self._infos) > _MAX_CAMERAS:
            del self._infos[next(iter(self._infos))]

    def take(self, now_s: float, info_timeout_s: float, stage_timeout_s: float) -> list[JoinedFrame]:
        """Return the frames that are complete, or have waited long enough; oldest first."""
        ready = []
        for stamp_ns in sorted(self._pending):
            pending = self._pending[stamp_ns]
            waited_s = now_s - pending.since_s
            if len(pending.parts) < len(self._parts) and waited_s < stage_timeout_s:
                continue
            missing = tuple(p for p in self._parts if p not in pending.parts)
            if IMAGE in missing:
                self._pop(stamp_ns)  # results for an image that never came: nothing to answer for
                continue
            infos = self._infos.get(pending.frame_id)
            info = infos.choose(stamp_ns, waited_s >= info_timeout_s) if infos else None
            if info is None and waited_s < info_timeout_s:
                continue
            self._pop(stamp_ns)
            ready.append(JoinedFrame(stamp_ns, pending.frame_id, pending.since_s, pending.parts, info, missing))
        if ready and len(self._parts) > 1:
            # Stages answer in order: where a later frame is complete, what an earlier one lacks will not come.
            newest_complete_ns = max((f.stamp_ns for f in ready if not f.missing), default=0)
            for stamp_ns in [s for s in self._pending if s < newest_complete_ns]:
                self._drop(stamp_ns)
        return ready

    def clear(self) -> None:
        """Forget all that waits (time jumped); the cameras' CameraInfo stays as if published once."""
        for stamp_ns in list(self._pending):
            self._drop(stamp_ns)
        for infos in self._infos.values():
            while len(infos.by_stamp) > 1:
                infos.by_stamp.popitem(last=False)

    def _make_room(self) -> None:
        """Give up frames while too many wait: images first that no stage has answered yet.

        The stages before skip images as well, and any that waits may be the one they work on: what is left is spread
        evenly over time, so that some of their answers still meet their image. The oldest stays until it is answered.
        """
        while len(self._pending) > self._max_frames or (self._bytes > self._max_bytes and len(self._pending) > 2):
            waiting = sorted(self._pending)
            alone = [s for s in waiting if self._pending[s].image_alone]
            choice = alone if len(alone) > 2 else waiting
            self.evicted += self._drop(choice[most_crowded(choice)])

    def _drop(self, stamp_ns: int) -> int:
        lost = int(IMAGE in self._pop(stamp_ns).parts)
        self.dropped += lost
        return lost

    def _pop(self, stamp_ns: int) -> _Pending:
        pending = self._pending.pop(stamp_ns)
        self._bytes -= pending.bytes
        return pending


def most_crowded(stamps_ns: Sequence[int]) -> int:
    """Return which of ascending stamps has the closest neighbours; never the first, nor the last of many."""
    inner = range(1, len(stamps_ns) - 1)
    return min(inner, key=lambda i: stamps_ns[i + 1] - stamps_ns[i - 1], default=len(stamps_ns) - 1)
