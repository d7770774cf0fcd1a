"""The action ``inspect``: the next image, inspected for whoever asks. Every goal gets an answer, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ptad_msgs.action import Inspect
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.time import Time
from std_msgs.msg import Header

from ptad_core.evaluation.evidence import EvidenceFolder
from ptad_core.inspector import cannot_inspect
from ptad_core.types import InspectionResult, Reason
from ptad_ros.messages import result_message
from ptad_ros.waiting import Turn, until, wake

if TYPE_CHECKING:
    from ptad_ros.inputs import FrameInputs
    from ptad_ros.parts import PartServer
    from ptad_ros.stage_node import Frame, StageNode

MAX_GOALS = 16
"""Goals that may wait; they are served one by one, and more of them are a mistake of who sends them."""
_TICK_S = 0.02
_RESULT_KEPT_S = 120
"""For how long a client may fetch a result."""
_INCOMPLETE = frozenset({Reason.TF_MISSING, Reason.TF_STALE, Reason.BAD_INTRINSICS, Reason.SIZE_MISMATCH,
                         Reason.BAD_ENCODING, Reason.CAMERA_INFO_MISSING, Reason.IMAGE_CORRUPT,
                         Reason.IMAGE_TOO_LARGE})
"""An image that lacks something says nothing of the part: the goal waits for a better one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a goal is answered with; ``inspected`` where an image was."""

    result: InspectionResult
    header: Header
    inspected: bool = False
    evidence: tuple[Path, ...] = ()


@dataclass(slots=True, eq=False)
class Goal:
    """A goal under way.

    Attributes:
        accepted_ns: by the node's clock; images stamped later than this serve the goal.
        until_s: when the time is up (monotonic clock).
        images_before: how many images had come when the goal was accepted.
        stage: what is being done, as ``Inspect.Feedback`` names it.
        lacked: why the last image could not be used.
    """

    handle: ServerGoalHandle
    accepted_ns: int
    until_s: float
    images_before: int
    answer: Future[Answer] = field(default_factory=Future)
    stage: int = Inspect.Feedback.QUEUED
    lacked: tuple[Reason, str] | None = None

    @property
    def part_id(self) -> str:
        return str(self.handle.request.part_id)

    @property
    def viewpoint(self) -> str:
        return str(self.handle.request.viewpoint)

    def tell(self, stage: int, message: str) -> None:
        """Publish feedback, until there is an answer; from any thread."""
        self.stage = stage
        if not self.answer.done():
            self.handle.publish_feedback(Inspect.Feedback(stage=stage, message=message))

    def resolve(self, answer: Answer) -> None:
        """Answer the goal; the first answer counts."""
        try:
            self.answer.set_result(answer)
        except InvalidStateError:
            return


class InspectServer:
    """Serves the goals of one camera, in the order in which they come.

    Args:
        node: that inspects.
        parts: loads the part that a goal names.
        inputs: hear the camera.
    """

    def __init__(self, node: StageNode, parts: PartServer, inputs: FrameInputs) -> None:
        self._node, self._parts, self._inputs = node, parts, inputs
        self._goals: list[Goal] = []
        self._tick = node.create_timer(_TICK_S, self._watch_the_time, clock=Clock(clock_type=ClockType.STEADY_TIME),
                                       autostart=False)
        self._server = ActionServer(
            node, Inspect, "inspect", self._execute, goal_callback=self._admit, cancel_callback=self._cancel,
            handle_accepted_callback=self._accept, callback_group=ReentrantCallbackGroup(),
            result_timeout=_RESULT_KEPT_S)

    @property
    def waiting(self) -> bool:
        """Whether a goal waits for an image."""
        return any(goal.stage != Inspect.Feedback.LOADING and not goal.answer.done() for goal in self._goals)

    def close(self) -> None:
        """Take the action down."""
        self._server.destroy()

    # --- in the executor's thread ---------------------------------------------------------------------------------

    def _admit(self, _request: Inspect.Goal) -> GoalResponse:
        if len(self._goals) < MAX_GOALS:
            return GoalResponse.ACCEPT
        self._node.get_logger().error(f"an Inspect goal was rejected: {MAX_GOALS} others wait",
                                      throttle_duration_sec=5.0)
        return GoalResponse.REJECT

    def _accept(self, handle: ServerGoalHandle) -> None:
        accepted = handle._goal_info.stamp  # noqa: SLF001 - what the client was told; rclpy shows it nowhere else
        asked = handle.request.timeout
        timeout_s = asked.sec + 1e-9 * asked.nanosec or self._node.config.input.goal_timeout_s
        self._goals.append(Goal(handle, Time.from_msg(accepted).nanoseconds, time.monotonic() + timeout_s,
                                self._inputs.images))
        self._tick.reset()
        handle.execute()

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        for goal in self._goals:
            if goal.handle == handle:
                self._give_up(goal, Reason.CANCELLED, "the goal was cancelled")
        return CancelResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> Inspect.Result:
        goal = next(goal for goal in self._goals if goal.handle == handle)
        try:
            await self._serve(goal)
        finally:
            self._goals.remove(goal)
            wake(self._node)  # the next one's turn
        answer = goal.answer.result()
        if answer.inspected:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return Inspect.Result(result=result_message(answer.result, answer.header), viewpoint=goal.viewpoint,
                              evidence=[str(path) for path in answer.evidence])

    async def _serve(self, goal: Goal) -> None:
        """Wait for the goal's turn, its part, and its answer."""
        if self._goals[0] is not goal:
            goal.tell(Inspect.Feedback.QUEUED, f"{self._goals.index(goal)} goals came before")
            await until(lambda: self._goals[0] is goal or goal.answer.done())
        if not self._node.active:
            self._give_up(goal, Reason.NOT_ACTIVE, "the node is not active: it answers no images")
        if goal.part_id and goal.part_id != self._node.part_id and not goal.answer.done():
            await self._load(goal)
        goal.tell(Inspect.Feedback.WAITING, f"for an image on {self._inputs.image_topic}")
        await until(goal.answer.done)

    async def _load(self, goal: Goal) -> None:
        """Load the goal's part; where the goal is given up meanwhile, loading goes on without it."""
        goal.tell(Inspect.Feedback.LOADING, f"part {goal.part_id}")
        assert self._node.executor is not None
        loading = self._node.executor.create_task(self._parts.load, goal.part_id)
        while not (loading.done() or goal.answer.done()):
            await Turn()
        problem = loading.result() if loading.done() else ""
        if problem:
            self._give_up(goal, Reason.NO_REFERENCE, problem)

    def _watch_the_time(self) -> None:
        now_s, now_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        for goal in self._goals:
            goal.accepted_ns = min(goal.accepted_ns, now_ns)  # simulated time may have begun anew
            if now_s > goal.until_s:
                self._give_up(goal, *self._why_late(goal))
        if not self._goals:
            self._tick.cancel()

    def _why_late(self, goal: Goal) -> tuple[Reason, str]:
        topic, last_ns = self._inputs.image_topic, self._inputs.last_stamp_ns
        if goal.stage == Inspect.Feedback.QUEUED:
            return Reason.TIMED_OUT, "the goals that came before took all the time"
        if goal.stage == Inspect.Feedback.LOADING:
            return Reason.TIMED_OUT, f"part {goal.part_id} was still being loaded; it will be ready later"
        if goal.lacked is not None:
            return goal.lacked
        if self._inputs.images == goal.images_before:
            return Reason.NO_IMAGE, f"no image came on {topic}"
        if last_ns <= goal.accepted_ns:
            return Reason.NO_IMAGE, (f"no image came on {topic} that was taken after the goal was accepted: the newest "
                                     f"is stamped {1e-9 * (goal.accepted_ns - last_ns):.3f} s before; compare the "
                                     "clocks of camera and node")
        return Reason.TIMED_OUT, "an image came and its inspection was not ready in time"

    def _give_up(self, goal: Goal, reason: Reason, message: str) -> None:
        self._resolve(goal, Answer(cannot_inspect(reason, message, self._node.part_id, self._node.reference_hash),
                                   Header()))

    # --- in any thread --------------------------------------------------------------------------------------------

    def _resolve(self, goal: Goal, answer: Answer) -> None:
        goal.resolve(answer)
        wake(self._node)

    def stopped(self) -> None:
        """Answer all goals: the node does no more."""
        for goal in list(self._goals):
            self._give_up(goal, Reason.NOT_ACTIVE, "the node was deactivated")

    def _served_by(self, stamp_ns: int, part_id: str) -> Goal | None:
        """Return the goal whose turn it is, where an image serves it."""
        goal = next(iter(list(self._goals)), None)
        if goal is None or goal.answer.done() or stamp_ns <= goal.accepted_ns:
            return None
        if goal.stage not in (Inspect.Feedback.WAITING, Inspect.Feedback.INSPECTING):
            return None
        return goal if goal.part_id in ("", part_id) else None

    def begun(self, stamp_ns: int, part_id: str) -> Callable[[str], None]:
        """Return whom to tell which stage of an image's inspection begins."""
        goal = self._served_by(stamp_ns, part_id)
        return (lambda _: None) if goal is None else (lambda stage: goal.tell(Inspect.Feedback.INSPECTING, stage))

    def inspected(self, stamp_ns: int, frame: Frame, result: InspectionResult) -> None:
        """Answer the goal that an image serves, with the evidence."""
        goal = self._served_by(stamp_ns, result.part_id)
        if goal is not None:
            evidence = self._write_evidence(goal, stamp_ns, frame, result)
            self._resolve(goal, Answer(result, frame.header, inspected=True, evidence=evidence))

    def refused(self, stamp_ns: int, result: InspectionResult) -> None:
        """Take note that an image could not be used; where that will not change, the goal is answered."""
        goal = self._served_by(stamp_ns, result.part_id)
        if goal is None:
            return
        (reason,) = result.reasons
        if reason in _INCOMPLETE:
            goal.lacked = reason, result.message
            goal.tell(Inspect.Feedback.WAITING, f"an image could not be used: {reason.name}: {result.message}")
        else:
            self._give_up(goal, reason, result.message)

    def _write_evidence(self, goal: Goal, stamp_ns: int, frame: Frame, result: InspectionResult) -> tuple[Path, ...]:
        config = self._node.config.output
        if not config.evidence_dir:
            return ()
        folder = EvidenceFolder(Path(config.evidence_dir).expanduser(), config.evidence_keep)
        try:
            return tuple(folder.write(frame.image, result, frame.camera, stamp_ns, frame.header.frame_id,
                                      goal.viewpoint))
        except OSError as error:  # a full disk must not cost the answer
            self._node.get_logger().error(f"evidence could not be written: {error}", throttle_duration_sec=10.0)
            self._node.health.trouble(f"evidence could not be written: {error}; free some space, or start with an "
                                      "output.evidence_dir that this user may write to")
            return ()
