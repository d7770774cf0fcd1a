"""Where a piece finds ground on whatever carries it."""

from __future__ import annotations

import numpy as np

from ptad_core.rendering.exact import RayMesh
from ptad_core.synthesis.families.builder import chance
from ptad_core.synthesis.shapes import Solid
from ptad_core.types import FloatArray

SIZE_MM = 100.0
"""Of the bodies; how far a foot may hang over is relative to it."""


def mounted_on(carrier: Solid, piece: Solid, rng: np.random.Generator) -> Solid | None:
    """Set a piece onto a carrier where a ray along a random axis meets it, most of the foot on solid ground."""
    axis = int(rng.choice([0, 0, 1, 1, 2, 2, 2]))
    sign = 1.0 if axis == 2 and chance(rng, 0.8) else float(rng.choice([-1, 1]))
    out = sign * np.eye(3)[axis]
    side, other = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
    turn = rng.uniform(0, 360) if chance(rng, 0.3) else 90.0 * int(rng.integers(4))
    piece = piece.turned("z", turn)
    frame = np.stack([side * sign, other, out], axis=1)
    half = carrier.extent / 2 * 0.9
    place = carrier.centre + sum(rng.uniform(-1, 1) * half[k] * np.eye(3)[k] for k in range(3) if k != axis)
    foot = piece.vertices[piece.vertices[:, 2] < 0.02 * SIZE_MM][:, :2]
    probes: FloatArray = np.concatenate([[[0.0, 0.0]], 0.6 * (foot - foot.mean(axis=0)) + foot.mean(axis=0)])
    starts = place + probes @ frame[:, :2].T
    starts[:, axis] = carrier.centre[axis] + sign * (carrier.extent[axis] + 1)
    hits = RayMesh(carrier.vertices, carrier.faces).first_hits(starts, np.tile(-out, (len(starts),
    1)).astype(np.float32))
    if hits.face[0] < 0 or (hits.face >= 0).mean() < 0.7:
        return None
    depth = float(hits.t[hits.face >= 0].max())
    if depth - float(hits.t[0]) > 0.08 * SIZE_MM:
        return None
    place = starts[0] - out * (depth + 0.5)
    return Solid(piece.vertices @ frame.T + place, piece.faces)
