"""The whole cell in one process: image in, verdict and all intermediate results out."""

from __future__ import annotations

from typing import Any

from ptad_core.inspector import Inspector, cannot_inspect
from ptad_core.types import InspectionResult, Reason
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.outputs import MarkerOutput, MaskOutput, Output, PoseOutput, ResultOutput
from ptad_ros.run import exit_with
from ptad_ros.stage_node import Frame, StageNode


class InspectionNode(StageNode):
    """``image_raw``, ``camera_info``, TF -> every output of the stages, from one call into the core."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("inspection", **kwargs)

    def make_outputs(self) -> tuple[Output, ...]:
        self._mask, self._pose = MaskOutput(self), PoseOutput(self)
        self._result, self._marker = ResultOutput(self), MarkerOutput(self)
        return self._mask, self._pose, self._result, self._marker

    def publish_latched(self, inspector: Inspector) -> None:
        self._marker.publish(inspector.reference, self.config.output.marker_triangles)

    def process(self, inspector: Inspector, frame: Frame) -> None:
        result = inspector.inspect(frame.image, frame.camera, frame.seed)
        if result.segmentation is not None:
            self._mask.publish(frame.header, result.segmentation)
        if result.alignment is not None:
            self._pose.publish(frame.header, result.alignment, result.part_id, result.reference_hash)
        if result.rendering is not None:
            self._pose.publish_depth(frame.header, result.rendering, frame.camera)
        self._result.publish(frame.header, result, frame.image, frame.camera, self.config.output.overlay)
        self.health.result(result)

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        result: InspectionResult = cannot_inspect(reason, message, self.part_id, self.reference_hash)
        self._result.publish(joined.parts[IMAGE].header, result)


def main() -> None:
    """Run the cell."""
    exit_with(InspectionNode)


if __name__ == "__main__":
    main()
