"""The table that parts stand on: matt, almost grey, never quite even."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_SIZE = 512


@dataclass(frozen=True, slots=True)
class Table:
    """A table top whose texture repeats after about three diameters of the part.

    Attributes:
        colour: (3,) linear RGB.
        texture: (n, n) float32 factors around 1, or (n, n, 3) of each colour.
        cells_per_unit: texels to a diameter of the part.
        mirrored: whether the texture is mirrored where it repeats, its middle at the origin.
    """

    colour: Array
    texture: Array
    cells_per_unit: float = 160.0
    mirrored: bool = False

    @classmethod
    def of(cls, picture: Array, cells_per_unit: float) -> Table:
        """Return a table covered with (n, n, 3) linear colours."""
        return cls(np.ones(3, np.float32), picture, cells_per_unit, mirrored=True)

    def colour_at(self, points: Array) -> Array:
        """Return the (n, 3) linear colours at (n, 2) points, in units of the part's diameter."""
        if len(points) == 0:
            return np.empty((0, 3), np.float32)
        cells, size = points * np.float32(self.cells_per_unit), len(self.texture)
        folded = np.abs(np.mod(cells + 0.5 * size, 2 * size) - size) if self.mirrored else np.mod(cells, size)
        x, y = folded.T.astype(np.float32)
        rows = 1024  # remap takes pictures of at most 32767 pixels a side
        padded = -len(x) % rows
        x, y = (np.pad(k, (0, padded)).reshape(rows, -1) for k in (x, y))
        factor = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(factor.reshape(x.size, -1)[:len(points)] * self.colour)


def draw_table(rng: np.random.Generator) -> Table:
    """Draw a table: its brightness, a faint tint, clouds and grain."""
    colour = rng.uniform(0.42, 0.58) * (1 + rng.uniform(-0.02, 0.02, 3))
    texture = np.ones((_SIZE, _SIZE), np.float32)
    for lattice, strength in ((16, rng.uniform(0.006, 0.015)), (64, rng.uniform(0.005, 0.015)),
                              (_SIZE, rng.uniform(0.01, 0.025))):
        texture += np.float32(strength) * _clouds(rng, lattice)
    return Table(colour.astype(np.float32), texture)


def _clouds(rng: np.random.Generator, lattice: int) -> Array:
    """Return a texture of unit spread, smooth between the points of a lattice, that continues across its borders."""
    values = np.pad(rng.standard_normal((lattice, lattice), dtype=np.float32), 2, mode="wrap")
    step = _SIZE // lattice
    fine = cv2.resize(values, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(fine, (0, 0), 0.8)[2 * step:-2 * step, 2 * step:-2 * step]
    return np.asarray(soft / soft.std(), dtype=np.float32)
