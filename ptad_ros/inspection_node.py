"""The whole cell in one process: image in, verdict and all intermediate results out."""

from __future__ import annotations

from typing import Any

from ptad_core.evaluation.messages import stamp_ns
from ptad_core.inspector import Inspector, cannot_inspect
from ptad_core.types import InspectionResult, Reason
from ptad_ros.calibrate_server import CalibrateServer
from ptad_ros.inspect_server import InspectServer
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.outputs import MarkerOutput, MaskOutput, Output, PoseOutput, ResultOutput
from ptad_ros.run import exit_with
from ptad_ros.stage_node import Frame, StageNode


class InspectionNode(StageNode):
    """``image_raw``, ``camera_info``, TF -> every output of the stages, from one call into the core.

    The action ``inspect`` asks for the next image's answer.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("inspection", **kwargs)
        self._calibration = CalibrateServer(self)
        self._goals = InspectServer(self, self._parts, self._inputs)

    @property
    def wants_images(self) -> bool:
        """Whether images are to be answered now: all, or those that somebody waits for."""
        return not self.config.input.on_demand or self._goals.waiting or self._calibration.waiting

    def make_outputs(self) -> tuple[Output, ...]:
        self._mask, self._pose = MaskOutput(self), PoseOutput(self)
        self._result, self._marker = ResultOutput(self), MarkerOutput(self)
        return self._mask, self._pose, self._result, self._marker

    def publish_latched(self, inspector: Inspector) -> None:
        self._marker.publish(inspector.reference, self.config.output.marker_triangles)

    def process(self, inspector: Inspector, frame: Frame) -> None:
        stamp = stamp_ns(frame.header)
        begins = self._goals.begun(stamp, inspector.reference.part_id)
        result = inspector.inspect(frame.image, frame.camera, frame.seed, begins)
        if result.segmentation is not None:
            self._mask.publish(frame.header, result.segmentation)
        if result.alignment is not None:
            self._pose.publish(frame.header, result.alignment, result.part_id, result.reference_hash)
        if result.rendering is not None:
            self._pose.publish_depth(frame.header, result.rendering, frame.camera)
        self._result.publish(frame.header, result, frame.image, frame.camera, self.config.output.overlay)
        self.health.result(result)
        self._calibration.inspected(inspector, result)
        self._goals.inspected(stamp, frame, result)

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        result: InspectionResult = cannot_inspect(reason, message, self.part_id, self.reference_hash)
        self._result.publish(joined.parts[IMAGE].header, result)
        self._calibration.refused()
        self._goals.refused(joined.stamp_ns, result)

    def stop(self) -> None:
        """Stop to listen and to work, and answer who waits."""
        super().stop()
        self._calibration.stopped()
        self._goals.stopped()

    def destroy_node(self) -> None:
        """Take the node down."""
        self._goals.close()
        super().destroy_node()


def main() -> None:
    """Run the cell."""
    exit_with(InspectionNode)


if __name__ == "__main__":
    main()
