"""What a node says of itself: the worst first, each finding with the operator's next step."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from diagnostic_msgs.msg import DiagnosticStatus

from ptad_core.advice import NEXT_STEP
from ptad_core.types import Reason, Verdict
from ptad_ros.diagnostics import Counts, Health


def said(health: Health, state: str = "active", counts: Counts = Counts(9, 9, 0), publishers: int = 1,  # noqa: B008
         silent_s: float = 0.0) -> tuple[bytes, str, dict[str, str]]:
    status = health.status("/inspection", "block", "cafe", "none", state, counts, "/image_raw", publishers,
                           time.monotonic() - silent_s)
    return status.level, status.message, {v.key: v.value for v in status.values}


def refuse(health: Health) -> None:
    health.answered(Verdict.CANNOT_INSPECT, (Reason.TF_STALE,), "too old")


def nothing(_health: Health) -> None:
    pass


@pytest.mark.parametrize(("happen", "state", "counts", "publishers", "silent_s", "words", "step"), [
    (lambda h: h.fault("boom"), "active", Counts(9, 9, 0), 1, 0.0, "internal error: boom",
     NEXT_STEP[Reason.INTERNAL_ERROR]),
    (lambda h: h.fault("no CAD", Reason.NO_REFERENCE), "active", Counts(9, 9, 0), 1, 0.0, "no CAD",
     NEXT_STEP[Reason.NO_REFERENCE]),
    (nothing, "inactive", Counts(9, 9, 0), 1, 0.0, "node is inactive", NEXT_STEP[Reason.NOT_ACTIVE]),
    (nothing, "active", Counts(9, 9, 0), 0, 9.0, "nobody publishes it", "ptad doctor --live"),
    (nothing, "active", Counts(9, 9, 0), 2, 9.0, "2 publisher(s)", NEXT_STEP[Reason.NO_IMAGE]),
    (refuse, "active", Counts(9, 9, 0), 1, 0.0, "TF_STALE: too old", NEXT_STEP[Reason.TF_STALE]),
    (nothing, "active", Counts(9, 9, 0, lost=3), 1, 0.0, "3 images lost", "publish reliably"),
    (nothing, "active", Counts(9, 5, 4, evicted=4), 1, 0.0, "4 images given up", "check that these come"),
    (nothing, "active", Counts(9, 5, 4), 1, 0.0, "4 dropped lately", "trigger the camera")])
def test_every_finding_has_a_next_step(happen: Callable[[Health], None], state: str, counts: Counts, publishers: int,
                                       silent_s: float, words: str, step: str) -> None:
    health = Health()
    happen(health)
    level, message, values = said(health, state, counts, publishers, silent_s)
    assert level != DiagnosticStatus.OK and words in message and step in values["next step"]


def test_the_worst_comes_first_and_the_rest_is_named() -> None:
    health = Health()
    refuse(health)
    health.trouble("the disk is full; free some space")
    level, message, values = said(health, counts=Counts(9, 5, 4))
    assert (level, message) == (DiagnosticStatus.WARN, "the disk is full; free some space")
    assert "TF_STALE" in values["also"] and "dropped lately" in values["also"] and "inspecting" not in values["also"]
    health.answered(Verdict.PASS, (), "")
    level, message, values = said(health, counts=Counts(10, 6, 4))
    assert (level, message, values["next step"], values["also"]) == (DiagnosticStatus.OK, "inspecting", "", "")
    assert values["last failure"].startswith("TF_STALE") and values["what to do"] == NEXT_STEP[Reason.TF_STALE]
