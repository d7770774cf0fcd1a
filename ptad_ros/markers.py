"""What is wrong with a part, in 3D for RViz: a box around each region, its normal, and how far it deviates."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from ptad_core import types as core
from ptad_core.frames import make_transform
from ptad_core.overlay import KIND_COLORS
from ptad_core.types import FloatArray
from ptad_ros.messages import pose_message

_LEAST_SIDE_M = 0.001
_LEAST_ARROW_M = 0.02
_ARROW_PER_EXTENT = 1.5


def region_markers(result: core.InspectionResult, header: Header) -> MarkerArray:
    """Return the regions of a result as markers in the camera's frame; earlier ones are always deleted.

    Args:
        result: of an image.
        header: of that image.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    if result.detection is None or result.alignment is None or not result.alignment.trusted or result.pose is None:
        return MarkerArray(markers=markers)
    for number, region in enumerate(result.detection.regions):
        if np.isfinite([region.centroid_part_m, region.extent_part_m, region.normal_part]).all():
            markers += _of_region(region, result.pose.T_camera_part, header, number)
    return MarkerArray(markers=markers)


def _of_region(region: core.AnomalyRegion, T_camera_part: FloatArray, header: Header, number: int) -> list[Marker]:
    blue, green, red = (c / 255.0 for c in KIND_COLORS[region.kind])
    colour = ColorRGBA(r=red, g=green, b=blue, a=0.6)
    side_m = np.maximum(region.extent_part_m, _LEAST_SIDE_M)
    length_m = max(_ARROW_PER_EXTENT * float(side_m.max()), _LEAST_ARROW_M)
    centre = make_transform(np.eye(3), region.centroid_part_m)
    box = Marker(header=header, ns="ptad_regions", id=number, type=Marker.CUBE, color=colour,
                 pose=pose_message(T_camera_part @ centre))
    box.scale = Vector3(**dict(zip("xyz", map(float, side_m), strict=True)))
    arrow = Marker(header=header, ns="ptad_normals", id=number, type=Marker.ARROW, color=colour,
                   pose=pose_message(T_camera_part))
    arrow.points = [_point(region.centroid_part_m + length_m * region.normal_part), _point(region.centroid_part_m)]
    arrow.scale = Vector3(x=0.08 * length_m, y=0.2 * length_m, z=0.25 * length_m)  # shaft, head, length of the head
    label = Marker(header=header, ns="ptad_labels", id=number, type=Marker.TEXT_VIEW_FACING,
                   color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
                   text=f"{region.kind.name.lower()} {region.size_mm:.1f} mm",
                   pose=pose_message(T_camera_part @ make_transform(
                       np.eye(3), region.centroid_part_m + 1.2 * length_m * region.normal_part)))
    label.scale.z = 0.3 * length_m  # height of the letters
    return [box, arrow, label]


def _point(p: FloatArray) -> Point:
    return Point(**dict(zip("xyz", map(float, p), strict=True)))
