"""A camera, a robot and an operator around a running cell, all of them able to misbehave.

The cell is a process of its own and is heard over DDS like in the field. Every image that the rig sends is remembered
with whether it may pass; a PASS for any other image is counted, whenever it comes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import State
from ptad_msgs.msg import InspectionResult
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from benchmarks.ros.operator import NotAnsweredError, Operator
from benchmarks.ros.scene import Scene, Shot, write_settings
from ptad_core.evaluation.messages import stamp_ns
from ptad_core.synthesis.recording import CAMERA_FRAME, CELL_FRAME, PART_FRAME, PERIOD_NS, START_NS
from ptad_core.types import Reason, Verdict
from ptad_ros.images import camera_info, image_message
from ptad_ros.messages import transform_message
from ptad_ros.spinning import spinning

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DIAGNOSTICS_PERIOD_S = 0.2
START_TIMEOUT_S, ANSWER_TIMEOUT_S, TOLD_TIMEOUT_S, RECOVERY_TIMEOUT_S = 120.0, 20.0, 15.0, 30.0
NODE = "inspection"
COUNTS = ("frames done", "frames dropped", "frames lost", "frames waiting")


Edit = Callable[[Any], None]
"""Changes a message before it is sent."""


class Rig(Operator):
    """Sends images with all that belongs to them, and checks what the cell says. Use it inside ``running_rig``.

    Attributes:
        scene: what the camera sees.
        out: where logs go.
        said: what the cell was heard to say since ``begin``, as declared by the checks, for the table.
        words: the same as it was really worded.
        results: all answers, in order.
        now_ns: stamp of the newest image.
        sent: images sent.
    """

    def __init__(self, scene: Scene, out: Path, context: Context, robot: Node) -> None:
        super().__init__("rig", NODE, context)
        self.scene, self.out = scene, out
        self.image = self.create_publisher(Image, "image_raw", RELIABLE)
        # The robot is a DDS participant of its own. Fast DDS keeps what a participant sends in 512 KiB of shared
        # memory, and an image that does not fit discards what was sent just before it, if it was not read yet.
        self.info = robot.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self.tf = robot.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        self.tf_static = robot.create_publisher(TFMessage, "/tf_static", LATCHED)
        self.create_subscription(InspectionResult, "result", self._hear_result, 100)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._hear_diagnostics, 100)
        self._news = threading.Condition()
        self._may_pass: set[int] = set()
        self._passed: list[int] = []
        self._diagnostics: list[DiagnosticStatus] = []
        self._log_from = 0
        self.results: list[InspectionResult] = []
        self.answers: dict[int, list[InspectionResult]] = defaultdict(list)
        self._answered_before: dict[int, int] = {}
        self.said: list[str] = []
        self.words: list[str] = []
        self.now_ns, self.sent = START_NS, 0
        self.process: subprocess.Popen[bytes] | None = None

    # --- the cell's process ---------------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        """What the cell's process prints."""
        return self.out / "cell.log"

    def start(self, arguments: Sequence[str] = (), module: str = "ptad_ros.inspection_node", wait: bool = True,
              warm: bool = True, reliable: bool = True, **sections: dict[str, Any]) -> None:
        """Start the cell, and wait until it hears the camera.

        Args:
            arguments: more ROS arguments.
            module: what to run.
            wait: until it is active.
            warm: until it has passed a good image, too.
            reliable: whether the cell insists on hearing every image.
            sections: settings that differ from the usual.
        """
        output = {"diagnostics_period_s": DIAGNOSTICS_PERIOD_S} | sections.pop("output", {})
        settings = write_settings(self.out / "cell.yaml", self.scene.settings(output=output, **sections))
        command = [sys.executable, "-m", module, "--ros-args", "--params-file", str(settings), *arguments]
        if reliable:  # what a best-effort listener loses on the way would look like silence
            command += ["-p", "qos_overrides./image_raw.subscription.reliability:=reliable"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        if wait:
            self.wait(lambda: self.image.get_subscription_count() and self.info.get_subscription_count()
                      and self.tf.get_subscription_count(), START_TIMEOUT_S, "the cell hears the camera")
            self.hold_part()
            time.sleep(0.3)
            if warm and self.recovers(START_TIMEOUT_S) is None:  # the first image compiles what it needs
                raise NotAnsweredError("the cell does not pass a good image after its start")

    def stop(self, signal_number: int = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """End the cell's process; return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signal_number)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise NotAnsweredError(f"the cell did not end within {timeout_s:g} s") from None
        finally:
            self.wait(lambda: not self.image.get_subscription_count(), 30.0, "the ended cell is forgotten")

    def restart(self, **how: Any) -> None:
        """End the cell and start it anew."""
        self.stop()
        self.start(**how)

    # --- the camera and the robot ---------------------------------------------------------------------------------

    def hold_part(self) -> None:
        """Say where the fixture holds the part."""
        self.move(self.scene.T_cell_part, self.now_ns, CELL_FRAME, PART_FRAME, static=True)

    def move(self, T: Any, at_ns: int, parent: str = CELL_FRAME, child: str = CAMERA_FRAME, static: bool = False,
             edit: Callable[[TransformStamped], None] | None = None) -> None:
        """Send a transform."""
        transform = transform_message(T, header(at_ns, parent), child)
        if edit is not None:
            edit(transform)
        (self.tf_static if static else self.tf).publish(TFMessage(transforms=[transform]))

    def send(self, shot: Shot | None = None, *, image: Edit | None = None, info: Edit | bool = True,
             tf: bool = True, at_ns: int | None = None, may_pass: bool = False) -> int:
        """Send an image with its CameraInfo and transform; return its stamp.

        Args:
            shot: the picture; the good one where it is left out.
            image: spoils the image.
            info: spoils the CameraInfo; False sends none.
            tf: whether the robot says where the camera is.
            at_ns: stamp; the next one where it is left out.
            may_pass: whether PASS is right.
        """
        shot = shot or self.scene.good
        self.now_ns += PERIOD_NS
        at_ns = self.now_ns if at_ns is None else at_ns
        if may_pass:
            self.allow(at_ns)
        self.sent += 1
        self._answered_before[at_ns] = len(self.answers[at_ns])
        if tf:
            self.move(shot.T_cell_camera, at_ns)
        if info is not False:
            self.send_info(at_ns, None if info is True else info)
        message = image_message(shot.image, "bgr8", header(at_ns, CAMERA_FRAME))
        if image is not None:
            image(message)
        self.image.publish(message)
        return at_ns

    def allow(self, at_ns: int) -> None:
        """Remember that an image of this stamp may pass."""
        self._may_pass.add(at_ns)

    def send_info(self, at_ns: int, edit: Edit | None = None) -> None:
        """Send a CameraInfo."""
        info = camera_info(self.scene.camera, header(at_ns, CAMERA_FRAME))
        if edit is not None:
            edit(info)
        self.info.publish(info)

    # --- what the cell says ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what was said; a new fault begins."""
        self.said, self.words = [], []
        self.mark()

    def mark(self) -> None:
        """From here on, ``told`` and ``logged`` hear only what is new."""
        with self._news:
            self._diagnostics.clear()
        self._log_from = self.log.stat().st_size if self.log.exists() else 0

    def note(self, said: str, words: str) -> None:
        """Write down that the cell said something."""
        self.said.append(said)
        self.words.append(words)

    def answer(self, at_ns: int, timeout_s: float = ANSWER_TIMEOUT_S) -> InspectionResult:
        """Wait for the answer to an image."""
        before = self._answered_before[at_ns]
        self.wait(lambda: len(self.answers[at_ns]) > before, timeout_s, "an answer to the image")
        return self.answers[at_ns][-1]

    def refuses(self, *reasons: Reason, at_ns: int | None = None, **how: Any) -> InspectionResult:
        """Send an image; expect CANNOT_INSPECT for one of these reasons, in words too."""
        result = self.answer(self.send(**how) if at_ns is None else at_ns)
        got = [Reason(r) for r in result.reasons]
        if result.verdict != Verdict.CANNOT_INSPECT or not set(got) & set(reasons) or not result.message:
            raise NotAnsweredError(f"expected CANNOT_INSPECT with {' or '.join(r.name for r in reasons)}, got "
                                   f"{Verdict(result.verdict).name} {[r.name for r in got]}: {result.message!r}")
        self.note(" or ".join(f"`{r.name}`" for r in reasons), f"{got[0].name}: {result.message}")
        return result

    def passes(self, said: str = "", **how: Any) -> InspectionResult:
        """Send a good image; expect PASS."""
        result = self.answer(self.send(may_pass=True, **how))
        if result.verdict != Verdict.PASS:
            raise NotAnsweredError(f"expected PASS, got {Verdict(result.verdict).name}: {result.message!r}")
        if said:
            self.note(said, "PASS")
        return result

    def told(self, words: str, level: bytes = DiagnosticStatus.WARN, timeout_s: float = TOLD_TIMEOUT_S) -> None:
        """Expect these words (a regular expression) on /diagnostics, since the last mark."""
        found: list[str] = []

        def look() -> bool:
            with self._news:
                statuses = list(self._diagnostics)
            for status in statuses:
                told = [status.message, *(v.value for v in status.values if v.key == "also")]
                found.extend(text for text in told if status.level >= level and re.search(words, text))
            return bool(found)

        try:
            self.wait(look, timeout_s, f"/diagnostics says {words!r}")
        except NotAnsweredError as error:
            last = self._diagnostics[-1].message if self._diagnostics else "nothing"
            raise NotAnsweredError(f"{error}; it said: {last}") from error
        self.note(f"diagnostics: {words}", found[0])

    def logged(self, words: str, timeout_s: float = TOLD_TIMEOUT_S) -> None:
        """Expect these words (a regular expression) in the cell's log, since the last mark."""
        found: list[str] = []

        def look() -> bool:
            with self.log.open("rb") as file:
                file.seek(self._log_from)
                text = file.read().decode("utf-8", errors="replace")
            found.extend(line for line in text.splitlines() if re.search(words, line))
            return bool(found)

        self.wait(look, timeout_s, f"the log says {words!r}")
        self.note(f"log: {words}", re.sub(r"^(\[.*?\]\s*)*:?\s*", "", found[0]))

    def value(self, key: str) -> str:
        """Return a value of the newest diagnostics; '' where there is none."""
        with self._news:
            status = self._diagnostics[-1] if self._diagnostics else DiagnosticStatus()
        return next((str(v.value) for v in status.values if v.key == key), "")

    def counts(self) -> dict[str, int]:
        """Return where the cell says its images went, from diagnostics that are newer than now."""
        self.mark()
        self.wait(lambda: self._diagnostics, TOLD_TIMEOUT_S, "/diagnostics says something")
        return {name: int(self.value(name)) for name in COUNTS}

    def quiet(self) -> None:
        """Send until an image is answered: then none is on its way or waits, and all losses have been noticed."""
        if self.recovers(START_TIMEOUT_S) is None:
            raise NotAnsweredError("the cell does not pass a good image")

    def heard_again(self) -> None:
        """Wait until the cell hears the camera."""
        self.wait(self.image.get_subscription_count, 10.0, "the cell hears the camera again")
        time.sleep(0.3)

    def recovers(self, timeout_s: float = RECOVERY_TIMEOUT_S) -> float | None:
        """Send good images until one passes; return how long that took, in seconds, or None where it does not."""
        started = time.monotonic()
        while time.monotonic() < started + timeout_s:
            try:
                self.answer(self.send(may_pass=True), timeout_s=3.0)
            except NotAnsweredError:
                continue
            if self.answers[self.now_ns][-1].verdict == Verdict.PASS:
                return time.monotonic() - started
        return None

    def wrong_passes(self) -> int:
        """Return how many PASS came, until now, for what was not inspected or not good."""
        with self._news:
            return sum(at_ns not in self._may_pass for at_ns in self._passed)

    # --- the operator ---------------------------------------------------------------------------------------------

    def reload(self, **part: str) -> bool:
        """Change the part of the running cell by its lifecycle; tell whether the new one was taken."""
        if self.state().id == State.PRIMARY_STATE_ACTIVE:
            self.change("deactivate")
        if self.state().id == State.PRIMARY_STATE_INACTIVE:
            self.change("cleanup")
        for name, value in part.items():
            taken, reason = self.set(f"part.{name}", value)
            if not taken:
                raise NotAnsweredError(f"part.{name} was not taken: {reason}")
        taken = self.change("configure") and self.change("activate")
        if taken:
            self.heard_again()
        return taken

    # --- behind it ------------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Wait for something to happen."""
        until = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > until:
                raise NotAnsweredError(f"not within {timeout_s:g} s: {what}")
            if self.process is not None and self.process.poll() is not None:
                raise NotAnsweredError(f"the cell ended with exit code {self.process.returncode}, expected: {what}")
            time.sleep(0.01)

    def _hear_result(self, result: InspectionResult) -> None:
        at_ns = stamp_ns(result.header)
        with self._news:
            self.results.append(result)
            self.answers[at_ns].append(result)
            if result.verdict == Verdict.PASS:
                self._passed.append(at_ns)

    def _hear_diagnostics(self, array: DiagnosticArray) -> None:
        with self._news:
            self._diagnostics.extend(status for status in array.status if status.name.endswith(NODE))


def header(at_ns: int, frame: str) -> Header:
    """Return a header; stamps before 1970 do not exist."""
    sec, nanosec = divmod(at_ns, 1_000_000_000)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame)


@contextmanager
def running_rig(scene: Scene, out: Path) -> Iterator[Rig]:
    """Run a rig, without a cell yet; whatever cell it started is ended with it."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # and the cell with it
    context, robots_context = Context(), Context()
    rclpy.init(context=context)
    rclpy.init(context=robots_context)
    robot = Node("robot", context=robots_context)
    rig = Rig(scene, out, context, robot)
    rig.log.unlink(missing_ok=True)
    try:
        with spinning(rig, context=context):
            try:
                yield rig
            finally:
                with suppress(NotAnsweredError):
                    rig.stop()
    finally:
        for node in (rig, robot):
            node.destroy_node()
            rclpy.shutdown(context=node.context)
