"""The results of a cell back from the bag that they were recorded in."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ptad_core.evaluation.messages import stamp_ns
from ptad_core.evaluation.recording import Recording
from ptad_core.types import InspectionResult, Rendering
from ptad_ros.images import float_image_of
from ptad_ros.messages import result_of, segmentation_of
from ptad_ros.recorder import OUTPUTS, typestore


def read_results(bag: Path) -> dict[int, InspectionResult]:
    """Return the recorded results by stamp in nanoseconds, pictures included as far as they were recorded.

    Raises:
        BagError: if the bag cannot be read.
    """
    store = typestore()
    recording = Recording(bag)
    by_stamp: dict[int, dict[str, Any]] = defaultdict(dict)
    names = {topic: next((name for name in OUTPUTS if topic.endswith(f"/{name}")), "") for topic in recording.types}
    for raw in recording.messages([topic for topic, name in names.items() if name]):
        message = store.deserialize_cdr(raw.data, raw.msgtype)
        by_stamp[stamp_ns(message.header)][names[raw.topic]] = message
    return {stamp: _assemble(parts) for stamp, parts in sorted(by_stamp.items()) if "result" in parts}


def _assemble(parts: dict[str, Any]) -> InspectionResult:
    segmentation, rendering = None, None
    if "mask" in parts and "mask_status" in parts:
        segmentation = segmentation_of(parts["mask"], parts["mask_status"])
    if "rendered_depth" in parts:
        depth = float_image_of(parts["rendered_depth"])
        normals = np.full((*depth.shape, 3), np.nan, dtype=np.float32)
        rendering = Rendering(np.isfinite(depth).astype(np.float32), depth, normals)
    anomaly_map = float_image_of(parts["anomaly_map"]) if "anomaly_map" in parts else None
    return result_of(parts["result"], segmentation, rendering, anomaly_map)
