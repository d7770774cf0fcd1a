"""Conversions there and back, and parameters made from the core's dataclasses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from geometry_msgs.msg import Quaternion
from ptad_msgs.msg import AlignedPose
from rclpy.node import Node
from rclpy.parameter import Parameter
from result_making import failed, not_inspected, passed
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from ptad_core import types as core
from ptad_core.camera import Camera
from ptad_core.config import CellConfig
from ptad_core.errors import ConfigError, ImageError
from ptad_core.evaluation.messages import decode_camera, decode_image
from ptad_core.frames import make_transform
from ptad_ros.images import FrameError, camera_info, decode_frame, float_image_of, image_message
from ptad_ros.markers import region_markers
from ptad_ros.messages import (
    aligned_pose_message,
    alignment_of,
    mask_status_message,
    result_message,
    result_of,
    segmentation_of,
    transform_of,
)
from ptad_ros.outputs import decimate
from ptad_ros.parameters import NodeParameters
from ptad_ros.settings import settings

HEADER = Header(frame_id="cam")


def random_pose(rng: np.random.Generator, runner_up: bool) -> core.AlignedPose:
    def transform() -> np.ndarray:
        return make_transform(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))

    return core.AlignedPose(
        transform(), rng.normal(size=(6, 6)), rng.uniform(), rng.uniform(), core.SeedSource.TRACK,
        rng.uniform() if runner_up else float("inf"), transform() if runner_up else None, bool(rng.integers(2)),
        bool(rng.integers(2)), *((rng.uniform(), rng.uniform()) if runner_up else (float("nan"),) * 2))


def assert_same(a: Any, b: Any) -> None:
    """Compare two results of the core, field by field."""
    assert type(a) is type(b) or (isinstance(a, int | float) and isinstance(b, int | float)), (a, b)
    if dataclasses.is_dataclass(a):
        for f in dataclasses.fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name))
    elif isinstance(a, np.ndarray):
        np.testing.assert_allclose(a, b, atol=1e-12)
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, float):
        assert a == pytest.approx(b, nan_ok=True)
    else:
        assert a == b


def test_alignment_there_and_back() -> None:
    rng = np.random.default_rng(3)
    for i in range(10):
        reasons = (core.Reason.POSE_AMBIGUOUS, core.Reason.POSE_UNTRUSTED)[:i % 3]
        alignment = core.Alignment(random_pose(rng, runner_up=i % 2 == 0), reasons, "why" if reasons else "")
        message = aligned_pose_message(alignment, HEADER, "part", "hash")
        assert message.trusted == (not reasons)
        assert_same(alignment_of(message), alignment)


def test_no_pose_is_never_a_pose() -> None:
    alignment = core.Alignment(None, (core.Reason.POSE_NOT_FOUND,), "nothing fits")
    message = aligned_pose_message(alignment, HEADER, "part", "hash")
    assert not message.trusted and np.isnan(message.pose.pose.position.x) and np.isnan(message.pose.covariance).all()
    assert np.isnan(message.pose.pose.orientation.w) and np.isnan(message.runner_up.position.x)
    assert alignment_of(message) == alignment


def test_a_result_without_a_pose_carries_none_in_any_field() -> None:
    for alignment in (None, core.Alignment(None, (core.Reason.POSE_NOT_FOUND,), "nothing fits")):
        result = core.InspectionResult(core.Verdict.CANNOT_INSPECT, (core.Reason.POSE_NOT_FOUND,), "nothing fits",
                                       "part", "hash", alignment=alignment)
        message = result_message(result, HEADER)
        assert not message.has_pose and not message.pose.trusted and not message.pose.has_runner_up
        assert message.pose.part_id == "part" and message.pose.header == HEADER
        assert list(message.pose.reasons) == [core.Reason.POSE_NOT_FOUND] and message.pose.message == "nothing fits"
        for pose in (message.pose.pose.pose, message.pose.runner_up):
            p, q = pose.position, pose.orientation
            assert np.isnan([p.x, p.y, p.z, q.x, q.y, q.z, q.w]).all()
        assert np.isnan(message.pose.pose.covariance).all()


def test_a_pose_that_its_sender_does_not_trust_is_not_trusted_here() -> None:
    message = aligned_pose_message(core.Alignment(random_pose(np.random.default_rng(1), True)), HEADER, "part", "hash")
    message.trusted = False
    alignment = alignment_of(message)
    assert (alignment.trusted, alignment.reasons) == (False, (core.Reason.POSE_UNTRUSTED,)) and alignment.message
    assert alignment_of(AlignedPose()).reasons == (core.Reason.POSE_UNTRUSTED,)  # a message that nobody filled in


def test_a_pose_of_another_reference_is_refused_by_name() -> None:
    message = aligned_pose_message(core.Alignment(random_pose(np.random.default_rng(1), True)), HEADER, "lid", "beef")
    assert alignment_of(message, "beef").trusted
    alignment = alignment_of(message, "cafe")
    assert (alignment.pose, alignment.reasons) == (None, (core.Reason.NO_REFERENCE,))
    assert all(word in alignment.message for word in ("beef", "cafe", "lid"))


@pytest.mark.parametrize(("field", "value"), [
    ("position.x", np.nan), ("position.z", np.inf), ("orientation.w", np.nan), ("orientation.x", 9.0),
    ("orientation", Quaternion(x=0.0, y=0.0, z=0.0, w=0.0))])
def test_a_pose_that_is_no_rigid_transform_was_not_found(field: str, value: Any) -> None:
    message = aligned_pose_message(core.Alignment(random_pose(np.random.default_rng(1), True)), HEADER, "part", "hash")
    *path, leaf = field.split(".")
    target = message.pose.pose
    for name in path:
        target = getattr(target, name)
    setattr(target, leaf, value)
    alignment = alignment_of(message, "hash")
    assert (alignment.pose, alignment.reasons) == (None, (core.Reason.POSE_NOT_FOUND,)) and alignment.message


def test_segmentation_there_and_back() -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:20] = True
    segmentation = core.Segmentation(mask, "auto", 0.75, core.Box(4, 3, 16, 6), (core.Reason.CUT_BY_BORDER,), "cut")
    image = image_message(mask.astype(np.uint8) * 255, "mono8", HEADER)
    status = mask_status_message(segmentation, HEADER)
    assert status.area_px == 96
    assert_same(segmentation_of(image, status), segmentation)
    status.reasons = []
    with pytest.raises(ImageError, match="mask of 60x20"):
        segmentation_of(image, status, Camera(50.0, 50.0, 30.0, 10.0, 60, 20))


@pytest.mark.parametrize("verdict", list(core.Verdict))
def test_result_there_and_back(verdict: core.Verdict) -> None:
    rng = np.random.default_rng(5)
    alignment, detection = None, None
    if verdict is not core.Verdict.CANNOT_INSPECT:
        alignment = core.Alignment(random_pose(rng, runner_up=True))
        regions = (core.AnomalyRegion(core.Box(1, 2, 3, 4), core.RegionKind.SURPLUS, 2.5, 7.0, 9, rng.normal(size=3),
                                      rng.uniform(size=3), np.array([0.0, 0.0, 1.0])),)
        detection = core.Detection(rng.uniform(size=(5, 6)).astype(np.float32), 2.5, 1.0, regions)
    result = core.InspectionResult(
        verdict, (core.Reason.MATERIAL_SURPLUS,), "words", "part", "hash", alignment=alignment, detection=detection,
        times=(core.StageTime("segment", 1.5), core.StageTime("align", 2.5)))
    message = result_message(result, HEADER)
    assert message.has_pose == (alignment is not None)
    assert_same(result_of(message, None, None, None if detection is None else detection.anomaly_map), result)


def test_numbers_that_only_another_version_knows_commit_to_nothing() -> None:
    pose = aligned_pose_message(core.Alignment(random_pose(np.random.default_rng(1), True)), HEADER, "part", "hash")
    pose.reasons, pose.seed_source = [9999], "oracle"
    alignment = alignment_of(pose, "hash")
    assert not alignment.trusted and alignment.reasons == (core.Reason.INTERNAL_ERROR,)
    status = mask_status_message(core.Segmentation(np.ones((2, 2), bool), "auto", 1.0, None), HEADER)
    status.reasons = [9999]
    mask = image_message(np.full((2, 2), 255, np.uint8), "mono8", HEADER)
    assert segmentation_of(mask, status).reasons == (core.Reason.INTERNAL_ERROR,)
    answer = result_message(core.InspectionResult(core.Verdict.PASS, (), "", "part", "hash"), HEADER)
    answer.verdict = 7
    assert result_of(answer, None, None, None).verdict is core.Verdict.CANNOT_INSPECT


def test_message_that_nobody_filled_in_is_no_good_part() -> None:
    from ptad_msgs.msg import InspectionResult
    assert result_of(InspectionResult(), None, None, None).verdict is core.Verdict.CANNOT_INSPECT


@pytest.mark.parametrize(("pixels", "encoding"), [
    (np.arange(24, dtype=np.uint8).reshape(2, 4, 3), "bgr8"), (np.arange(8, dtype=np.uint8).reshape(2, 4), "mono8")])
def test_images_there_and_back(pixels: np.ndarray, encoding: str) -> None:
    back = decode_image(image_message(pixels, encoding, HEADER))
    np.testing.assert_array_equal(back, pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def test_float_images_keep_their_holes() -> None:
    depth = np.array([[0.5, np.nan], [1.5, np.inf]], np.float32)
    message = image_message(depth, "32FC1", HEADER)
    assert message.step == 8
    np.testing.assert_array_equal(float_image_of(message), depth)
    message.data = message.data[:8]
    with pytest.raises(ImageError, match="32FC1 image of 2x2"):
        float_image_of(message)


@pytest.mark.parametrize("camera", [
    Camera(500.0, 510.0, 319.5, 239.5, 640, 480),
    Camera(500.0, 510.0, 319.5, 239.5, 640, 480, (0.1, -0.2, 0.001, 0.002, 0.05)),
    Camera(500.0, 510.0, 319.5, 239.5, 640, 480, (0.1, -0.2, 0.001, 0.002, 0.05, 0.1, 0.2, 0.3)),
    Camera(300.0, 300.0, 319.5, 239.5, 640, 480, (0.01, -0.02, 0.001, 0.002), fisheye=True)])
def test_camera_there_and_back(camera: Camera) -> None:
    assert decode_camera(camera_info(camera, HEADER)) == camera


def test_distorted_frames_come_rectified_with_their_camera() -> None:
    camera = Camera(120.0, 120.0, 79.5, 59.5, 160, 120, (-0.3, 0.1, 0.0, 0.0, 0.0))
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[::8] = 255
    image, info = image_message(picture, "bgr8", HEADER), camera_info(camera, HEADER)
    flat, flat_camera = decode_frame(image, info, rectified=False)
    assert not flat_camera.distortion and np.any(flat != picture)
    same, same_camera = decode_frame(image, info, rectified=True)
    np.testing.assert_array_equal(same, picture)
    assert same_camera == flat_camera
    with pytest.raises(FrameError, match="no CameraInfo has come") as error:
        decode_frame(image, None, rectified=False)
    assert error.value.reason is core.Reason.CAMERA_INFO_MISSING


def test_an_image_message_that_is_empty_is_corrupt() -> None:
    with pytest.raises(FrameError) as error:
        decode_frame(Image(encoding="bgr8"), None, rectified=False)
    assert error.value.reason is core.Reason.IMAGE_CORRUPT


def test_marker_mesh_is_thinned_and_keeps_its_size() -> None:
    side = np.linspace(0.0, 1.0, 101)
    x, y = np.meshgrid(side, side)
    vertices = np.stack([x.ravel(), y.ravel(), 0.1 * np.sin(9 * x.ravel())], axis=1)
    i = np.arange(100 * 101).reshape(100, 101)[:, :100].ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + 102], 1), np.stack([i, i + 102, i + 101], 1)])
    merged, kept = decimate(vertices, faces, 2000)
    assert 200 < len(kept) <= 2000
    used = merged[np.unique(kept)]
    np.testing.assert_allclose([used.min(axis=0), used.max(axis=0)], [vertices.min(axis=0), vertices.max(axis=0)],
                               atol=0.06)
    assert decimate(vertices, faces, 30_000)[1] is faces


def test_regions_are_shown_where_they_are_on_the_part() -> None:
    result = failed()
    (region,) = result.detection.regions
    delete, box, arrow, label = region_markers(result, HEADER).markers
    assert delete.action == Marker.DELETEALL and {m.header.frame_id for m in (box, arrow, label)} == {HEADER.frame_id}
    T = result.pose.T_camera_part
    np.testing.assert_allclose(transform_of(box.pose)[:3, 3], (T @ [*region.centroid_part_m, 1])[:3], atol=1e-9)
    assert min(box.scale.x, box.scale.y, box.scale.z) > 0
    tip, tail = (np.array([p.x, p.y, p.z]) for p in reversed(arrow.points))
    np.testing.assert_allclose(transform_of(arrow.pose), T, atol=1e-9)
    np.testing.assert_allclose(tip, region.centroid_part_m, atol=1e-9)
    np.testing.assert_allclose((tail - tip) / np.linalg.norm(tail - tip), region.normal_part, atol=1e-9)
    assert f"{region.size_mm:.1f} mm" in label.text
    assert len({(m.ns, m.id) for m in (box, arrow, label)}) == 3


@pytest.mark.parametrize("result", [passed(), not_inspected(), dataclasses.replace(failed(), alignment=core.Alignment(
    failed().pose, (core.Reason.POSE_UNTRUSTED,)))], ids=["pass", "not inspected", "untrusted"])
def test_without_regions_the_earlier_ones_go(result: core.InspectionResult) -> None:
    (only,) = region_markers(result, HEADER).markers
    assert only.action == Marker.DELETEALL


@pytest.fixture
def make_node() -> Any:
    context = rclpy.context.Context()
    rclpy.init(context=context)
    made = []

    def make(**values: Any) -> Node:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
        made.append(Node("params", context=context, parameter_overrides=overrides))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_parameters_are_those_of_the_core(make_node: Any) -> None:
    node = make_node()
    parameters = NodeParameters(node)
    for s in settings():
        described = node.describe_parameter(s.name)
        assert described.description == s.limits.description
        value = node.get_parameter(s.name).value
        assert (tuple(value) if isinstance(s.default, tuple) else value) == s.default
    assert {f.name: getattr(parameters.config, f.name) for f in dataclasses.fields(CellConfig)} == {
        f.name: getattr(CellConfig(), f.name) for f in dataclasses.fields(CellConfig)}


def test_parameters_of_the_file_hold_and_whole_numbers_may_be_written_so(make_node: Any) -> None:
    parameters = NodeParameters(make_node(detection__tolerance_mm=2, segmentation__hsv_low=[1, 2, 3]))
    assert parameters.config.detection.tolerance_mm == 2.0
    assert parameters.config.segmentation.hsv_low == (1, 2, 3)


@pytest.mark.parametrize(("values", "words"), [
    ({"segmentation__metod": "auto"}, "unknown parameter segmentation.metod"),
    ({"segmentation__method": "magic"}, "segmentation.method: expected one of"),
    ({"detection__tolerance_mm": -1.0}, "detection.tolerance_mm: expected at least"),
    ({"pose__hypotheses": "many"}, "pose.hypotheses: expected int")])
def test_wrong_parameters_are_refused_by_name(make_node: Any, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        NodeParameters(make_node(**values))


def test_parameters_change_while_running_within_their_range(make_node: Any) -> None:
    node = make_node()
    parameters = NodeParameters(node)
    parameters.locked = True
    before = parameters.config

    def put(name: str, value: Any) -> Any:
        return node.set_parameters([Parameter(name, value=value)])[0]

    assert put("detection.tolerance_mm", 4.5).successful
    assert parameters.config.detection.tolerance_mm == 4.5 and before.detection.tolerance_mm == 3.0
    for name, value, words in (("detection.tolerance_mm", -2.0, "range"), ("part.cad", "x.stl", "cannot change while"),
                               ("segmentation.method", "magic", "expected one of"), ("pose.hypotheses", 2.5, "type"),
                               ("detection.tolerance_mm", float("nan"), "range")):
        answer = put(name, value)
        assert not answer.successful and words in answer.reason, (name, answer.reason)
    assert parameters.config.detection.tolerance_mm == 4.5
    parameters.locked = False
    assert put("part.cad", "x.stl").successful and parameters.config.part.cad == "x.stl"
