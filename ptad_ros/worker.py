"""One background thread that does the work; the newest job waits, older ones are dropped and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Runs ``work(job)`` for one job at a time, outside the executor's threads.

    Args:
        work: does the job; False says that it turned out not to be wanted.
        failed: is told of a job whose work raised, with the exception; it must answer for the job. Where it raises
            itself, the thread goes on all the same, and ``unanswered`` counts it.

    Attributes:
        done: jobs worked on, failed ones included.
        dropped: jobs that a newer one replaced while they waited.
        passed_over: jobs that turned out not to be wanted when their turn came; not among those done.
        unanswered: jobs whose failure could not be answered either.
        restarts: how often a dead thread was replaced.
    """

    def __init__(self, work: Callable[[Job], bool | None], failed: Callable[[Job, BaseException], None]) -> None:
        self._work = work
        self._failed = failed
        self._wake = threading.Condition()
        self._waiting: Job | None = None
        self._under_way = 0
        self._since_s = 0.0
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self.done = 0
        self.dropped = 0
        self.passed_over = 0
        self.unanswered = 0
        self.restarts = 0

    def start(self) -> None:
        """Start a thread; no effect where one runs that was not told to stop.

        One that hangs since it was told to stop is left behind with a stop of its own: it ends with its job.
        """
        if self._running and self._thread is not None and self._thread.is_alive():
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="inspection-worker", daemon=True)
        self._thread.start()

    @property
    def _running(self) -> bool:
        return self._stop is not None and not self._stop.is_set()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Let the job under way end, forget the waiting one, end the thread; tell whether it ended in time."""
        with self._wake:
            if self._stop is not None:
                self._stop.set()
            if self._waiting is not None:
                self._waiting = None
                self.dropped += 1
            self._wake.notify_all()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Hand over a job; it replaces one that is still waiting."""
        with self._wake:
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = job
            self._wake.notify_all()

    def revive(self) -> bool:
        """Replace a thread that died (and was not stopped); tell whether that was needed."""
        if not self._running or self._thread is None or self._thread.is_alive():
            return False
        self.restarts += 1
        self.start()
        return True

    @property
    def busy(self) -> bool:
        """Whether a job is under way or waits."""
        with self._wake:
            return self._under_way > 0 or self._waiting is not None

    @property
    def under_way_s(self) -> float:
        """For how long the job under way is worked on; 0 where there is none."""
        with self._wake:
            return time.monotonic() - self._since_s if self._under_way else 0.0

    def _run(self, stop: threading.Event) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: stop.is_set() or self._waiting is not None)
                if stop.is_set():
                    return
                job, self._waiting = self._waiting, None
                assert job is not None
                self._under_way += 1
                self._since_s = time.monotonic()
            wanted: bool | None = None
            try:
                wanted = self._work(job)
            except BaseException as error:
                self._answer_failure(job, error)
                if not isinstance(error, Exception):
                    raise
            finally:
                with self._wake:
                    self._under_way -= 1
                    if wanted is False:
                        self.passed_over += 1
                    else:
                        self.done += 1

    def _answer_failure(self, job: Job, error: BaseException) -> None:
        try:
            self._failed(job, error)
        except Exception:  # noqa: BLE001 - it had its say; the next job must not suffer
            self.unanswered += 1
