"""What each stage publishes: one class per stage, used by the stage's own node and by the cell alike."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from ptad_msgs import msg
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from ptad_core import types as core
from ptad_core.camera import Camera
from ptad_core.overlay import draw_overlay
from ptad_core.reference import Reference
from ptad_ros.images import camera_info, image_message
from ptad_ros.markers import region_markers
from ptad_ros.messages import aligned_pose_message, mask_status_message, result_message, transform_message
from ptad_ros.tf import TF_QOS

RESULT_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Output:
    """Publishers that are made and taken down together."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers: list[LifecyclePublisher] = []

    def _publisher(self, message_type: type, topic: str, qos: QoSProfile = RESULT_QOS) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(  # a copy, for rclpy writes what is overridden into it
            message_type, topic, copy(qos), qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._publishers.append(publisher)
        return publisher

    def close(self) -> None:
        """Take the publishers down."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []


class MaskOutput(Output):
    """``mask`` (mono8, 255 on the object) and ``mask_status``."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(node)
        self._mask = self._publisher(Image, "mask")
        self._status = self._publisher(msg.MaskStatus, "mask_status")

    def publish(self, header: Header, segmentation: core.Segmentation) -> None:
        if _heard(self._mask):
            self._mask.publish(image_message(segmentation.mask.astype(np.uint8) * 255, "mono8", header))
        self._status.publish(mask_status_message(segmentation, header))


class PoseOutput(Output):
    """``aligned_pose``, ``rendered_depth`` with its CameraInfo, and the part's frame on /tf where it is trusted."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(node)
        self._pose = self._publisher(msg.AlignedPose, "aligned_pose")
        self._depth = self._publisher(Image, "rendered_depth")
        self._depth_info = self._publisher(CameraInfo, "rendered_depth/camera_info")
        self._tf = self._publisher(TFMessage, "/tf", TF_QOS)

    def publish(self, header: Header, alignment: core.Alignment, part_id: str, reference_hash: str) -> None:
        self._pose.publish(aligned_pose_message(alignment, header, part_id, reference_hash))
        if alignment.trusted and alignment.pose is not None:
            child = aligned_frame(self._node.get_namespace(), part_id)
            self._tf.publish(TFMessage(transforms=[transform_message(alignment.pose.T_camera_part, header, child)]))

    def publish_depth(self, header: Header, rendering: core.Rendering, camera: Camera) -> None:
        if _heard(self._depth):
            self._depth.publish(image_message(rendering.depth.astype(np.float32, copy=False), "32FC1", header))
            self._depth_info.publish(camera_info(camera, header))


class ResultOutput(Output):
    """``result``, ``anomaly_map``, ``overlay`` and ``region_markers``."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(node)
        self._result = self._publisher(msg.InspectionResult, "result")
        self._map = self._publisher(Image, "anomaly_map")
        self._overlay = self._publisher(Image, "overlay")
        self._regions = self._publisher(MarkerArray, "region_markers")

    def publish(self, header: Header, result: core.InspectionResult, picture: core.ColorImage | None = None,
                camera: Camera | None = None, overlay: bool = False) -> None:
        """Publish an answer, and the pictures that belong to it where someone listens."""
        self._result.publish(result_message(result, header))
        if _heard(self._regions):
            self._regions.publish(region_markers(result, header))
        if result.detection is not None and _heard(self._map):
            anomaly_map = result.detection.anomaly_map.astype(np.float32, copy=False)
            self._map.publish(image_message(anomaly_map, "32FC1", header))
        if overlay and picture is not None and _heard(self._overlay):
            self._overlay.publish(image_message(draw_overlay(picture, result, camera), "bgr8", header))


class MarkerOutput(Output):
    """``reference_marker``: the part as it should be, for RViz; it follows the aligned part's frame."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(node)
        self._marker = self._publisher(Marker, "reference_marker", LATCHED_QOS)

    def publish(self, reference: Reference, max_triangles: int) -> None:
        frame = aligned_frame(self._node.get_namespace(), reference.part_id)
        self._marker.publish(reference_marker(reference, frame, max_triangles))


def aligned_frame(namespace: str, part_id: str) -> str:
    """Return the TF frame of a part where it was found: cells in namespaces of their own do not share it."""
    return f"{namespace}/{part_id}_aligned".lstrip("/")


def reference_marker(reference: Reference, frame: str, max_triangles: int) -> Marker:
    """Return the reference's mesh as a marker of at most ``max_triangles`` triangles, in a TF frame."""
    vertices, faces = decimate(reference.mesh.vertices, reference.mesh.faces, max_triangles)
    marker = Marker(ns="ptad_reference", id=0, type=Marker.TRIANGLE_LIST, action=Marker.ADD, frame_locked=True)
    marker.header = Header(frame_id=frame, stamp=Time())  # stamp 0: always the newest TF
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    marker.color = ColorRGBA(r=0.35, g=0.75, b=1.0, a=0.5)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in vertices[faces].reshape(-1, 3).tolist()]
    return marker


def decimate(vertices: NDArray[np.float64], faces: NDArray[np.int64],
             max_faces: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge vertices on ever coarser grids until a mesh has at most ``max_faces`` faces; for looking at only."""
    low = vertices.min(axis=0)
    cell = float(np.ptp(vertices, axis=0).max()) / 512
    kept = faces
    merged = vertices
    while len(kept) > max_faces:
        _, first, index = np.unique(np.floor((vertices - low) / cell).astype(np.int64), axis=0, return_index=True,
                                    return_inverse=True)
        merged = vertices[first]
        kept = index.ravel()[faces]
        a, b, c = kept.T
        kept = np.unique(kept[(a != b) & (b != c) & (c != a)], axis=0)
        cell *= 1.3
    return merged, kept


def _heard(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count() > 0)
