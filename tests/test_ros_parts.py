"""Parts loaded while the cell goes on: from the configured folder only, and without a pause in the answers."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from ptad_msgs.msg import InspectionResult
from ptad_msgs.srv import ListReferences, LoadReference
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import FAKE, Cameraman, cell, fake_reference
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker

from ptad_core.errors import MeshError
from ptad_core.types import Reason
from ptad_ros.inspection_node import InspectionNode

pytestmark = pytest.mark.ros


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, more in (("block", ""), ("bracket", "detection: {tolerance_mm: 1.5}\ntf: {part_frame: fixture}\n"),
                       ("washer", "detection: {min_area_px: 99}\n")):
        (tmp_path / f"{name}.stl").write_bytes(b"")
        (tmp_path / f"{name}.yaml").write_text(f"part: {{cad: {name}.stl, unit: mm}}\n{more}")
    (tmp_path / "broken.yaml").write_text("part: {cad: ../x.stl, unit: mm}")
    return tmp_path


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    return {"reference.folder": str(folder), "part.cad": str(folder / "block.stl"), "part.id": "block", **more}


def call(camera: Cameraman, service: type, name: str, **request: Any) -> Any:
    client = camera.create_client(service, f"/inspection/{name}")
    assert client.wait_for_service(5.0)
    future = client.call_async(service.Request(**request))
    camera.wait(future.done)
    return future.result()


def load(camera: Cameraman, part_id: str) -> LoadReference.Response:
    return call(camera, LoadReference, "load_reference", part_id=part_id)


def test_parts_are_listed_with_what_is_wrong_with_them(folder: Path) -> None:
    with cell(InspectionNode, settings=settings(folder)) as (camera, _):
        listed = call(camera, ListReferences, "list_references")
        assert listed.success and not listed.message
        assert [(r.part_id, r.cad, r.unit, r.loaded) for r in listed.references] == [
            ("block", "block.stl", "mm", True), ("bracket", "bracket.stl", "mm", False), ("broken", "", "", False),
            ("washer", "washer.stl", "mm", False)]
        assert [bool(r.problem) for r in listed.references] == [False, False, True, False]


def test_a_part_is_changed_with_its_settings_and_back(folder: Path) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with cell(InspectionNode, settings=settings(folder, **{"detection.tolerance_mm": 4.0, "tf.required": False,
                                                           "tf.timeout_s": 0.0})) as (camera, (node,)):
        camera.listen("reference_marker", Marker, latched)
        camera.shoot(1.0)
        assert camera.result(1.0).part_id == "block"
        answer = load(camera, "bracket")
        assert (answer.success, answer.part_id, answer.reference_hash) == (True, "bracket", "cafe")
        camera.shoot(2.0)
        assert camera.result(2.0).part_id == "bracket"
        camera.wait(lambda: camera.heard["reference_marker"][-1].header.frame_id == "bracket_aligned")
        assert (node.config.part.id, node.config.part.cad) == ("bracket", str(folder / "bracket.stl"))
        assert (node.config.detection.tolerance_mm, node.config.tf.part_frame) == (1.5, "fixture")
        assert node.get_parameter("detection.tolerance_mm").value == 1.5
        assert load(camera, "washer").success
        assert (node.config.detection.tolerance_mm, node.config.tf.part_frame) == (4.0, "")  # the cell's own again
        assert node.config.detection.min_area_px == 99
        camera.shoot(3.0)
        assert camera.result(3.0).part_id == "washer"
        assert node._inspector.config == node.config
        camera.do(node.trigger_deactivate)
        camera.do(node.trigger_activate)
        assert node.part_id == "washer"
        camera.do(node.trigger_deactivate)
        camera.do(node.trigger_cleanup)
        assert node.config.part.id == "block" and node.config.detection.min_area_px != 99


@pytest.mark.parametrize(("part_id", "words"), [
    ("../block", "expected the name of a part"), ("/etc/passwd", "expected the name of a part"),
    ("broken", "inside reference.folder"), ("unheard_of", "is not there"), ("", "expected the name of a part")])
def test_what_cannot_be_loaded_leaves_the_old_part_at_work(folder: Path, part_id: str, words: str) -> None:
    with cell(InspectionNode, settings=settings(folder)) as (camera, _):
        answer = load(camera, part_id)
        assert not answer.success and words in answer.message and answer.part_id == "block"
        camera.shoot(1.0)
        assert (camera.result(1.0).verdict, camera.result(1.0).part_id) == (InspectionResult.PASS, "block")


@pytest.mark.parametrize("error", [MeshError("it has no faces"), ZeroDivisionError("it has no size")])
def test_a_cad_file_that_fails_leaves_the_old_part_at_work(folder: Path, error: Exception) -> None:
    def fail(part: Any, config: Any) -> Any:
        if part.id == "bracket":
            raise error
        return fake_reference(part, config)

    with cell(InspectionNode, settings=settings(folder), core_parts={**FAKE, "load": fail}) as (camera, (node,)):
        answer = load(camera, "bracket")
        assert not answer.success and str(error) in answer.message and answer.part_id == "block"
        assert node.config.part.id == "block"
        assert load(camera, "washer").success  # and the loader is at work still


def test_without_a_folder_nothing_is_loaded() -> None:
    with cell(InspectionNode) as (camera, _):
        assert "reference.folder is not set" in load(camera, "block").message
        assert not call(camera, ListReferences, "list_references").success


def slow_loading() -> tuple[Any, threading.Event, threading.Event]:
    """How a part is loaded: any but the block tells the second event, and waits for the first."""
    go, begun = threading.Event(), threading.Event()

    def load_slowly(part: Any, config: Any) -> Any:
        if part.id != "block":
            begun.set()
            go.wait(10)
        return fake_reference(part, config)

    return load_slowly, go, begun


def test_images_are_answered_while_a_part_is_loaded(folder: Path) -> None:
    slow, go, begun = slow_loading()
    with cell(InspectionNode, settings=settings(folder), core_parts={**FAKE, "load": slow}) as (camera, (node,)):
        client = camera.create_client(LoadReference, "/inspection/load_reference")
        assert client.wait_for_service(5.0)
        first = client.call_async(LoadReference.Request(part_id="bracket"))
        second = client.call_async(LoadReference.Request(part_id="washer"))
        camera.wait(begun.is_set)
        for t in (1.0, 2.0):
            camera.shoot(t)
            assert (camera.result(t).verdict, camera.result(t).part_id) == (InspectionResult.PASS, "block")
        assert not first.done()
        (changed,) = camera.do(lambda: node.set_parameters([Parameter("detection.min_area_mm2", value=7.0)]))
        assert changed.successful  # by hand, meanwhile
        go.set()
        camera.wait(lambda: first.done() and second.done())
        assert (first.result().part_id, second.result().part_id) == ("bracket", "washer")  # in the order asked for
        camera.shoot(3.0)
        assert camera.result(3.0).part_id == "washer"
        assert node._inspector.config.detection.min_area_mm2 == 7.0


def test_a_node_that_is_cleaned_up_while_it_loads_says_so(folder: Path) -> None:
    slow, go, begun = slow_loading()
    with cell(InspectionNode, settings=settings(folder), core_parts={**FAKE, "load": slow}) as (camera, (node,)):
        client = camera.create_client(LoadReference, "/inspection/load_reference")
        assert client.wait_for_service(5.0)
        asked = client.call_async(LoadReference.Request(part_id="bracket"))
        camera.wait(begun.is_set)
        camera.do(node.trigger_deactivate)
        camera.do(node.trigger_cleanup)
        go.set()
        camera.wait(asked.done)
        assert not asked.result().success and "cleaned up" in asked.result().message


def test_a_node_that_is_unconfigured_takes_the_part_when_it_is_configured(folder: Path) -> None:
    with cell(InspectionNode, settings={"reference.folder": str(folder), "part.cad": "", "part.id": "washer"},
              start=False) as (camera, (node,)):
        assert "is loaded when the node is configured" in load(camera, "bracket").message
        assert camera.do(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
        assert node.part_id == "bracket"
        camera.do(node.trigger_cleanup)
        assert camera.do(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
        assert node.part_id == "washer"  # as the node was started


def test_where_there_is_a_folder_no_cad_outside_is_configured(folder: Path, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "block.stl"
    outside.write_bytes(b"")
    with cell(InspectionNode, settings=settings(folder), start=False) as (camera, (node,)):
        (refused,) = camera.do(lambda: node.set_parameters([Parameter("reference.folder", value=str(outside.parent))]))
        assert not refused.successful and "reference.folder" in refused.reason
        camera.do(lambda: node.set_parameters([Parameter("part.cad", value=str(outside))]))
        assert camera.do(node.trigger_configure) == TransitionCallbackReturn.FAILURE
        assert "inside reference.folder" in node.health._fault
        camera.do(lambda: node.set_parameters([Parameter("part.cad", value=str(folder / "washer.stl"))]))
        assert camera.do(node.trigger_configure) == TransitionCallbackReturn.SUCCESS


def test_an_image_that_waited_with_the_old_parts_nominal_pose_is_not_used_with_the_new_part(folder: Path) -> None:
    with cell(InspectionNode, settings=settings(folder, **{"tf.part_frame": "nest", "tf.max_gap_s": 0.0})
              ) as (camera, (node,)):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        for t in (0.0, 5.0):
            camera.move(t)
            camera.move(t, None, "cell", "nest")
        camera.shoot(1.0)
        camera.wait(lambda: node._worker.busy)
        camera.shoot(2.0)
        camera.wait(lambda: node._worker._waiting is not None)
        assert load(camera, "bracket").success
        go.set()
        assert (camera.result(1.0).verdict, camera.result(1.0).part_id) == (InspectionResult.PASS, "block")
        assert list(camera.result(2.0).reasons) == [Reason.TF_MISSING]
        assert "the part changed" in camera.result(2.0).message


def test_an_image_at_work_is_answered_for_the_old_part(folder: Path) -> None:
    def load_part(part: Any, config: Any) -> Any:
        return SimpleNamespace(**{**vars(fake_reference(part, config)), "hash": f"hash of {part.id}"})

    with cell(InspectionNode, settings=settings(folder), core_parts={**FAKE, "load": load_part},
              listen={"/tf": TFMessage}) as (camera, (node,)):
        go = threading.Event()
        node._inspector.before = lambda: go.wait(10)
        camera.shoot(1.0)
        camera.wait(lambda: node._worker.busy)
        assert load(camera, "bracket").success
        go.set()
        answer = camera.result(1.0)
        assert (answer.part_id, answer.pose.part_id, answer.reference_hash) == ("block", "block", "hash of block")
        camera.wait(lambda: camera.heard["/tf"])
        assert camera.heard["/tf"][0].transforms[0].child_frame_id == "block_aligned"
