"""How far the aligner is off where its pose is trusted: measured, so that references in training lie as they do in use.

The table ``pose_errors.json`` is written from the rows of the pose benchmark by ``benchmarks/pose/training_errors.py``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

from ptad_core.frames import make_transform, rotation_exp
from ptad_core.types import FloatArray


@cache
def _table(defective: bool) -> FloatArray:
    """(n, 6) errors: rotation vector in degrees (camera frame, about the part's centre), then the centre's offset:
    x and y relative to the diameter, z relative to the distance.
    """
    text = files("ptad_core.training").joinpath("pose_errors.json").read_text(encoding="utf-8")
    return np.array(json.loads(text)["defective" if defective else "intact"], dtype=np.float64)


def draw_aligned(T_camera_part: FloatArray, center_m: FloatArray, diameter_m: float, defective: bool,
                 rng: np.random.Generator) -> FloatArray:
    """Return a pose as the aligner would find it where (4, 4) ``T_camera_part`` is the truth.

    One of the measured errors is drawn and turned about the optical axis at random.
    """
    table = _table(defective)
    error = table[int(rng.integers(len(table)))]
    spin = rotation_exp(np.array([0.0, 0.0, rng.uniform(0, 2 * np.pi)]))
    centre = T_camera_part[:3, :3] @ center_m + T_camera_part[:3, 3]
    found = centre + spin @ error[3:] * np.array([diameter_m, diameter_m, float(np.linalg.norm(centre))])
    R = rotation_exp(spin @ np.radians(error[:3])) @ T_camera_part[:3, :3]
    return make_transform(R, found - R @ center_m)
