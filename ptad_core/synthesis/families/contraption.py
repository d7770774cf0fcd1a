"""Anything: bodies of any form on bodies of any form, alone, in rows, in rings or mirrored, of any proportions.

Wider than :mod:`composite`, whose pieces are machine parts on a block, plate, frame or drum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptad_core.errors import MeshError
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.families.builder import Builder, chance, count
from ptad_core.synthesis.families.mounting import SIZE_MM, mounted_on
from ptad_core.synthesis.families.pieces import draw_piece
from ptad_core.synthesis.shapes import Solid, union
from ptad_core.types import FloatArray

LEAST, MOST = 8, 18
"""Components besides the body."""
TOO_FINE = 9000
"""Triangles from which a component is drawn again: it would slow everything down."""


def contraption(rng: np.random.Generator) -> Assembly:
    """Draw a body of about 100 mm that carries up to 18 components."""
    while (drawn := _drawn(rng)) is None:
        pass  # a body without room for them
    return drawn


def _drawn(rng: np.random.Generator) -> Assembly | None:
    b = Builder("contraption")
    x, y, z = SIZE_MM * np.exp(rng.uniform(np.log([0.5, 0.3, 0.1]), np.log([1.8, 1.2, 1.1])))
    body = _piece(rng, float(x), float(y), float(z))
    b.add("body", body, sound=True)
    mounted: list[tuple[str, Solid]] = [("body", body)]
    wanted, ground = count(rng, LEAST, MOST), float(body.vertices[:, 2].min())
    low, high = np.exp(np.sort(rng.uniform(np.log(0.12), np.log(0.9), 2)))  # of one size, or of many
    for _ in range(6 * wanted):
        if len(mounted) > wanted:
            break
        on, carrier = mounted[0] if chance(rng, 0.6) else mounted[int(rng.integers(len(mounted)))]
        room = float(np.clip(np.sort(carrier.extent)[1], 0.2 * SIZE_MM, SIZE_MM))
        w, d, h = (max(5.0, float(k)) for k in room * np.exp(rng.uniform(np.log(low), np.log(high + 0.05), 3)))
        piece = _piece(rng, w, d, h)
        for placed in _arranged(carrier, piece, rng):
            if len(mounted) <= MOST and placed.vertices[:, 2].min() > ground - 0.3 * SIZE_MM:
                name = f"piece_{len(mounted)}"
                b.add(name, placed, on=on)
                mounted.append((name, placed))
    return b.assembly() if len(mounted) > LEAST else None


def _piece(rng: np.random.Generator, w: float, d: float, h: float) -> Solid:
    for _ in range(20):
        try:
            piece = draw_piece(rng, w, d, h)
        except MeshError:  # an outline that crosses itself
            continue
        if len(piece.faces) < TOO_FINE:
            break
    return piece


def _arranged(carrier: Solid, piece: Solid, rng: np.random.Generator) -> list[Solid]:
    """Set a piece onto a carrier: once, mirrored to the other side, or in a row, mostly as components of their own.

    What hangs in the air where the copy lands is left out.
    """
    first = mounted_on(carrier, piece, rng)
    if first is None:
        return []
    style = rng.random()
    if style < 0.55:
        return [first]
    if style < 0.8:
        axis = int(rng.integers(2))
        mirror = np.ones(3)
        mirror[axis] = -1.0
        twin = Solid((first.vertices - carrier.centre) * mirror + carrier.centre, first.faces[:, ::-1])
        apart = abs(float(twin.centre[axis] - first.centre[axis])) > 0.6 * float(first.extent[axis])
        return [first, twin] if apart and _touches(carrier, twin) else [first]
    axis, n = int(rng.integers(3)), count(rng, 2, 4)
    step = float(first.extent[axis]) * rng.uniform(1.15, 2.0) * float(rng.choice([-1, 1]))
    copies = [first]
    for k in range(1, n):
        shift = np.zeros(3)
        shift[axis] = k * step
        copy = Solid(first.vertices + shift, first.faces)
        if not _touches(carrier, copy):
            break
        copies.append(copy)
    return [union(*copies)] if chance(rng, 0.25) else copies


def _touches(carrier: Solid, piece: Solid) -> bool:
    """Tell whether a piece reaches into its carrier, from points on its surface."""
    corners = piece.vertices[piece.faces]
    points = np.concatenate([piece.vertices, corners.mean(axis=1)])[:: max(1, len(piece.faces) // 100)]
    return bool(_inside(carrier, points).any())


def _inside(solid: Solid, points: FloatArray) -> NDArray[np.bool_]:
    """Tell which (n, 3) points lie in a solid: around them its faces fill all directions (the solid angle)."""
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    turns = np.zeros(len(points))
    for k, p in enumerate(points):
        u, v, w = a - p, b - p, c - p
        lengths = [np.linalg.norm(q, axis=1) for q in (u, v, w)]
        volume = np.einsum("ij,ij->i", u, np.cross(v, w))
        rest = (lengths[0] * lengths[1] * lengths[2] + np.einsum("ij,ij->i", u, v) * lengths[2]
                + np.einsum("ij,ij->i", v, w) * lengths[0] + np.einsum("ij,ij->i", w, u) * lengths[1])
        turns[k] = np.arctan2(volume, rest).sum() / (2 * np.pi)
    return np.abs(turns) > 0.5
