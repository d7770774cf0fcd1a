"""Turns that the outline hardly sees, and the picture's inner edges may: of a wheel about its axle.

The normal matrix of a fit tells how far the outline moves when the part turns, the part's place following as it must.
Along the turn that moves it least, other poses explain the outline as well: they are tried where the picture supports
the part's inner edges best.
"""

from __future__ import annotations

import numpy as np

from ptad_core.frames import make_transform, rotation_exp
from ptad_core.pose.interior import Interior, edges_seen
from ptad_core.pose.refine import MaskFit
from ptad_core.reference.build import Reference
from ptad_core.types import FloatArray

BLIND_PX_PER_RAD = 12.0
"""An outline that moves less (rms, crop pixels) is nearly blind to a turn: 2 px for one of 10 degrees."""
MOST_DEG, STEP_DEG = 40.0, 2.0
LEAST_DEG = 4.0
"""What lies nearer is the same pose; so are peaks that lie nearer together."""
MOST_PEAKS = 2


def blind_turns(fit: MaskFit, interior: Interior, reference: Reference) -> list[FloatArray]:
    """Return poses (4, 4) along the turn that a fit's outline sees least, where inner edges lie on the picture's.

    The fit's own comes first; there are none where the outline sees every turn well.
    """
    H = fit.normal_matrix
    follow = -np.linalg.solve(H[:3, :3] + 1e-9 * np.diag(np.diag(H[:3, :3])), H[:3, 3:])
    values, vectors = np.linalg.eigh(H[3:, 3:] + H[3:, :3] @ follow)
    if values[0] > BLIND_PX_PER_RAD**2 * fit.points:
        return []
    axis = vectors[:, 0]
    R, centre = fit.T_camera_part[:3, :3], fit.pivot

    def turned(angle_deg: float) -> FloatArray:
        w = np.radians(angle_deg) * axis
        there = rotation_exp(w) @ R
        return make_transform(there, centre + follow @ w - there @ reference.center_m)

    edges = edges_seen(reference, interior.camera, fit.T_camera_part)

    angles_deg = np.arange(-MOST_DEG, MOST_DEG + STEP_DEG / 2, STEP_DEG)
    poses = [turned(angle) for angle in angles_deg]
    support = np.array([interior.support(edges, T) for T in poses])
    support[np.abs(angles_deg) < LEAST_DEG] = np.inf
    ends = np.pad(support, 1, constant_values=np.inf)
    peaks = np.flatnonzero((support >= ends[:-2]) & (support > ends[2:]) & np.isfinite(support))
    return [fit.T_camera_part, *(poses[k] for k in peaks[np.argsort(-support[peaks])][:MOST_PEAKS])]
