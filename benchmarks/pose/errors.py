"""How far a pose is from the truth: symmetry-aware, at the part's centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.pose.objects import BenchObject
from ptad_core.frames import make_transform, rotation_angle_deg
from ptad_core.reference.symmetry import AXES, parse_symmetry
from ptad_core.types import AlignedPose, FloatArray

SUCCESS_DEG = 5.0
SUCCESS_DIAMETERS = 0.05
FLIP_DEG = 45.0
"""A pose of an asymmetric object that is wrong by more is a look-alike from another side, not a poor fit."""


@dataclass(frozen=True, slots=True)
class PoseError:
    """Errors of a pose.

    Attributes:
        rotation_deg: smallest angle to the true rotation or one of its symmetric copies.
        centre_m: distance of the part's centre from its true place.
        distance_m: of the part's true centre from the camera.
        diameter_m: of the part.
    """

    rotation_deg: float
    centre_m: float
    distance_m: float
    diameter_m: float

    @property
    def success(self) -> bool:
        return self.rotation_deg < SUCCESS_DEG and self.centre_m < SUCCESS_DIAMETERS * self.diameter_m

    @property
    def flipped(self) -> bool:
        return self.rotation_deg > FLIP_DEG

    @property
    def centre_pct_of_distance(self) -> float:
        return 100 * self.centre_m / self.distance_m


def pose_error(T: FloatArray, T_true: FloatArray, item: BenchObject) -> PoseError:
    """Compare (4, 4) poses of an object."""
    centre = item.reference.center_m
    at, at_true = (P[:3, :3] @ centre + P[:3, 3] for P in (T, T_true))
    return PoseError(_angle_deg(T[:3, :3], T_true[:3, :3], item), float(np.linalg.norm(at - at_true)),
                     float(np.linalg.norm(at_true)), item.reference.diameter_m)


def _angle_deg(R: FloatArray, R_true: FloatArray, item: BenchObject) -> float:
    if not item.turns_freely:
        return min(rotation_angle_deg(R, R_true @ S) for S in item.reference.symmetries)
    # An angle about the axis cannot be seen: what is left is the angle between the axes, exact and not in steps.
    clauses = [c for c in item.symmetry.split(";") if "inf" in c]
    axis = np.array(AXES[clauses[0].split("axis=")[1].split()[0]])
    flips = parse_symmetry(";".join(c for c in item.symmetry.split(";") if "inf" not in c))
    cosines = [float((R @ axis) @ (R_true @ S @ axis)) for S in flips]
    return float(np.degrees(np.arccos(np.clip(max(cosines), -1, 1))))


def nees(pose: AlignedPose, T_true: FloatArray, item: BenchObject) -> float:
    """Return the normalised error squared over 6: 1 on average where the covariance is right.

    Order and frame are the covariance's: origin's translation, then rotation about the fixed camera axes.
    """
    T, centre = pose.T_camera_part, item.reference.center_m
    copies = (make_transform(T_true[:3, :3] @ S, T_true[:3, 3] + T_true[:3, :3] @ (centre - S @ centre))
              for S in item.reference.symmetries)
    nearest = min(copies, key=lambda C: rotation_angle_deg(T[:3, :3], C[:3, :3]))
    turned = Rotation.from_matrix(T[:3, :3] @ nearest[:3, :3].T).as_rotvec()
    e = np.concatenate([T[:3, 3] - nearest[:3, 3], turned])
    return float(e @ np.linalg.solve(pose.covariance, e)) / 6
