"""Joining by stamp, and the worker: what is plain Python in the nodes."""

from __future__ import annotations

import threading
import time

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
    join = FrameJoin(("image", "mask"), capacity=5)
    for stamp in range(100):
        join.add("mask", stamp, "cam", "mask", now_s=0.0)
    assert join.waiting == 5 and join.dropped == 0
    assert take(join, 2.0) == [] and join.waiting == 0
    for stamp in range(100):
        join.add("image", stamp, "cam", "image", now_s=0.0)
        join.add_info(stamp, "cam", "info")
    assert join.waiting == 5 and join.dropped == 95


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
    hang.set()
