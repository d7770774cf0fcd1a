"""First stage alone: image in, object mask out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptad_core.inspector import Inspector
from ptad_core.types import Reason, Segmentation
from ptad_ros.join import IMAGE, JoinedFrame
from ptad_ros.outputs import MaskOutput, Output
from ptad_ros.run import exit_with
from ptad_ros.stage_node import Frame, StageNode


class SegmentationNode(StageNode):
    """``image_raw``, ``camera_info``, TF -> ``mask``, ``mask_status``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("segmentation", **kwargs)

    def make_outputs(self) -> tuple[Output, ...]:
        self._mask = MaskOutput(self)
        return (self._mask,)

    def process(self, inspector: Inspector, frame: Frame) -> None:
        with self.health.timed("segment"):
            segmentation = inspector.segment(frame.image, frame.camera, frame.seed)
        self._mask.publish(frame.header, segmentation)
        self.health.answered(None, segmentation.reasons, segmentation.message)

    def refuse(self, joined: JoinedFrame, reason: Reason, message: str) -> None:
        nothing = np.zeros((1, 1), dtype=bool)  # without a readable image there is no size that it should have
        self._mask.publish(joined.parts[IMAGE].header, Segmentation(nothing, "none", 0.0, None, (reason,), message))


def main() -> None:
    """Run the stage."""
    exit_with(SegmentationNode)


if __name__ == "__main__":
    main()
