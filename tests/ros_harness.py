"""Nodes under test over real DDS: a cell in an executor's thread, and a camera beside it that is listened to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from ptad_msgs.msg import AlignedPose, InspectionResult, MaskStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ptad_core import types as core
from ptad_core.camera import Camera
from ptad_core.config import InspectorConfig, PartConfig, ReferenceConfig
from ptad_ros.images import camera_info, image_message
from ptad_ros.messages import transform_message
from ptad_ros.spinning import spinning
from ptad_ros.stage_node import StageNode
from ptad_ros.tf import TF_QOS, TF_STATIC_QOS

CAMERA = Camera(200.0, 200.0, 79.5, 59.5, 160, 120)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
S = 1_000_000_000


class FakeInspector:
    """Stands in for the core where a test is about what surrounds it: a white square is a good part, none is none."""

    def __init__(self, reference: Any, config: InspectorConfig) -> None:
        self.reference, self.config = reference, config
        self.resets = 0
        self.seeds: list[core.PoseSeed | None] = []
        self.before: Callable[[], None] = lambda: None
        self.detector = f"tolerance {config.detection.tolerance_mm}"
        self.calibration: Any = None

    def use_calibration(self, calibration: Any) -> None:
        self.calibration = calibration

    def reset(self) -> None:
        self.resets += 1

    def segment(self, image: Any, _camera: Camera, _seed: Any) -> core.Segmentation:
        mask = image[..., 1] > 127
        reasons = () if mask.any() else (core.Reason.NO_OBJECT,)
        box = core.Box(60, 40, 40, 40) if mask.any() else None
        return core.Segmentation(mask, "fake", float(mask.any()), box, reasons)

    def align(self, _image: Any, _camera: Camera, _segmentation: core.Segmentation, seed: Any) -> core.Alignment:
        T = np.eye(4) if seed is None else seed.T_camera_part
        return core.Alignment(core.AlignedPose(T, np.eye(6), 0.97, 0.4, core.SeedSource.TF if seed else
                                               core.SeedSource.BLIND, float("inf"), None, False, True))

    def render(self, camera: Camera, _pose: core.AlignedPose, _segmentation: Any) -> core.Rendering:
        flat = np.full((camera.height, camera.width), np.nan, np.float32)
        return core.Rendering(np.zeros_like(flat), flat, np.repeat(flat[..., None], 3, axis=2))

    def detect(self, image: Any, _camera: Camera, segmentation: core.Segmentation, _alignment: Any) -> core.Detection:
        missing = 1600 - int(segmentation.mask.sum())
        regions = (core.AnomalyRegion(core.Box(60, 40, 9, 9), core.RegionKind.MISSING, 2.0, 5.0, missing, np.zeros(3),
                                      np.ones(3), np.array([0.0, 0.0, 1.0])),) if missing else ()
        score = missing / 350  # a square of 30 instead of 40 is out of tolerance by as much again
        return core.Detection(np.zeros(image.shape[:2], np.float32), score, 1.0, regions)

    def decide(self, segmentation: Any, alignment: Any, detection: Any) -> core.InspectionResult:
        stopped = segmentation.reasons or (alignment.reasons if alignment else ())
        if stopped or detection is None:
            verdict, reasons = core.Verdict.CANNOT_INSPECT, stopped
        elif detection.regions:
            verdict, reasons = core.Verdict.FAIL, (core.Reason.MATERIAL_MISSING,)
        else:
            verdict, reasons = core.Verdict.PASS, ()
        message = "; ".join(stage.message for stage in (segmentation, alignment) if stage and stage.message)
        return core.InspectionResult(verdict, reasons, message, self.reference.part_id, self.reference.hash,
                                     segmentation, alignment, None, detection, (core.StageTime("all", 1.0),))

    def inspect(self, image: Any, camera: Camera, seed: core.PoseSeed | None = None,
                begins: Callable[[str], None] = lambda _: None) -> core.InspectionResult:
        begins("segment")
        self.before()
        self.seeds.append(seed)
        segmentation = self.segment(image, camera, seed)
        if segmentation.reasons:
            return self.decide(segmentation, None, None)
        alignment = self.align(image, camera, segmentation, seed)
        return self.decide(segmentation, alignment, self.detect(image, camera, segmentation, alignment))


def fake_reference(part: PartConfig, _config: ReferenceConfig) -> Any:
    mesh = SimpleNamespace(vertices=np.eye(3), faces=np.array([[0, 1, 2]]))
    return SimpleNamespace(part_id=part.id or "block", hash="cafe", mesh=mesh, warnings=())


FAKE = {"load": fake_reference, "inspector": FakeInspector}


def picture(square: int = 40) -> np.ndarray:
    """A dark picture (120, 160, 3) with a white square of so many pixels."""
    image = np.full((120, 160, 3), 20, np.uint8)
    image[40:40 + square, 60:60 + square] = 255
    return image


class Cameraman(Node):
    """Publishes what a camera and its robot publish, and keeps what the cell answers."""

    def __init__(self, context: Context, namespace: str = "") -> None:
        super().__init__("cameraman", context=context, namespace=namespace)
        self.image = self.create_publisher(Image, "image_raw", BEST_EFFORT)
        self.compressed = self.create_publisher(CompressedImage, "image_raw/compressed", BEST_EFFORT)
        self.info = self.create_publisher(CameraInfo, "camera_info", BEST_EFFORT)
        self.tf = self.create_publisher(TFMessage, "/tf", TF_QOS)
        self.tf_static = self.create_publisher(TFMessage, "/tf_static", TF_STATIC_QOS)
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self.listen("result", InspectionResult)

    def latch(self, info: CameraInfo) -> None:
        """Publish a CameraInfo once and for all."""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_publisher(CameraInfo, "camera_info", latched).publish(info)

    def listen(self, topic: str, message_type: type, qos: QoSProfile | int = 20) -> None:
        self.create_subscription(message_type, topic, lambda m: self._hear(topic, m), qos)

    def _hear(self, topic: str, message: Any) -> None:
        self.heard[topic].append(message)

    def wait(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Wait for something to happen."""
        until = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > until:
                got = {topic: len(messages) for topic, messages in self.heard.items()}
                raise AssertionError(f"it did not happen within {timeout_s} s; heard so far: {got}")
            time.sleep(0.005)

    def header(self, t_s: float, frame: str = "cam") -> Header:
        ns = round(t_s * S)
        return Header(stamp=Time(sec=ns // S, nanosec=ns % S), frame_id=frame)

    def shoot(self, t_s: float, image: np.ndarray | None = None, info: CameraInfo | bool = True) -> None:
        """Publish an image with its CameraInfo."""
        header = self.header(t_s)
        if info is not False:
            self.info.publish(camera_info(CAMERA, header) if info is True else info)
        self.image.publish(image_message(picture() if image is None else image, "bgr8", header))

    def move(self, t_s: float, T: np.ndarray | None = None, parent: str = "cell", child: str = "cam") -> None:
        """Publish a transform."""
        T = np.eye(4) if T is None else T
        self.tf.publish(TFMessage(transforms=[transform_message(T, self.header(t_s, parent), child)]))

    def do(self, call: Callable[[], Any]) -> Any:
        """Call something where the nodes' callbacks run, as a service would; return what it returns."""
        assert self.executor is not None
        task = self.executor.create_task(call)
        self.wait(task.done)
        return task.result()

    def result(self, t_s: float, timeout_s: float = 10.0) -> InspectionResult:
        """Wait for the answer to an image."""
        stamp = self.header(t_s).stamp
        self.wait(lambda: any(r.header.stamp == stamp for r in self.heard["result"]), timeout_s)
        return next(r for r in self.heard["result"] if r.header.stamp == stamp)


@contextmanager
def cell(*node_types: type[StageNode], settings: dict[str, Any] | None = None, core_parts: dict[str, Any] = FAKE,
         start: bool = True, listen: dict[str, type] | None = None) -> Iterator[tuple[Cameraman, list[StageNode]]]:
    """Run nodes and a camera over DDS; they are matched when the block begins."""
    context = Context()
    rclpy.init(context=context)
    overrides = [Parameter(name, value=value) for name, value in {"part.cad": "block.stl", **(settings or {})}.items()]
    nodes = [t(context=context, parameter_overrides=overrides, **core_parts) for t in node_types]
    cameraman = Cameraman(context)
    for topic, message_type in (listen or {}).items():
        cameraman.listen(topic, message_type)
    if start:
        for node in nodes:
            node.trigger_configure()
            node.trigger_activate()
    try:
        with spinning(*nodes, cameraman, context=context):
            if start:
                settle(cameraman, len(nodes))
            yield cameraman, nodes
    finally:
        for node in nodes:
            node.stop()
        for node in (*nodes, cameraman):
            node.destroy_node()
        context.try_shutdown()


def settle(cameraman: Cameraman, nodes: int, timeout_s: float = 10.0) -> None:
    """Wait until the camera's publishers have found their listeners."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        matched = max(cameraman.image.get_subscription_count(), cameraman.compressed.get_subscription_count())
        if matched >= nodes and cameraman.info.get_subscription_count() >= nodes:
            time.sleep(0.2)
            return
        time.sleep(0.02)
    raise AssertionError("the nodes did not subscribe to the camera")


STAGE_OUTPUTS = {"mask": Image, "mask_status": MaskStatus, "aligned_pose": AlignedPose}
