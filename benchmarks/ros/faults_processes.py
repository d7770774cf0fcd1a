"""Workers and nodes that die, hang, are stopped, and come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import NotAnsweredError, Rig
from ptad_core.types import Reason

FAMILY = "process"


@contextmanager
def _sabotaged(rig: Rig) -> Iterator[Path]:
    """Run a cell whose worker can be sabotaged, by writing into the file that is given."""
    file = (rig.out / "sabotage").resolve()
    file.unlink(missing_ok=True)
    os.environ["PTAD_SABOTAGE"] = str(file)
    rig.restart(module="benchmarks.ros.sabotaged_cell")
    rig.mark()
    yield file


def _internal(name: str, how: str, words: str) -> None:
    @fault(FAMILY, name, own_cell=True)
    def failing(rig: Rig) -> None:
        with _sabotaged(rig) as sabotage:
            sabotage.write_text(how, encoding="utf-8")
            rig.refuses(Reason.INTERNAL_ERROR)
            rig.told(words, level=DiagnosticStatus.ERROR)
            rig.passes("the next image is inspected")


_internal("worker's thread is killed", "kill", "internal error")
_internal("an exception in the inspection", "error", "internal error: ZeroDivisionError")
_internal("no memory left", "memory", "internal error: MemoryError")


@fault(FAMILY, "the inspection hangs", own_cell=True)
def hangs(rig: Rig) -> None:
    with _sabotaged(rig) as sabotage:
        sabotage.write_text("hang", encoding="utf-8")
        at_ns = rig.send(may_pass=True)
        rig.told("one image is under way for", timeout_s=13.0)
        rig.answer(at_ns)
        rig.note("then it is answered", "PASS")


@fault(FAMILY, "node is killed (SIGKILL) and restarted", own_cell=True)
def killed(rig: Rig) -> None:
    rig.send()
    rig.stop(signal.SIGKILL)
    rig.send()
    rig.note("`/diagnostics` and results fall silent", "silence")
    rig.mark()
    rig.start()
    rig.told("inspecting|no image", level=DiagnosticStatus.OK)
    rig.passes("inspects again once restarted, nothing of before is answered")


@fault(FAMILY, "node is asked to end (SIGTERM), mid-image", own_cell=True)
def terminated(rig: Rig) -> None:
    _ends_well(rig, signal.SIGTERM)


@fault(FAMILY, "node is interrupted (SIGINT), mid-image", own_cell=True)
def interrupted(rig: Rig) -> None:
    _ends_well(rig, signal.SIGINT)


def _ends_well(rig: Rig, how: signal.Signals) -> None:
    rig.send()
    code = rig.stop(how)
    if code != 0:
        raise NotAnsweredError(f"expected exit code 0, got {code}")
    rig.note("exit code 0", "exit code 0")
    rig.start()


@fault(FAMILY, "node is frozen for 4 s (SIGSTOP)")
def frozen(rig: Rig) -> None:
    assert rig.process is not None
    rig.process.send_signal(signal.SIGSTOP)
    try:
        stamps = [rig.send(may_pass=True) for _ in range(3)]
        time.sleep(4.0)
    finally:
        rig.process.send_signal(signal.SIGCONT)
    rig.answer(stamps[-1])
    rig.note("answers the newest image once it goes on", "PASS")


@fault(FAMILY, "node is deactivated while images come")
def deactivated(rig: Rig) -> None:
    rig.change("deactivate")
    rig.mark()
    try:
        rig.send()
        rig.told("node is inactive: it answers no images")
    finally:
        rig.change("activate")
    time.sleep(0.5)


@fault(FAMILY, "node is cleaned up and configured while images come")
def reconfigured(rig: Rig) -> None:
    rig.change("deactivate")
    rig.change("cleanup")
    rig.send()
    rig.told("node is unconfigured: it answers no images")
    if not (rig.change("configure") and rig.change("activate")):
        raise NotAnsweredError("expected that the node can be configured and activated again")
    time.sleep(0.5)


@fault(FAMILY, "a transition that its state does not allow")
def wrong_transition(rig: Rig) -> None:
    if rig.change("cleanup") or rig.state().label != "active":
        raise NotAnsweredError("expected that an active node refuses to be cleaned up")
    rig.note("refused, stays active", "refused")
