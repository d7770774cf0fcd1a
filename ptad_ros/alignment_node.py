"""Second stage alone: image and mask in, pose of the part and rendered depth out."""

from __future__ import annotations

from typing import Any, ClassVar

from ptad_msgs.msg import MaskStatus
from sensor_msgs.msg import Image

from ptad_core.inspector import Inspector
from ptad_core.types import Alignment, Reason
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.messages import segmentation_of
from ptad_ros.outputs import MarkerOutput, Output, PoseOutput
from ptad_ros.run import exit_with
from ptad_ros.stage_node import Frame, StageNode


class AlignmentNode(StageNode):
    """``image_raw``, ``camera_info``, ``mask``, TF -> ``aligned_pose``, ``rendered_depth``, TF of the part."""

    stage_topics: ClassVar[dict[str, type]] = {"mask": Image, "mask_status": MaskStatus}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("alignment", **kwargs)

    def make_outputs(self) -> tuple[Output, ...]:
        self._pose, self._marker = PoseOutput(self), MarkerOutput(self)
        return self._pose, self._marker

    def publish_latched(self, inspector: Inspector) -> None:
        self._marker.publish(inspector.reference, self.config.output.marker_triangles)

    def process(self, inspector: Inspector, frame: Frame) -> None:
        segmentation = segmentation_of(frame.parts["mask"], frame.parts["mask_status"], frame.camera)
        if segmentation.reasons:
            inspector.reset()
            alignment = Alignment(None, segmentation.reasons, segmentation.message)
        else:
            with self.health.timed("align"):
                alignment = inspector.align(frame.image, frame.camera, segmentation, frame.seed)
        if alignment.pose is not None:
            with self.health.timed("render"):
                rendering = inspector.render(frame.camera, alignment.pose, segmentation)
            if rendering is not None:
                self._pose.publish_depth(frame.header, rendering, frame.camera)
        self._pose.publish(frame.header, alignment, inspector.reference.part_id, inspector.reference.hash)
        self.health.answered(None, alignment.reasons, alignment.message)

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        alignment = Alignment(None, (reason,), message)
        self._pose.publish(joined.parts[IMAGE].header, alignment, self.part_id, self.reference_hash)


def main() -> None:
    """Run the stage."""
    exit_with(AlignmentNode)


if __name__ == "__main__":
    main()
