"""What all nodes have in common: lifecycle, inputs, the worker, diagnostics. A stage's own file reads as its inputs,
its one call into the core, and its outputs.
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from ptad_core.camera import Camera
from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.errors import PtadError
from ptad_core.inspector import Inspector
from ptad_core.reference import Reference, build_reference
from ptad_core.reference.folder import ReferenceFolder, require_confined
from ptad_core.types import ColorImage, PoseSeed, Reason, StageTime, Verdict
from ptad_ros.diagnostics import Counts, Health
from ptad_ros.images import FrameError, decode_frame
from ptad_ros.inputs import FrameInputs, Job
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.lifecycle import refuse_impossible_transitions
from ptad_ros.outputs import Output
from ptad_ros.parameters import NodeParameters
from ptad_ros.parts import PartServer
from ptad_ros.settings import NodeConfig
from ptad_ros.worker import Worker

_SLOW_AFTER_S = 10.0
"""An image that takes longer than this is told of, before it is answered."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a stage works on: a rectified picture with its camera, a seed, and the messages of the stages before."""

    header: Header
    image: ColorImage
    camera: Camera
    seed: PoseSeed | None
    parts: dict[str, Any]


def _told(transition: Callable[[Any, LifecycleState], TransitionCallbackReturn]) -> Any:
    """Have a transition's error logged: rclpy would swallow it without a word."""
    @functools.wraps(transition)
    def run(self: StageNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:  # noqa: BLE001
            self.get_logger().error(f"{transition.__name__} failed: {traceback.format_exc()}")
            self.health.fault(f"{transition.__name__} failed: {error}")
            return TransitionCallbackReturn.ERROR
    return run


class StageNode(LifecycleNode):
    """A node that answers every image.

    Subclasses say what they read from the stages before, make their outputs, and implement ``process`` and
    ``refuse``; these two run in the worker's thread, where the inspector lives.
    """

    stage_topics: ClassVar[dict[str, type]] = {}
    """Topic -> message type of what the stages before publish for each image."""
    wants_seed: ClassVar[bool] = True
    """Whether the stage uses a nominal pose from TF."""

    def __init__(self, name: str, load: Callable[[PartConfig, ReferenceConfig], Reference] = build_reference,
                 inspector: Callable[[Reference, NodeConfig], Inspector] | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._load, self._make_inspector = load, inspector or self._inspector_on_device
        self._node_parameters = NodeParameters(self)
        self._inspector: Inspector | None = None
        self._built_from: NodeConfig | None = None
        self._outputs: tuple[Output, ...] = ()
        self._swap = threading.Lock()
        """Held while part and settings change together."""
        self._reset_wanted = threading.Event()
        self._worker: Worker[Job] = Worker(self._work, self._work_failed)
        self._inputs = FrameInputs(self, self.stage_topics, self.wants_seed, lambda: self.config, self._worker.submit,
                                   self._time_jumped, lambda: self.wants_images)
        self.health = Health()
        refuse_impossible_transitions(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._tell = self.create_timer(self.config.output.diagnostics_period_s, self._publish_diagnostics,
                                       clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(Trigger, "~/reset", self._serve_reset)
        self._parts = PartServer(self)

    # --- for the stages -------------------------------------------------------------------------------------------

    def make_outputs(self) -> tuple[Output, ...]:
        """Create the publishers and return them (configure)."""
        raise NotImplementedError

    def publish_latched(self, inspector: Inspector) -> None:
        """Publish what does not change from image to image (activate)."""

    def process(self, inspector: Inspector, frame: Frame) -> None:
        """Do the stage's work on a frame, publish it, and tell ``health``."""
        raise NotImplementedError

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        """Publish that a frame could not be worked on."""
        raise NotImplementedError

    @property
    def wants_images(self) -> bool:
        """Whether images are to be answered now."""
        return True

    @property
    def config(self) -> NodeConfig:
        """What holds now; take it once a frame."""
        return self._node_parameters.config

    @property
    def part_id(self) -> str:
        """Name of the part, as far as it is known."""
        return self._inspector.reference.part_id if self._inspector else self.config.part.id

    @property
    def reference_hash(self) -> str:
        """Which reference the results stand on; '' without one."""
        return self._inspector.reference.hash if self._inspector else ""

    # --- the part -------------------------------------------------------------------------------------------------

    @property
    def configured(self) -> bool:
        """Whether a part is in use, be the node active or not."""
        return self._node_parameters.locked

    @property
    def active(self) -> bool:
        """Whether images are answered."""
        return bool(self._state_machine.current_state[1] == "active")

    def choose_part(self, settings: Mapping[str, Any]) -> None:
        """Set which part will be loaded when the node is configured."""
        self._node_parameters.adopt_part(settings)

    def config_with(self, settings: Mapping[str, Any]) -> NodeConfig:
        """Return what would hold with a part's settings."""
        return self._node_parameters.with_part(settings)

    def make_inspector(self, config: NodeConfig) -> Inspector:
        """Load a part; this takes a while.

        Raises:
            PtadError: if it cannot be loaded.
        """
        require_confined(config)
        return self._make_inspector(self._load(config.part, config.reference), config)

    def _inspector_on_device(self, reference: Reference, config: NodeConfig) -> Inspector:
        inspector = Inspector(reference, config, config.device)
        self.get_logger().info(f"device: {inspector.device}")
        return inspector

    def take_over(self, inspector: Inspector, settings: Mapping[str, Any], config: NodeConfig) -> None:
        """Inspect with a part that was loaded meanwhile, from the next image on."""
        with self._swap:
            now = self._node_parameters.adopt_part(settings)
            self._inspector, self._built_from = inspector, now if now == config else config
        self._tell_of_part(inspector)
        if self.active:
            self.publish_latched(inspector)

    def _tell_of_part(self, inspector: Inspector | None) -> None:
        for warning in inspector.reference.warnings if inspector else ("no part is set: every image is refused",):
            self.get_logger().warning(warning)

    # --- lifecycle ------------------------------------------------------------------------------------------------

    @_told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the reference and create the publishers."""
        try:
            part, folder = self.config.part, self.config.reference.folder
            if folder and part.id and not part.cad:
                self.choose_part(ReferenceFolder(folder).settings(part.id))
            config = self.config
            self._inspector = self.make_inspector(config) if config.part.cad else None
        except PtadError as error:
            self.get_logger().error(f"cannot load the part: {error}")
            self.health.fault(f"cannot load the part: {error}", Reason.NO_REFERENCE)
            return TransitionCallbackReturn.FAILURE
        self._built_from = config
        self._tell.timer_period_ns = round(1e9 * config.output.diagnostics_period_s)
        self._node_parameters.locked = True
        self._outputs = self.make_outputs()
        self._tell_of_part(self._inspector)
        return super().on_configure(state)

    @_told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to work and to listen."""
        result = super().on_activate(state)
        self.health.recovered()
        self._worker.start()
        self._inputs.open()
        if self._inspector is not None:
            self.publish_latched(self._inspector)
        self.get_logger().info(f"inspecting {self.part_id or 'nothing'}, images from {self._inputs.image_topic}")
        return result

    @_told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to listen, let the image under way end."""
        self.stop()
        return super().on_deactivate(state)

    @_told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the reference and the publishers; the part may be changed now."""
        result = super().on_cleanup(state)
        self._let_go()
        return result

    @_told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        self.stop()
        return super().on_shutdown(state)

    @_told
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take down what a failed transition left; the node is unconfigured then."""
        self.stop()
        result = super().on_error(state)
        self._let_go()
        return result

    def _let_go(self) -> None:
        for output in self._outputs:
            output.close()
        self._outputs = ()
        self._inspector = None
        self._node_parameters.locked = False
        self.choose_part({})  # its own settings hold again, as after a start

    def stop(self) -> None:
        """Stop to listen and to work; no effect where nothing runs."""
        self._inputs.close()
        self._reset_wanted.set()
        if not self._worker.stop():
            self.get_logger().error("the worker did not end in time; it is left behind with the image under way")
            self._built_from = None  # and with its inspector: whoever works next makes one of its own

    # --- the worker's thread --------------------------------------------------------------------------------------

    def _work(self, job: Job) -> bool:
        """Answer an image; return False where nobody wants it any more."""
        if not self.context.ok():
            return True  # nothing can be published any more
        if not self.wants_images:
            return False
        self._answer(job)
        return True

    def _answer(self, job: Job) -> None:
        joined = job.joined
        inspector, config = self._current()
        if job.failure is not None:
            self._refuse(joined, *job.failure)
            return
        if inspector is None:
            self._refuse(joined, Reason.NO_REFERENCE, "no part is loaded: part.cad is not set")
            return
        if job.seed is not None and job.part_frame != config.tf.part_frame:
            self._refuse(joined, Reason.TF_MISSING, f"the part changed while this image waited: its nominal pose is of "
                         f"{job.part_frame!r}, and now {config.tf.part_frame!r} is wanted")
            return
        message = joined.parts[IMAGE]
        try:
            image, camera = decode_frame(message, joined.info, config.input.rectified,
                                         config.input.max_megapixels)
        except FrameError as error:
            self._refuse(joined, error.reason, str(error))
            return
        self.process(inspector, Frame(message.header, image, camera, job.seed, joined.parts))
        self.health.times([StageTime("image to answer", 1e3 * (time.monotonic() - joined.since_s))])

    def _current(self) -> tuple[Inspector | None, NodeConfig]:
        """Return what holds now: parameters and part may have changed, time may have jumped."""
        with self._swap:
            config = self.config
            if self._inspector is not None and config is not self._built_from:
                self._inspector = self._make_inspector(self._inspector.reference, config)
                self._built_from = config
            inspector = self._inspector
        if self._reset_wanted.is_set():
            self._reset_wanted.clear()
            if inspector is not None:
                inspector.reset()
        return inspector, config

    def _time_jumped(self, words: str) -> None:
        self.health.trouble(words)
        self._reset_wanted.set()

    def callback_failed(self, error: Exception) -> None:
        """Tell of an error that a callback let through; the node goes on."""
        self.get_logger().error(f"a callback failed: {''.join(traceback.format_exception(error))}",
                                throttle_duration_sec=10.0)
        self.health.fault(f"{type(error).__name__}: {error}")

    def _refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        self.health.answered(Verdict.CANNOT_INSPECT, (reason,), message)
        self.refuse(joined, reason, message)

    def _work_failed(self, job: Job, error: BaseException) -> None:
        if not self.context.ok():
            return  # the node is being shut down: that is why, and no answer would get out
        text = f"{type(error).__name__}: {error}"
        self.get_logger().error(f"an image failed: {''.join(traceback.format_exception(error))}",
                                throttle_duration_sec=10.0)
        self.health.fault(text)
        try:
            self._refuse(job.joined, Reason.INTERNAL_ERROR, text)
        except Exception:
            self.get_logger().error(f"and could not be answered: {traceback.format_exc()}", throttle_duration_sec=10.0)
            raise

    # --- what is said of it ---------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """Where the images went."""
        worker, inputs = self._worker, self._inputs
        return Counts(inputs.images - worker.passed_over, worker.done, inputs.dropped + worker.dropped, inputs.lost,
                      inputs.evicted, inputs.unwanted + worker.passed_over)

    def _publish_diagnostics(self) -> None:
        if self._worker.revive():
            self.health.fault("the worker had died and was started again")
        self._inputs.tend()
        for doubt in self._inputs.doubts():
            self.health.trouble(doubt)
        if self._worker.under_way_s > _SLOW_AFTER_S:
            self.health.trouble(f"one image is under way for {self._worker.under_way_s:.0f} s; if it never ends, "
                                "restart the node, and keep the log and the recording")
        topic = self._inputs.image_topic
        status = self.health.status(
            self.get_fully_qualified_name(), self.part_id, self.reference_hash, self._calibration_words(),
            self._state_machine.current_state[1], self.counts, topic,
            self.count_publishers(topic), self._inputs.last_image_s)
        self._diagnostics.publish(DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()),
                                                  status=[status]))

    def _calibration_words(self) -> str:
        calibration = self._inspector.calibration if self._inspector else None
        return "none: the tolerance alone decides" if calibration is None else (
            f"{len(calibration.scores)} images of good parts: above a score of {calibration.threshold:.4g} fails at "
            f"most {100 * calibration.false_reject_rate:g} % of them")

    def _serve_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._inputs.forget()
        self._reset_wanted.set()
        response.success, response.message = True, "forgot transforms, tracked pose and waiting images"
        return response
