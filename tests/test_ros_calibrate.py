"""The service ``~/calibrate`` over DDS: the next good images decide what fails from then on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from ptad_msgs.srv import Calibrate
from rclpy.parameter import Parameter
from rclpy.task import Future
from ros_harness import Cameraman, cell, picture

from ptad_core.calibration import Calibration
from ptad_ros.detection_node import DetectionNode
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros

RATE = 0.2  # takes 4 images
SQUARES = (40, 38, 39, 37)
SCORES = [(1600 - n * n) / 350 for n in SQUARES]


def ask(camera: Cameraman, **request: Any) -> Future:
    client = camera.create_client(Calibrate, "/inspection/calibrate")
    assert client.wait_for_service(5.0)
    return client.call_async(Calibrate.Request(**{"false_reject_rate": RATE, **request}))


def answer(camera: Cameraman, future: Future) -> Calibrate.Response:
    camera.wait(future.done)
    return future.result()


def show(camera: Cameraman, first_s: float, squares: tuple[int, ...]) -> None:
    for i, square in enumerate(squares):
        camera.shoot(first_s + i, picture(square))
        camera.result(first_s + i)


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    return {"reference.cache_dir": str(folder), **more}


def test_good_images_decide_and_the_calibration_is_kept(tmp_path: Path) -> None:
    with cell(InspectionNode, settings=settings(tmp_path, **{"output.diagnostics_period_s": 0.1}),
              listen={"/diagnostics": DiagnosticArray}) as (camera, (node,)):
        asked = ask(camera)
        camera.wait(lambda: node._calibration._run is not None)
        show(camera, 1.0, (SQUARES[0], 0, *SQUARES[1:]))  # one picture shows no part
        said = answer(camera, asked)
        assert said.success, said.message
        assert (said.images, said.refused, said.threshold) == (4, 1, max(SCORES))
        assert Path(said.file) == tmp_path / "cafe.calibration.json"
        kept = Calibration.load(Path(said.file))
        np.testing.assert_allclose(kept.scores, sorted(SCORES))
        assert (kept.part_id, kept.reference_hash, kept.detector) == ("block", "cafe", node._inspector.detector)
        assert node._inspector.calibration == kept
        camera.wait(lambda: any(v.key == "calibration" and v.value.startswith("4 images of good parts")
                                for v in camera.heard["/diagnostics"][-1].status[0].values))


@pytest.mark.parametrize(("request_", "more", "words"), [
    ({"false_reject_rate": 1.5}, {}, "between 0 and 1"), ({"false_reject_rate": float("nan")}, {}, "between 0 and 1"),
    ({"images": 3}, {}, "expected 4 to"), ({"images": 2**32 - 1}, {}, "expected 4 to"),
    ({}, {"detection.calibration": "none"}, "not written over"),
    ({}, {"detection.calibration": "/etc/passwd"}, "not written over")])
def test_what_cannot_be_calibrated_is_said_at_once(request_: dict[str, Any], more: dict[str, Any], words: str,
                                                   tmp_path: Path) -> None:
    with cell(InspectionNode, settings=settings(tmp_path, **more)) as (camera, _):
        said = answer(camera, ask(camera, **request_))
        assert not said.success and words in said.message and np.isnan(said.threshold) and not said.file


def test_too_few_images_in_time(tmp_path: Path) -> None:
    with cell(InspectionNode, settings=settings(tmp_path)) as (camera, (node,)):
        asked = ask(camera, timeout=Duration(sec=1))
        camera.wait(lambda: node._calibration._run is not None)
        show(camera, 1.0, (40, 0))
        said = answer(camera, asked)
        assert (said.success, said.images, said.refused) == (False, 1, 1)
        assert "expected 4 images in time, got 1 that could be used and 1 that could not" in said.message
        assert node._inspector.calibration is None
        asked = ask(camera)  # and the next request is served
        camera.wait(lambda: node._calibration._run is not None)
        show(camera, 11.0, SQUARES)
        assert answer(camera, asked).success


def test_one_at_a_time_and_not_across_a_change_of_settings(tmp_path: Path) -> None:
    with cell(InspectionNode, settings=settings(tmp_path)) as (camera, (node,)):
        asked = ask(camera)
        camera.wait(lambda: node._calibration._run is not None)
        assert "under way" in answer(camera, ask(camera)).message
        show(camera, 1.0, (40,))
        camera.do(lambda: node.set_parameters([Parameter("detection.tolerance_mm", value=7.5)]))
        show(camera, 2.0, (40,))
        assert "changed while images were taken" in answer(camera, asked).message


def test_a_node_that_stops_answers(tmp_path: Path) -> None:
    with cell(InspectionNode, settings=settings(tmp_path)) as (camera, (node,)):
        asked = ask(camera)
        camera.wait(lambda: node._calibration._run is not None)
        camera.do(node.trigger_deactivate)
        assert "deactivated" in answer(camera, asked).message
        assert "expected the node to be active" in answer(camera, ask(camera)).message


def test_a_calibration_that_cannot_be_kept_holds_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with cell(InspectionNode, settings=settings(tmp_path / "file" / "cache")) as (camera, (node,)):
        asked = ask(camera)
        camera.wait(lambda: node._calibration._run is not None)
        show(camera, 1.0, SQUARES)
        said = answer(camera, asked)
        assert said.success and not said.file and "could not be kept" in said.message
        assert node._inspector.calibration.threshold == said.threshold


def test_the_detection_stage_calibrates_as_well() -> None:
    with cell(DetectionNode) as (camera, _):
        assert camera.create_client(Calibrate, "/detection/calibrate").wait_for_service(5.0)
