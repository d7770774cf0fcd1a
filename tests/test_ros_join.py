"""Joining by stamp, and the worker: what is plain Python in the nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("rclpy")

from ptad_ros.join import FrameJoin
from ptad_ros.worker import Worker

INFO_S, STAGE_S = 0.2, 1.0


def take(join: FrameJoin, now_s: float) -> list[tuple[int, object, tuple[str, ...]]]:
    return [(f.stamp_ns, f.info, f.missing) for f in join.take(now_s, INFO_S, STAGE_S)]


def test_image_waits_for_the_info_of_its_stamp() -> None:
    join = FrameJoin()
    join.add_info(1, "cam", "info 1")
    join.add_info(2, "cam", "info 2")
    join.add("image", 3, "cam", "image 3", now_s=0.0)
    assert take(join, 0.1) == []
    join.add_info(3, "cam", "info 3")
    assert take(join, 0.1) == [(3, "info 3", ())]


def test_info_published_once_holds_for_all_and_a_lost_one_is_replaced() -> None:
    join = FrameJoin()
    join.add_info(0, "cam", "once")
    join.add("image", 5, "cam", "image", now_s=0.0)
    assert take(join, 0.0) == [(5, "once", ())]
    join.add_info(8, "cam", "later")
    join.add("image", 7, "cam", "image", now_s=1.0)
    assert take(join, 1.0) == [(7, "later", ())]  # the info of 7 was passed by
    join.add("image", 9, "cam", "image", now_s=2.0)
    assert take(join, 2.1) == [] and take(join, 2.2) == [(9, "later", ())]


def test_info_of_another_camera_does_not_count() -> None:
    join = FrameJoin()
    join.add_info(1, "left", "left")
    join.add("image", 1, "right", "image", now_s=0.0)
    assert take(join, 0.1) == [] and take(join, 0.3) == [(1, None, ())]


def test_stages_are_joined_and_an_overtaken_image_is_dropped_and_counted() -> None:
    join = FrameJoin(("image", "mask"))
    join.add_info(0, "cam", "info")
    for stamp in (1, 2):
        join.add("image", stamp, "cam", "image", now_s=0.0)
    join.add("mask", 2, "cam", "mask", now_s=0.1)
    (frame,) = join.take(0.1, INFO_S, STAGE_S)
    assert (frame.stamp_ns, frame.parts, join.dropped, join.waiting) == (
        2, {"image": "image", "mask": "mask"}, 1, 0)


def test_a_stage_that_does_not_answer_is_named() -> None:
    join = FrameJoin(("image", "mask", "mask_status"))
    join.add_info(0, "cam", "info")
    join.add("mask_status", 1, "cam", "status", now_s=0.0)
    join.add("image", 1, "cam", "image", now_s=0.5)
    assert take(join, 1.4) == [] and take(join, 1.6) == [(1, "info", ("mask",))]


def test_results_without_an_image_are_forgotten_and_memory_is_bounded() -> None:
    join = FrameJoin(("image", "mask"), max_frames=5)
    for stamp in range(100):
        join.add("mask", stamp, "cam", "mask", now_s=0.0)
    assert join.waiting == 5 and join.dropped == 0
    assert take(join, 2.0) == [] and join.waiting == 0
    for stamp in range(100):
        join.add("image", stamp, "cam", "image", now_s=0.0)
        join.add_info(stamp, "cam", "info")
    assert join.waiting == 5 and join.dropped == join.evicted == 95


@dataclass
class Picture:
    data: bytes


def test_memory_is_bounded_by_bytes() -> None:
    join = FrameJoin(("image", "mask"), max_bytes=10_000)
    for stamp in range(100):
        join.add("image", stamp, "cam", Picture(bytes(1000)), now_s=stamp / 30)
        join.add("mask", stamp, "cam", Picture(bytes(1)), now_s=stamp / 30)
    assert join.waiting == 9 and join.evicted == 91
    join.clear()
    for stamp in range(20):  # what had waited before takes no room any more
        join.add("image", stamp, "cam", Picture(bytes(1000)), now_s=stamp / 30)
    assert join.waiting == 10


def _run(latency_s: float | None, max_frames: int, seconds: float = 40.0) -> tuple[list[float], list[float], int]:
    """Feed 30 images a second, and the masks of a stage that takes the newest image whenever it is free.

    Return when complete frames came, when frames came that lack their mask, and how many results the stage gave.
    """
    join = FrameJoin(("image", "mask"), max_frames=max_frames)
    join.add_info(0, "cam", "info")
    complete, lacking, results = [], [], 0
    under_way: tuple[int, float] | None = None
    for i in range(round(30 * seconds)):
        now_s, stamp = i / 30, i + 1
        join.add("image", stamp, "cam", "image", now_s)
        if under_way is not None and latency_s is not None and now_s >= under_way[1] + latency_s:
            join.add("mask", under_way[0], "cam", "mask", now_s)
            under_way, results = None, results + 1
        under_way = under_way or (stamp, now_s)
        for frame in join.take(now_s, INFO_S, stage_timeout_s=10.0):
            (lacking if frame.missing else complete).append(now_s)
        assert join.waiting <= max_frames
    answered_for = join.dropped + len(complete) + len(lacking)
    assert round(30 * seconds) - join.waiting <= answered_for <= round(30 * seconds)
    return complete, lacking, results


@pytest.mark.parametrize("max_frames", [10, 30, 1000])
def test_a_dead_stage_is_answered_for_at_30_hz(max_frames: int) -> None:
    complete, lacking, _ = _run(None, max_frames)
    assert not complete and lacking[0] == pytest.approx(10.0, abs=0.1)
    assert np.diff([*lacking, 40.0]).max() < 5.0


@pytest.mark.parametrize("latency_s", [0.5, 1.3, 2.0, 3.0, 5.0, 8.0])
def test_a_stage_slower_than_what_may_wait_still_completes_frames(latency_s: float) -> None:
    complete, _, results = _run(latency_s, max_frames=30)
    assert len(complete) >= results // 4 > 0
    complete, _, results = _run(latency_s, max_frames=1000)
    assert len(complete) == results  # with room, every result of the stage meets its image


def test_two_images_of_one_stamp_are_one_drop() -> None:
    join = FrameJoin()
    for _ in range(2):
        join.add("image", 1, "cam", "image", now_s=0.0)
    assert (join.waiting, join.dropped) == (1, 1)


def test_clear_counts_what_it_drops_and_keeps_the_intrinsics() -> None:
    join = FrameJoin()
    join.add_info(8, "cam", "old")
    join.add_info(9, "cam", "new")
    join.add("image", 50, "cam", "image", now_s=0.0)
    join.clear()
    assert (join.waiting, join.dropped) == (0, 1)
    join.add("image", 1, "cam", "image", now_s=0.0)
    assert take(join, 0.0) == [(1, "new", ())]


def test_worker_drops_the_older_and_stops_in_time() -> None:
    go, seen = threading.Event(), []

    def work(job: int) -> None:
        seen.append(job)
        go.wait(5)

    worker: Worker[int] = Worker(work, lambda _job, _error: None)
    worker.start()
    worker.submit(1)
    while not seen:
        time.sleep(0.001)
    for job in (2, 3, 4):
        worker.submit(job)
    assert worker.dropped == 2
    threading.Timer(0.05, go.set).start()
    assert worker.stop(5.0)
    assert (seen, worker.done, worker.dropped) == ([1], 1, 3)


def test_worker_that_hangs_is_told_of() -> None:
    hang = threading.Event()
    started = threading.Event()

    def work(_job: int) -> None:
        started.set()
        hang.wait(10)

    worker: Worker[int] = Worker(work, lambda _job, _error: None)
    worker.start()
    worker.submit(1)
    assert started.wait(5)
    assert not worker.stop(0.05)
    worker.start()  # a worker of its own, that does not wait for the one left behind
    seen = threading.Event()
    worker._work = lambda _job: seen.set()
    worker.submit(2)
    assert seen.wait(5)
    assert worker.stop(5.0) and not worker.revive()
    hang.set()


def test_worker_left_behind_takes_no_more_jobs() -> None:
    hang, by = threading.Event(), {}

    def work(job: int) -> None:
        by[job] = threading.current_thread()
        if job == 1:
            hang.wait(10)

    worker: Worker[int] = Worker(work, lambda _job, _error: None)
    worker.start()
    worker.submit(1)
    _until(lambda: 1 in by)
    assert not worker.stop(0.05)
    worker.start()
    hang.set()
    by[1].join(5)
    assert not by[1].is_alive()
    worker.submit(2)
    _until(lambda: 2 in by)
    assert by[2] is not by[1]
    assert worker.stop(5.0) and worker.done == 2


def test_a_failure_that_cannot_be_answered_does_not_end_the_worker() -> None:
    done = []

    def work(job: int) -> None:
        if job == 1:
            raise ValueError("boom")
        done.append(job)

    def failed(_job: int, _error: BaseException) -> None:
        raise RuntimeError("nor can it be answered")

    worker: Worker[int] = Worker(work, failed)
    worker.start()
    worker.submit(1)
    _until(lambda: worker.done == 1)
    worker.submit(2)
    _until(lambda: done == [2])
    assert (worker.unanswered, worker.revive()) == (1, False)
    assert worker.stop(5.0)


def _until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.001)
