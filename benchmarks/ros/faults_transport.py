"""Cameras that stop, restart, flood, or offer another quality of service."""

from __future__ import annotations

import time

from sensor_msgs.msg import Image

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import BEST_EFFORT, RELIABLE, NotAnsweredError, Rig, header
from ptad_core.synthesis.recording import CAMERA_FRAME, PERIOD_NS
from ptad_core.types import Verdict
from ptad_ros.images import image_message

FAMILY = "transport"
FLOOD_HZ, FLOOD_S = 200, 3.0


@fault(FAMILY, "camera stops")
def stops(rig: Rig) -> None:
    rig.told("no image on .*1 publisher\\(s\\), check the camera")


@fault(FAMILY, "camera's driver is gone, and comes back")
def restarts(rig: Rig) -> None:
    rig.destroy_publisher(rig.image)
    try:
        rig.told("no image on .*nobody publishes it")
    finally:
        rig.image = rig.create_publisher(Image, "image_raw", RELIABLE)
        rig.wait(rig.image.get_subscription_count, 10.0, "the cell hears the new driver")
        time.sleep(0.3)


@fault(FAMILY, "two cameras publish on one topic")
def two_publishers(rig: Rig) -> None:
    second = rig.create_publisher(Image, "image_raw", RELIABLE)
    try:
        rig.told("2 publishers on .*images of several cameras may be mixed")
        rig.passes("inspects what it gets")
    finally:
        rig.destroy_publisher(second)


@fault(FAMILY, "best-effort camera, best-effort cell", own_cell=True)
def both_best_effort(rig: Rig) -> None:
    rig.restart(reliable=False)
    _swap(rig, best_effort=True)
    try:
        for _ in range(20):  # now and then an image is lost on the way
            at_ns = rig.send(may_pass=True)
            try:
                rig.answer(at_ns, timeout_s=3.0)
            except NotAnsweredError:
                continue
            rig.note("inspects", "PASS")
            return
        raise NotAnsweredError("expected that a best-effort camera is heard")
    finally:
        _swap(rig, best_effort=False)


@fault(FAMILY, "best-effort camera, cell that insists on reliable")
def incompatible(rig: Rig) -> None:
    _swap(rig, best_effort=True)
    try:
        rig.send()
        rig.told("QoS of .*is not heard")
    finally:
        _swap(rig, best_effort=False)


@fault(FAMILY, "a flood of 200 images a second")
def flood(rig: Rig) -> None:
    # Written once and sent again and again with another stamp, as fast as a driver in C++ would.
    first_ns = rig.now_ns + PERIOD_NS
    rig.now_ns = first_ns
    for i in range(int(FLOOD_HZ * FLOOD_S)):
        rig.allow(first_ns + i * 1_000_000)
    rig.move(rig.scene.good.T_cell_camera, first_ns - 1)
    rig.move(rig.scene.good.T_cell_camera, first_ns + 900_000_000)
    rig.send_info(first_ns)
    before = len(rig.results)
    message = image_message(rig.scene.good.image, "bgr8", header(first_ns, CAMERA_FRAME))
    started, sent = time.monotonic(), 0
    while sent < FLOOD_HZ * FLOOD_S:
        message.header = header(first_ns + sent * 1_000_000, CAMERA_FRAME)
        rig.image.publish(message)
        sent += 1
        time.sleep(max(0.0, started + sent / FLOOD_HZ - time.monotonic()))
    rig.now_ns = first_ns + 1_000_000_000
    rig.told("images come faster than they are inspected")
    time.sleep(1.0)
    answers = rig.results[before:]
    if not answers or any(r.verdict != Verdict.PASS for r in answers):
        raise NotAnsweredError(f"expected some PASS and nothing else, got {len(answers)} answers")
    rig.note("the newest image is inspected, the others are dropped and counted",
             f"{sent} sent in {time.monotonic() - started:.1f} s, {len(answers)} inspected, "
             f"{rig.value('frames dropped')} dropped so far")


def _swap(rig: Rig, best_effort: bool) -> None:
    rig.destroy_publisher(rig.image)
    rig.image = rig.create_publisher(Image, "image_raw", BEST_EFFORT if best_effort else RELIABLE)
    time.sleep(1.0)
