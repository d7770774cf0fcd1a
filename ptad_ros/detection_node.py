"""Third stage alone: image, mask and pose in, verdict out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from ptad_msgs.msg import AlignedPose, MaskStatus
from sensor_msgs.msg import Image

from ptad_core.inspector import Inspector, cannot_inspect
from ptad_core.types import Reason, StageTime
from ptad_ros.calibrate_server import CalibrateServer
from ptad_ros.diagnostics import timed
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.messages import alignment_of, segmentation_of
from ptad_ros.outputs import Output, ResultOutput
from ptad_ros.run import exit_with
from ptad_ros.stage_node import Frame, StageNode


class DetectionNode(StageNode):
    """``image_raw``, ``camera_info``, ``mask``, ``aligned_pose`` -> ``result``, ``anomaly_map``, ``overlay``."""

    stage_topics: ClassVar[dict[str, type]] = {"mask": Image, "mask_status": MaskStatus, "aligned_pose": AlignedPose}
    wants_seed: ClassVar[bool] = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("detection", **kwargs)
        self._calibration = CalibrateServer(self)

    def make_outputs(self) -> tuple[Output, ...]:
        self._result = ResultOutput(self)
        return (self._result,)

    def process(self, inspector: Inspector, frame: Frame) -> None:
        segmentation = segmentation_of(frame.parts["mask"], frame.parts["mask_status"], frame.camera)
        alignment, rendering, detection = None, None, None
        if not segmentation.reasons:
            alignment = alignment_of(frame.parts["aligned_pose"], inspector.reference.hash)
        times: list[StageTime] = []
        if alignment is not None and alignment.pose is not None:
            with timed("render", times):
                rendering = inspector.render(frame.camera, alignment.pose, segmentation)
        if alignment is not None and alignment.trusted:
            with timed("detect", times):
                detection = inspector.detect(frame.image, frame.camera, segmentation, alignment)
        result = replace(inspector.decide(segmentation, alignment, detection), rendering=rendering,
                         times=tuple(times))
        self._result.publish(frame.header, result, frame.image, frame.camera, self.config.output.overlay)
        self.health.result(result)
        self._calibration.inspected(inspector, result)

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        result = cannot_inspect(reason, message, self.part_id, self.reference_hash)
        self._result.publish(joined.parts[IMAGE].header, result)
        self._calibration.refused()

    def stop(self) -> None:
        """Stop to listen and to work, and answer who waits."""
        super().stop()
        self._calibration.stopped()


def main() -> None:
    """Run the stage."""
    exit_with(DetectionNode)


if __name__ == "__main__":
    main()
