"""One background thread that does the work; the newest job waits, older ones are dropped and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Runs ``work(job)`` for one job at a time, outside the executor's threads.

    Args:
        work: does the job.
        failed: is told of a job whose work raised, with the exception; it must answer for the job.

    Attributes:
        done: jobs worked on, failed ones included.
        dropped: jobs that a newer one replaced while they waited.
        restarts: how often a dead thread was replaced.
    """

    def __init__(self, work: Callable[[Job], None], failed: Callable[[Job, BaseException], None]) -> None:
        self._work = work
        self._failed = failed
        self._wake = threading.Condition()
        self._waiting: Job | None = None
        self._busy = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.done = 0
        self.dropped = 0
        self.restarts = 0

    def start(self) -> None:
        """Start the thread; no effect where it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inspection-worker", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Let the job under way end, forget the waiting one, end the thread; tell whether it ended in time."""
        with self._wake:
            self._stopping = True
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
        if self._stopping or self._thread is None or self._thread.is_alive():
            return False
        self.restarts += 1
        self.start()
        return True

    @property
    def busy(self) -> bool:
        """Whether a job is under way or waits."""
        with self._wake:
            return self._busy or self._waiting is not None

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._waiting is not None)
                if self._stopping:
                    return
                job, self._waiting = self._waiting, None
                assert job is not None
                self._busy = True
            try:
                self._work(job)
            except BaseException as error:
                self._failed(job, error)
                if not isinstance(error, Exception):
                    raise
            finally:
                with self._wake:
                    self._busy = False
                    self.done += 1
