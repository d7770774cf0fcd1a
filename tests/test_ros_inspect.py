"""The action ``inspect`` over DDS: every goal gets an answer, and only from an image taken after it was accepted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from ptad_msgs.action import Inspect
from ptad_msgs.msg import InspectionResult
from rclpy.action import ActionClient
from rclpy.serialization import serialize_message
from ros_harness import CAMERA, FAKE, Cameraman, cell, fake_reference, picture
from rosgraph_msgs.msg import Clock

from ptad_core.types import Reason
from ptad_ros import inspect_server
from ptad_ros.images import camera_info
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros

ABORTED, SUCCEEDED = GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_SUCCEEDED
CANNOT_INSPECT = InspectionResult.CANNOT_INSPECT


class Robot:
    """Asks for inspections."""

    def __init__(self, camera: Cameraman) -> None:
        self._camera = camera
        self._client = ActionClient(camera, Inspect, "inspect")
        assert self._client.wait_for_server(5.0)

    def ask(self, timeout_s: float = 5.0, **goal: Any) -> Ask:
        return Ask(self._camera, self._client, Inspect.Goal(timeout=_duration(timeout_s), **goal))

    def close(self) -> None:
        self._camera.do(self._client.destroy)  # not while the executor waits for it


class Ask:
    """One goal, accepted."""

    def __init__(self, camera: Cameraman, client: ActionClient, goal: Inspect.Goal) -> None:
        self._camera = camera
        self.told: list[tuple[int, str]] = []
        sent = client.send_goal_async(goal, lambda f: self.told.append((f.feedback.stage, f.feedback.message)))
        camera.wait(sent.done)
        self.handle = sent.result()
        self.accepted = self.handle.accepted
        self._result = self.handle.get_result_async() if self.accepted else None

    def done(self) -> bool:
        return bool(self._result.done())

    def answer(self) -> tuple[int, Inspect.Result]:
        self._camera.wait(self._result.done)
        return self._result.result().status, self._result.result().result

    @property
    def stages(self) -> list[int]:
        return [stage for stage, _ in self.told]


def _duration(seconds: float) -> Duration:
    return Duration(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


@contextmanager
def asked(**options: Any) -> Iterator[tuple[Cameraman, InspectionNode, Robot]]:
    with cell(InspectionNode, **options) as (camera, (node,)):
        robot = Robot(camera)
        yield camera, node, robot
        robot.close()


def test_the_first_image_taken_afterwards_answers_in_stages() -> None:
    with asked() as (camera, _, robot):
        before = time.time()
        goal = robot.ask(viewpoint="left")
        camera.shoot(before - 0.5)  # on its way when the robot asked
        camera.result(before - 0.5)
        assert not goal.done()
        t = time.time()
        camera.shoot(t, picture(square=30))
        status, answer = goal.answer()
        assert (status, answer.result.verdict, answer.viewpoint) == (SUCCEEDED, InspectionResult.FAIL, "left")
        assert answer.result.header == camera.header(t)
        assert serialize_message(answer.result) == serialize_message(camera.result(t))  # NaN in it equals nothing
        assert not answer.evidence
        camera.wait(lambda: len(goal.told) == 2)
        assert goal.told == [(Inspect.Feedback.WAITING, "for an image on /image_raw"),
                             (Inspect.Feedback.INSPECTING, "segment")]


def test_on_demand_nothing_is_inspected_but_what_a_goal_asks_for() -> None:
    with asked(settings={"input.on_demand": True}) as (camera, node, robot):
        for _ in range(3):
            camera.shoot(time.time())
        camera.wait(lambda: node.counts.unwanted == 3)
        goal = robot.ask()
        camera.wait(lambda: goal.told)
        camera.shoot(time.time())
        assert goal.answer()[0] == SUCCEEDED
        camera.shoot(time.time())
        camera.wait(lambda: node.counts.unwanted == 4)
        assert (node.counts.images, node.counts.done, node.counts.dropped) == (1, 1, 0)
        camera.wait(lambda: len(camera.heard["result"]) == 1)


def test_on_demand_an_image_that_came_meanwhile_does_not_hold_up_the_next_goal() -> None:
    with asked(settings={"input.on_demand": True}) as (camera, node, robot):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        goal = robot.ask()
        camera.shoot(time.time())
        camera.wait(lambda: node._worker.busy)
        camera.shoot(time.time())
        camera.wait(lambda: node._worker._waiting is not None)
        go.set()
        assert goal.answer()[0] == SUCCEEDED
        camera.wait(lambda: not node._worker.busy)
        assert (node.counts.images, node.counts.done, node.counts.unwanted, node.counts.waiting) == (1, 1, 1, 0)
        camera.wait(lambda: len(camera.heard["result"]) == 1)


def test_an_image_that_cannot_be_judged_is_an_answer() -> None:
    with asked() as (camera, _, robot):
        goal = robot.ask()
        camera.shoot(time.time(), picture(square=0))
        status, answer = goal.answer()
        assert (status, answer.result.verdict) == (SUCCEEDED, CANNOT_INSPECT)
        assert list(answer.result.reasons) == [Reason.NO_OBJECT]


def test_incomplete_images_are_waited_through() -> None:
    with asked(settings={"input.info_timeout_s": 0.1}) as (camera, _, robot):
        goal = robot.ask()
        camera.shoot(time.time(), info=False)
        camera.wait(lambda: any("CAMERA_INFO_MISSING" in words for _, words in goal.told))
        assert not goal.done()
        camera.shoot(time.time())
        status, answer = goal.answer()
        assert (status, answer.result.verdict) == (SUCCEEDED, InspectionResult.PASS)


def test_a_goal_that_only_saw_incomplete_images_says_what_they_lacked() -> None:
    with asked(settings={"input.info_timeout_s": 0.0}) as (camera, _, robot):
        goal = robot.ask(timeout_s=0.6)
        camera.shoot(time.time(), info=False)
        status, answer = goal.answer()
        assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.CAMERA_INFO_MISSING])


@pytest.mark.parametrize(("shots", "reason", "words"), [
    ((), Reason.NO_IMAGE, "no image came on /image_raw"), ((-3.0,), Reason.NO_IMAGE, "compare the clocks"),
    ((0.0,), Reason.TIMED_OUT, "not ready in time")])
def test_time_runs_out(shots: tuple[float, ...], reason: Reason, words: str) -> None:
    with asked() as (camera, node, robot):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        goal = robot.ask(timeout_s=1.0)
        for ago_s in shots:
            camera.shoot(time.time() + ago_s)
        status, answer = goal.answer()
        assert (status, answer.result.verdict, list(answer.result.reasons)) == (ABORTED, CANNOT_INSPECT, [reason])
        assert words in answer.result.message and answer.result.part_id == "block"
        go.set()
        again = robot.ask()
        camera.shoot(time.time())
        assert again.answer()[0] == SUCCEEDED


def test_a_goal_without_a_timeout_has_that_of_the_node() -> None:
    with asked(settings={"input.goal_timeout_s": 0.3}) as (_, _, robot):
        assert robot.ask(timeout_s=0.0).answer()[1].result.reasons[0] == Reason.NO_IMAGE


@pytest.mark.parametrize("when", ["waiting", "inspecting", "queued", "loading"])
def test_cancelled_goals_are_answered(when: str, tmp_path: Path) -> None:
    go = threading.Event()

    def load(part: Any, config: Any) -> Any:
        if part.id == "bracket":
            go.wait(10)
        return fake_reference(part, config)

    with asked(settings=_folder(tmp_path), core_parts={**FAKE, "load": load}) as (camera, node, robot):
        node._inspector.before = lambda: go.wait(10)
        first = robot.ask() if when == "queued" else None
        goal = robot.ask(part_id="bracket" if when == "loading" else "")
        if when == "inspecting":
            camera.shoot(time.time())
            camera.wait(lambda: Inspect.Feedback.INSPECTING in goal.stages)
        else:
            camera.wait(lambda: goal.told)
        cancelled = goal.handle.cancel_goal_async()
        camera.wait(cancelled.done)
        assert len(cancelled.result().goals_canceling) == 1
        status, answer = goal.answer()
        assert (status, list(answer.result.reasons)) == (GoalStatus.STATUS_CANCELED, [Reason.CANCELLED])
        assert answer.result.verdict == CANNOT_INSPECT
        go.set()
        if first is not None:  # those before and after are not touched
            camera.shoot(time.time())
            assert first.answer()[0] == SUCCEEDED
        last = robot.ask()
        camera.shoot(time.time())
        assert last.answer()[0] == SUCCEEDED


def test_simulated_time_that_begins_anew_leaves_no_goal_waiting() -> None:
    with asked(settings={"use_sim_time": True}) as (camera, node, robot):
        clock = camera.create_publisher(Clock, "/clock", 10)

        def tell(t_s: float) -> None:
            until = time.monotonic() + 5.0
            while abs(node.get_clock().now().nanoseconds - t_s * 1e9) > 1e6 and time.monotonic() < until:
                clock.publish(Clock(clock=camera.header(t_s).stamp))
                time.sleep(0.02)

        tell(100.0)
        goal = robot.ask()
        camera.shoot(99.0)
        camera.result(99.0)
        assert not goal.done()
        tell(5.0)
        time.sleep(0.1)
        camera.shoot(5.5)
        assert goal.answer()[0] == SUCCEEDED


def test_goals_are_served_in_turn_each_by_an_image_of_its_own() -> None:
    with asked() as (camera, _, robot):
        goals = [robot.ask(viewpoint=str(i)) for i in range(3)]
        camera.wait(lambda: goals[2].told)
        assert goals[2].told[0] == (Inspect.Feedback.QUEUED, "2 goals came before")
        stamps = []
        for i, goal in enumerate(goals):
            camera.wait(lambda goal=goal: Inspect.Feedback.WAITING in goal.stages)
            stamps.append(time.time())
            camera.shoot(stamps[-1])
            status, answer = goal.answer()
            assert (status, answer.viewpoint) == (SUCCEEDED, str(i))
            assert answer.result.header == camera.header(stamps[-1])


def test_too_many_goals_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_server, "MAX_GOALS", 2)
    with asked() as (camera, _, robot):
        goals = [robot.ask() for _ in range(3)]
        assert [goal.accepted for goal in goals] == [True, True, False]
        for goal in goals[:2]:
            camera.wait(lambda goal=goal: Inspect.Feedback.WAITING in goal.stages)
            camera.shoot(time.time())
            assert goal.answer()[0] == SUCCEEDED
        assert robot.ask().accepted


def _folder(path: Path) -> dict[str, Any]:
    for name in ("block", "bracket"):
        (path / f"{name}.stl").write_bytes(b"")
        (path / f"{name}.yaml").write_text(f"part: {{cad: {name}.stl, unit: mm}}")
    return {"reference.folder": str(path), "part.cad": str(path / "block.stl")}


def test_the_part_asked_for_is_loaded_first(tmp_path: Path) -> None:
    with asked(settings=_folder(tmp_path)) as (camera, _, robot):
        for part in ("bracket", "bracket", "block"):
            goal = robot.ask(part_id=part)
            camera.wait(lambda goal=goal: Inspect.Feedback.WAITING in goal.stages)
            camera.shoot(time.time())
            status, answer = goal.answer()
            assert (status, answer.result.part_id) == (SUCCEEDED, part)
        unknown = robot.ask(part_id="../block")
        status, answer = unknown.answer()
        assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.NO_REFERENCE])
        assert "expected the name of a part" in answer.result.message and answer.result.part_id == "block"


def test_a_part_that_takes_too_long_to_load(tmp_path: Path) -> None:
    go = threading.Event()

    def load(part: Any, config: Any) -> Any:
        if part.id == "bracket":
            go.wait(10)
        return fake_reference(part, config)

    with asked(settings=_folder(tmp_path), core_parts={**FAKE, "load": load}) as (camera, node, robot):
        status, answer = robot.ask(part_id="bracket", timeout_s=0.3).answer()
        assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.TIMED_OUT])
        assert "still being loaded" in answer.result.message
        go.set()
        camera.wait(lambda: node.part_id == "bracket")


@pytest.mark.parametrize("configured", [True, False])
def test_a_node_that_is_not_active_says_so(configured: bool) -> None:
    with cell(InspectionNode, start=False) as (camera, (node,)):
        if configured:
            camera.do(node.trigger_configure)
        robot = Robot(camera)
        status, answer = robot.ask().answer()
        robot.close()
        assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.NOT_ACTIVE])


def test_goals_are_answered_when_the_node_is_deactivated() -> None:
    with asked() as (camera, node, robot):
        goals = [robot.ask(), robot.ask()]
        camera.do(node.trigger_deactivate)
        for goal in goals:
            status, answer = goal.answer()
            assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.NOT_ACTIVE])
        camera.do(node.trigger_activate)
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.3)
        again = robot.ask()
        camera.shoot(time.time())
        assert again.answer()[0] == SUCCEEDED


def test_a_crash_is_answered() -> None:
    with asked() as (camera, node, robot):
        node._inspector.before = lambda: 1 / 0
        goal = robot.ask()
        camera.shoot(time.time())
        status, answer = goal.answer()
        assert (status, list(answer.result.reasons)) == (ABORTED, [Reason.INTERNAL_ERROR])


def test_without_a_part_there_is_nothing_to_wait_for() -> None:
    with asked(settings={"part.cad": ""}) as (camera, _, robot):
        goal = robot.ask()
        camera.shoot(time.time())
        assert list(goal.answer()[1].result.reasons) == [Reason.NO_REFERENCE]


def test_evidence_is_written_and_named(tmp_path: Path) -> None:
    settings = {"output.evidence_dir": str(tmp_path / "evidence"), "output.evidence_keep": 1}
    with asked(settings=settings) as (camera, _, robot):
        for viewpoint in ("../one", "two"):
            goal = robot.ask(viewpoint=viewpoint)
            camera.shoot(time.time(), picture(square=30))
            _, answer = goal.answer()
        assert sorted(Path(p) for p in answer.evidence) == sorted((tmp_path / "evidence").iterdir())
        assert [Path(p).suffix for p in answer.evidence] == [".jpg", ".png", ".json"]
        record = json.loads(Path(answer.evidence[2]).read_text())
        assert (record["verdict"], record["part_id"]) == ("FAIL", "block")


def test_a_full_disk_costs_the_evidence_and_not_the_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    settings = {"output.evidence_dir": str(tmp_path / "file" / "evidence"), "output.diagnostics_period_s": 0.1}
    with asked(settings=settings, listen={"/diagnostics": DiagnosticArray}) as (camera, _, robot):
        goal = robot.ask()
        camera.shoot(time.time())
        status, answer = goal.answer()
        assert (status, answer.result.verdict, answer.evidence) == (SUCCEEDED, InspectionResult.PASS, [])
        camera.wait(lambda: any("evidence could not be written" in a.status[0].message
                                for a in camera.heard["/diagnostics"]))


def test_images_too_large_or_too_fast_are_answered_or_counted() -> None:
    with cell(InspectionNode, settings={"input.max_megapixels": 0.015, "input.max_rate_hz": 2.0}
              ) as (camera, (node,)):
        camera.shoot(1.0)
        assert list(camera.result(1.0).reasons) == [Reason.IMAGE_TOO_LARGE]
        for i in range(5):
            camera.shoot(1.1 + i / 100)
        camera.wait(lambda: node.counts.images == 6 and node.counts.waiting == 0)
        assert node.counts.dropped == 5
        time.sleep(0.5)
        small = CAMERA.scaled(0.5, 80, 60)
        camera.info.publish(camera_info(small, camera.header(2.0)))
        camera.shoot(2.0, np.ascontiguousarray(picture()[::2, ::2]), info=False)
        assert Reason.IMAGE_TOO_LARGE not in camera.result(2.0).reasons
