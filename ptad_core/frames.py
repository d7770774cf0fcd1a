"""Rigid transforms as (4, 4) float64 matrices, and the twist that moves them.

Names read ``T_a_b``: it maps b-coordinates into a, ``p_a = T_a_b @ p_b``, and inner names cancel. Twists are
``(v, w)``: translation first, rotation second, as in ROS covariances. Quaternions are ``x, y, z, w``.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ptad_core.types import FloatArray


def make_transform(R: FloatArray, t: FloatArray) -> FloatArray:
    """Return the (4, 4) transform of a (3, 3) rotation and a (3,) translation."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = t
    return T


def invert(T_a_b: FloatArray) -> FloatArray:
    """Return T_b_a."""
    R_b_a = T_a_b[:3, :3].T
    return make_transform(R_b_a, -R_b_a @ T_a_b[:3, 3])


def transform_points(T_a_b: FloatArray, points_b: FloatArray) -> FloatArray:
    """Map (n, 3) points from b into a."""
    return points_b @ T_a_b[:3, :3].T + T_a_b[:3, 3]


def from_quaternion(translation_m: FloatArray, quaternion_xyzw: FloatArray) -> FloatArray:
    """Return the transform of a ROS translation and quaternion; the quaternion need not be normalised.

    Raises:
        ValueError: if the quaternion has zero or non-finite length.
    """
    q = np.asarray(quaternion_xyzw, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"expected a quaternion x, y, z, w of non-zero length, got {q.tolist()}")
    return make_transform(Rotation.from_quat(q / norm).as_matrix(), np.asarray(translation_m, dtype=np.float64))


def to_quaternion(T_a_b: FloatArray) -> FloatArray:
    """Return the rotation of a transform as (4,) x, y, z, w."""
    return np.asarray(Rotation.from_matrix(T_a_b[:3, :3]).as_quat(), dtype=np.float64)


def skew(w: FloatArray) -> FloatArray:
    """Return the (3, 3) matrix of the cross product with w."""
    return np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])


def rotation_exp(w: FloatArray) -> FloatArray:
    """Return the (3, 3) rotation of a (3,) rotation vector in radians (Rodrigues; PTAD Eq. 4)."""
    return np.asarray(Rotation.from_rotvec(w).as_matrix(), dtype=np.float64)


def rotation_angle_deg(R_a: FloatArray, R_b: FloatArray) -> float:
    """Return the angle between two (3, 3) rotations, in degrees, 0..180."""
    return float(np.degrees(np.linalg.norm(Rotation.from_matrix(R_a.T @ R_b).as_rotvec())))


def is_rigid(T: FloatArray, tolerance: float = 1e-6) -> bool:
    """Tell whether a (4, 4) matrix is a finite rigid transform, right-handed."""
    if T.shape != (4, 4) or not np.isfinite(T).all():
        return False
    R = T[:3, :3]
    orthonormal = np.allclose(R @ R.T, np.eye(3), atol=tolerance) and np.linalg.det(R) > 0
    return bool(orthonormal and np.allclose(T[3], [0, 0, 0, 1], atol=tolerance))
