"""Symmetries in words -> rotations of the part that nobody could tell from none."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ptad_core.errors import ConfigError
from ptad_core.frames import rotation_exp
from ptad_core.types import FloatArray

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
CONTINUOUS_STEPS = 72
MAX_GROUP = 1000
NONE = ("", "none")


def parse_symmetry(text: str, limit: int = MAX_GROUP) -> FloatArray:
    """Return the (k, 3, 3) rotations about the part's centre that a declaration means; the identity is the first.

    ``axis=z order=4; axis=x order=2`` stands for the group that the two generate. A continuous symmetry
    (``order=inf``) is taken in steps of 5 degrees. '' and ``none`` are the identity alone.

    Raises:
        ConfigError: if the text is not of that form, or stands for more than ``limit`` rotations.
    """
    generators: list[FloatArray] = []
    if text.strip() in NONE:
        return _group(generators, limit)
    for clause in filter(None, (c.strip() for c in text.split(";"))):
        fields = dict(pair.partition("=")[::2] for pair in clause.split())
        axis = _axis(fields.get("axis", ""))
        order = fields.get("order", "")
        if axis is None or set(fields) != {"axis", "order"} or not _is_order(order):
            raise ConfigError(f"symmetry: expected 'axis=x|y|z|a,b,c order=N|inf', got {clause!r}")
        count = CONTINUOUS_STEPS if order == "inf" else int(order)
        generators.append(rotation_exp(axis * (2 * np.pi / count)))
    return _group(generators, limit)


@njit(cache=True, nogil=True)
def symmetric_angle_deg(R_a: FloatArray, R_b: FloatArray, symmetries: FloatArray) -> float:
    """Return the smallest angle between two rotations, over all symmetric copies of the second, in degrees."""
    trace = -1.0
    for s in range(symmetries.shape[0]):
        of_this = 0.0  # trace(R_a^T R_b S)
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    of_this += R_a[i, j] * R_b[i, k] * symmetries[s, k, j]
        trace = max(trace, of_this)
    return math.degrees(math.acos(min(max((trace - 1.0) / 2.0, -1.0), 1.0)))


def _axis(text: str) -> FloatArray | None:
    if text in AXES:
        return np.array(AXES[text])
    try:
        axis = np.array([float(v) for v in text.split(",")])
    except ValueError:
        return None
    length = np.linalg.norm(axis)
    return axis / length if axis.shape == (3,) and length > 0 else None


def _is_order(text: str) -> bool:
    return text == "inf" or (text.isdigit() and int(text) > 0)


def _group(generators: list[FloatArray], limit: int) -> FloatArray:
    """Close a set of rotations under multiplication."""
    members = [np.eye(3)]
    for member in members:
        for g in generators:
            product = g @ member
            if np.abs(np.array(members) - product).max(axis=(1, 2)).min() > 1e-6:
                members.append(product)
                if len(members) > limit:
                    raise ConfigError(f"symmetry: the declared axes generate more than {limit} rotations; "
                                      "combine a continuous axis only with one of order 2 across it")
    return np.array(members)
