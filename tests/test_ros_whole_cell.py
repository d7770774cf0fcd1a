"""The cell with the real core over DDS: asked for a part, it loads it, looks, and leaves evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import part_making as parts
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from builtin_interfaces.msg import Duration
from ptad_msgs.action import Inspect
from ptad_msgs.msg import InspectionResult
from rclpy.action import ActionClient
from ros_harness import Cameraman, cell

from ptad_core.types import Reason
from ptad_ros.images import camera_info, image_message
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros


def ask(camera: Cameraman, client: ActionClient, part_id: str, picture: np.ndarray) -> tuple[Inspect.Result, list[str]]:
    """Ask for a part, show a picture when the cell waits for one, and return the answer with what it told."""
    told: list[tuple[int, str]] = []
    goal = Inspect.Goal(part_id=part_id, viewpoint="above", timeout=Duration(sec=60))
    sent = client.send_goal_async(goal, lambda f: told.append((f.feedback.stage, f.feedback.message)))
    camera.wait(sent.done)
    asked = sent.result().get_result_async()
    camera.wait(lambda: told and told[-1][0] == Inspect.Feedback.WAITING, timeout_s=60.0)
    header = camera.header(time.time())
    camera.info.publish(camera_info(parts.CAMERA, header))
    camera.image.publish(image_message(picture, "bgr8", header))
    camera.wait(asked.done, timeout_s=60.0)
    return asked.result().result, [message for stage, message in told if stage == Inspect.Feedback.INSPECTING]


def test_parts_are_loaded_inspected_and_evidenced(tmp_path: Path) -> None:
    for name, make in (("bracket", parts.bracket), ("wheel", parts.wheel)):
        parts.save(make(), tmp_path / f"{name}.stl")
        (tmp_path / f"{name}.yaml").write_text(f"part: {{cad: {name}.stl, unit: mm}}")
    settings = {"reference.folder": str(tmp_path), "part.cad": "", "part.id": "wheel", "reference.gaussians": 4000,
                "reference.views": 200, "reference.cache_dir": str(tmp_path / "cache"), "detection.network": "none",
                "output.evidence_dir": str(tmp_path / "evidence"), "input.on_demand": True}
    T = parts.pose()
    show: Callable[..., np.ndarray] = parts.picture
    with cell(InspectionNode, settings=settings, core_parts={}) as (camera, (node,)):
        client = ActionClient(camera, Inspect, "inspect")
        assert client.wait_for_server(5.0) and node.part_id == "wheel"
        wrong, _ = ask(camera, client, "", show(parts.bracket(), T))
        assert wrong.result.verdict != InspectionResult.PASS and wrong.result.part_id == "wheel"
        good, stages = ask(camera, client, "bracket", show(parts.bracket(), T))
        assert (good.result.verdict, good.result.part_id) == (InspectionResult.PASS, "bracket"), good.result.message
        assert stages == ["rectify", "segment", "align", "render", "detect"] == [t.stage for t in good.result.times]
        bad, _ = ask(camera, client, "bracket", show(parts.bracket(peg=False), T))
        assert bad.result.verdict == InspectionResult.FAIL and Reason.MATERIAL_MISSING in bad.result.reasons
        overlay, picture, record = map(Path, bad.evidence)
        assert cv2.imread(str(overlay)).shape == cv2.imread(str(picture)).shape == (240, 320, 3)
        assert '"FAIL"' in record.read_text() and "above" in record.name
        camera.do(client.destroy)
