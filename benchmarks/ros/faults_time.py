"""Clocks that jump, stop, or were never set."""

from __future__ import annotations

import time

from rosgraph_msgs.msg import Clock

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import Rig, header
from ptad_core.synthesis.recording import PERIOD_NS
from ptad_core.types import Reason

FAMILY = "clock"
HOUR_NS = 3_600_000_000_000


@fault(FAMILY, "jumps back by an hour")
def backward(rig: Rig) -> None:
    rig.now_ns -= HOUR_NS
    rig.passes("forgets transforms and track, inspects on")
    rig.logged("jumped back")
    rig.told("jumped back")
    rig.now_ns += HOUR_NS


@fault(FAMILY, "a bag starts over, again and again")
def loops(rig: Rig) -> None:
    first_ns = rig.now_ns + 10 * PERIOD_NS
    for _ in range(3):
        rig.now_ns = first_ns
        for _ in range(3):
            rig.passes()
            rig.now_ns += 4 * PERIOD_NS
    rig.told("jumped back")
    rig.note("inspects on", "PASS")


@fault(FAMILY, "jumps ahead by an hour")
def forward(rig: Rig) -> None:
    rig.now_ns += HOUR_NS
    rig.passes("inspects on")


@fault(FAMILY, "image stamps are all zero")
def zero_stamps(rig: Rig) -> None:
    rig.refuses(Reason.TF_MISSING, Reason.TF_STALE, at_ns=rig.send(at_ns=0, tf=False))


@fault(FAMILY, "image stamps are an hour ahead of TF")
def images_ahead(rig: Rig) -> None:
    rig.refuses(Reason.TF_STALE, at_ns=rig.send(at_ns=rig.now_ns + HOUR_NS, tf=False))


@fault(FAMILY, "image stamps are an hour behind TF")
def images_behind(rig: Rig) -> None:
    rig.refuses(Reason.TF_MISSING, Reason.TF_STALE, at_ns=rig.send(at_ns=rig.now_ns - HOUR_NS, tf=False))


@fault(FAMILY, "simulated time stands still, then jumps back", own_cell=True)
def simulation(rig: Rig) -> None:
    clock = rig.create_publisher(Clock, "/clock", 10)
    try:
        rig.restart(arguments=["-p", "use_sim_time:=true"])
        for second in (100, 100, 100, 20):
            clock.publish(Clock(clock=header(second * 1_000_000_000, "").stamp))
            time.sleep(0.2)
            rig.passes()
        rig.refuses(Reason.TF_STALE, tf=False)  # waiting is measured in real time, so it ends
        rig.note("inspects on", "PASS")
    finally:
        rig.destroy_publisher(clock)
