"""The table that parts stand on: matt, almost grey, never quite even."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_SIZE = 512
_CELLS_PER_UNIT = 160.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table top whose texture repeats after about three diameters of the part.

    Attributes:
        colour: (3,) linear RGB.
        texture: (n, n) float32 factors around 1.
    """

    colour: Array
    texture: Array

    def colour_at(self, points: Array) -> Array:
        """Return the (n, 3) linear colours at (n, 2) points, in units of the part's diameter."""
        if len(points) == 0:
            return np.empty((0, 3), np.float32)
        x, y = np.mod(points * np.float32(_CELLS_PER_UNIT), _SIZE).T.astype(np.float32)
        rows = 1024  # remap takes pictures of at most 32767 pixels a side
        padded = -len(x) % rows
        x, y = (np.pad(k, (0, padded)).reshape(rows, -1) for k in (x, y))
        factor = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(factor.ravel()[:len(points), None] * self.colour)


def draw_table(rng: np.random.Generator) -> Table:
    """Draw a table: its brightness, a faint tint, clouds and grain."""
    colour = rng.uniform(0.42, 0.58) * (1 + rng.uniform(-0.02, 0.02, 3))
    texture = np.ones((_SIZE, _SIZE), np.float32)
    for sigma, strength in ((40.0, rng.uniform(0.006, 0.015)), (8.0, rng.uniform(0.005, 0.015)),
                            (0.8, rng.uniform(0.01, 0.025))):
        tiled = np.tile(rng.standard_normal((_SIZE, _SIZE), dtype=np.float32), (2, 2))  # blurred across its own seam
        soft = cv2.GaussianBlur(tiled, (0, 0), sigma)[_SIZE // 2:_SIZE // 2 + _SIZE, _SIZE // 2:_SIZE // 2 + _SIZE]
        texture += np.float32(strength) * soft / soft.std()
    return Table(colour.astype(np.float32), texture)
