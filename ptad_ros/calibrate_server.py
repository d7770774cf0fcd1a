"""The service ``~/calibrate``: the next images are of good parts; learn from them when a part is to fail."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ptad_msgs.srv import Calibrate
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from ptad_core.calibration import Calibration, calibrate, calibration_path
from ptad_core.config import InspectorConfig
from ptad_core.errors import CalibrationError
from ptad_core.inspector import Inspector
from ptad_core.types import InspectionResult, Verdict
from ptad_ros.waiting import until, wake

if TYPE_CHECKING:
    from ptad_ros.stage_node import StageNode

DEFAULT_RATE = 0.01
MAX_IMAGES = 100_000
_SECONDS_PER_IMAGE = 10.0
_TICK_S = 0.1


@dataclass(slots=True)
class _Run:
    """A calibration under way."""

    wanted: int
    rate: float
    until_s: float
    made_by: tuple[str, str] | None = None
    results: list[InspectionResult] = field(default_factory=list)
    refused: int = 0
    outcome: Future[tuple[Calibration, str]] = field(default_factory=Future)


class CalibrateServer:
    """Collects inspections in the worker's thread while a request waits."""

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._run: _Run | None = None
        self._tick = node.create_timer(_TICK_S, self._watch_the_time, clock=Clock(clock_type=ClockType.STEADY_TIME),
                                       autostart=False)
        node.create_service(Calibrate, "~/calibrate", self._serve, callback_group=ReentrantCallbackGroup())

    @property
    def waiting(self) -> bool:
        """Whether a request waits for images."""
        return self._run is not None and not self._run.outcome.done()

    # --- in the executor's thread ---------------------------------------------------------------------------------

    async def _serve(self, request: Calibrate.Request, response: Calibrate.Response) -> Calibrate.Response:
        response.threshold = math.nan
        try:
            run = self._begin(request)
        except CalibrationError as error:
            response.message = str(error)
            return response
        await until(run.outcome.done)
        self._run = None
        response.images, response.refused = len(run.results), run.refused
        try:
            made, response.file = run.outcome.result()
        except CalibrationError as error:
            response.message = str(error)
            return response
        response.success, response.threshold = True, made.threshold
        response.message = (f"a part fails above a score of {made.threshold:.4g} from now on: at most "
                            f"{100 * made.false_reject_rate:g} % of good parts"
                            + "; it could not be kept, and holds until the node ends" * (not response.file))
        return response

    def _begin(self, request: Calibrate.Request) -> _Run:
        if self._run is not None:
            raise CalibrationError("another calibration is under way; wait for it")
        if not self._node.active:
            raise CalibrationError("expected the node to be active: it inspects nothing")
        if self._node.config.detection.calibration != "auto":
            raise CalibrationError(f"expected detection.calibration to be 'auto', got "
                                   f"{self._node.config.detection.calibration!r}: a file that the settings name is not "
                                   "written over")
        rate = request.false_reject_rate or DEFAULT_RATE
        if not 0.0 < rate < 1.0:
            raise CalibrationError(f"expected a false_reject_rate between 0 and 1, got {rate:g}")
        least = math.ceil(1.0 / rate - 1.0 - 1e-9)
        wanted = request.images or least
        if not least <= wanted <= MAX_IMAGES:
            raise CalibrationError(f"expected {least} to {MAX_IMAGES} images for a false_reject_rate of {rate:g}, "
                                   f"got {wanted}")
        timeout_s = request.timeout.sec + 1e-9 * request.timeout.nanosec or wanted * _SECONDS_PER_IMAGE
        self._run = _Run(wanted, rate, time.monotonic() + timeout_s)
        self._tick.reset()
        return self._run

    def _watch_the_time(self) -> None:
        run = self._run
        if run is None:
            self._tick.cancel()
        elif time.monotonic() > run.until_s:
            self._fail(run, f"expected {run.wanted} images in time, got {len(run.results)} that could be used and "
                            f"{run.refused} that could not")

    # --- in any thread --------------------------------------------------------------------------------------------

    def stopped(self) -> None:
        """Answer the request: the node does no more."""
        if self._run is not None:
            self._fail(self._run, "the node was deactivated")

    def refused(self) -> None:
        """Take note of an image that could not be inspected."""
        if self._run is not None:
            self._run.refused += 1

    def inspected(self, inspector: Inspector, result: InspectionResult) -> None:
        """Use an inspection, where a request waits; with the last one that is needed, judge by the calibration."""
        run = self._run
        if run is None or run.outcome.done():
            return
        made_by = inspector.detector, inspector.reference.hash
        run.made_by = run.made_by or made_by
        if made_by != run.made_by:
            self._fail(run, "the part or its settings changed while images were taken; calibrate anew")
        elif result.verdict is Verdict.CANNOT_INSPECT or result.detection is None:
            run.refused += 1
        else:
            run.results.append(_without_pictures(result))
            if len(run.results) == run.wanted:
                self._finish(run, inspector)

    def _finish(self, run: _Run, inspector: Inspector) -> None:
        try:
            made = calibrate(run.results, inspector.detector, run.rate)
            inspector.use_calibration(made)
        except CalibrationError as error:
            self._fail(run, str(error))
            return
        self._resolve(run, (made, self._keep(made, inspector.config)))

    def _keep(self, made: Calibration, config: InspectorConfig) -> str:
        path = calibration_path(config, made.reference_hash)
        try:
            made.save(path)
        except OSError as error:
            self._node.get_logger().error(f"the calibration could not be kept: {error}")
            return ""
        return str(Path(path).absolute())

    def _fail(self, run: _Run, message: str) -> None:
        self._resolve(run, CalibrationError(message))

    def _resolve(self, run: _Run, outcome: tuple[Calibration, str] | CalibrationError) -> None:
        try:
            if isinstance(outcome, CalibrationError):
                run.outcome.set_exception(outcome)
            else:
                run.outcome.set_result(outcome)
        except InvalidStateError:
            return  # the first outcome counts
        wake(self._node)


def _without_pictures(result: InspectionResult) -> InspectionResult:
    """Return what a calibration needs of a result: hundreds of them wait in memory."""
    assert result.detection is not None
    nothing = np.zeros((1, 1), np.float32)
    return replace(result, segmentation=None, rendering=None, alignment=None,
                   detection=replace(result.detection, anomaly_map=nothing))
