"""Kinds of defects, drawn with their size, and where they can be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform
from ptad_core.rendering.exact import ExactRenderer, ExactRendering
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.bump import bump
from ptad_core.synthesis.cut import cut
from ptad_core.synthesis.shapes import Solid, ball, box, cylinder
from ptad_core.types import Box, FloatArray, MaskImage


class DefectKind(StrEnum):
    """What was done to a component."""

    MISSING = "missing"
    POSITIONAL = "positional"
    ROTATIONAL = "rotational"
    BROKEN = "broken"
    SWAPPED = "swapped"
    BULGE = "bulge"
    DENT = "dent"


FIVE_KINDS = (DefectKind.MISSING, DefectKind.POSITIONAL, DefectKind.ROTATIONAL, DefectKind.BROKEN, DefectKind.SWAPPED)
"""The kinds of the paper; bulge and dent came with its authors' later pipeline."""


@dataclass(frozen=True, slots=True)
class Defect:
    """What was done to an assembly.

    Attributes:
        kind: what was done.
        component: the component it was done to; what that one carries went with it.
        size: how strong it is: the share of volume gone (missing and broken: of the component), the way in metres
            (positional), the angle in degrees (rotational), the relative change of extent (swapped), the height or
            depth in metres (bulge and dent).
    """

    kind: DefectKind
    component: str
    size: float


@dataclass(frozen=True, slots=True)
class DefectSizes:
    """Ranges that defects are drawn from; lengths relative to the assembly's diameter."""

    shift: tuple[float, float] = (0.06, 0.14)
    turn_deg: tuple[float, float] = (20.0, 70.0)
    broken_share: tuple[float, float] = (0.3, 0.7)
    swap_scale: tuple[float, float] = (0.55, 1.5)
    bump_radius: tuple[float, float] = (0.06, 0.15)
    bump_height: tuple[float, float] = (0.35, 0.6)
    """Of bulge and dent, relative to the radius."""


def draw_defect(assembly: Assembly, kind: DefectKind, rng: np.random.Generator,
                sizes: DefectSizes | None = None, spared: Collection[str] = (),
                seen: NDArray[np.int32] | None = None) -> tuple[Assembly, Defect] | None:
    """Draw a component that is not ``spared`` and give it a defect; None where this draw makes no sense for it.

    A bulge or a dent is put on one of the faces of ``assembly.solid`` that are in ``seen``, more often on those that
    are there often; on any, where nothing is said.
    """
    sizes = sizes or DefectSizes()
    if kind in (DefectKind.BULGE, DefectKind.DENT):
        return _bumped(assembly, kind, rng, sizes, spared, seen)
    candidates = [c.name for c in assembly.components if not c.sound and c.name not in spared]
    if kind in (DefectKind.BROKEN, DefectKind.SWAPPED):  # what is carried would be left hanging in the air
        candidates = [name for name in candidates if len(assembly.carried_by(name)) == 1]
    if not candidates:
        return None
    name = candidates[int(rng.integers(len(candidates)))]
    solid = assembly[name].solid
    if kind is DefectKind.MISSING:
        return assembly.without(assembly.carried_by(name)), Defect(kind, name, 1.0)
    if kind is DefectKind.POSITIONAL:
        way = float(rng.uniform(*sizes.shift)) * assembly.diameter_m
        T = make_transform(np.eye(3), _shift_direction(assembly, name, rng) * way)
        return _moved(assembly, name, T), Defect(kind, name, way)
    if kind is DefectKind.ROTATIONAL:
        degrees = float(rng.uniform(*sizes.turn_deg))
        R = Rotation.from_rotvec(_turn_axis(assembly, name, rng) * np.radians(degrees)).as_matrix()
        return _moved(assembly, name, make_transform(R, solid.centre - R @ solid.centre)), Defect(kind, name, degrees)
    return (_broken if kind is DefectKind.BROKEN else _swapped)(assembly, name, rng, sizes)


def _moved(assembly: Assembly, name: str, T: FloatArray) -> Assembly:
    for moved in assembly.carried_by(name):
        assembly = assembly.with_solid(moved, assembly[moved].solid.transformed(T))
    return assembly


def _broken(assembly: Assembly, name: str, rng: np.random.Generator, sizes: DefectSizes,
            ) -> tuple[Assembly, Defect] | None:
    """Cut a component roughly across its longest axis; what is nearer to its carrier stays."""
    solid, carrier = assembly[name].solid, assembly[name].on
    normal = _direction(rng) * 0.5
    normal[int(np.argmax(solid.extent))] += rng.choice([-1.0, 1.0])
    normal /= np.linalg.norm(normal)
    if carrier and (assembly[carrier].solid.centre - solid.centre) @ normal > 0:
        normal = -normal
    height = solid.vertices @ normal
    share = float(rng.uniform(*sizes.broken_share))
    point = normal * (height.max() - share * np.ptp(height))
    try:
        piece = cut(solid, point, normal)
    except MeshError:
        return None
    gone = 1.0 - piece.volume / solid.volume
    return assembly.with_solid(name, piece), Defect(DefectKind.BROKEN, name, gone)


def _swapped(assembly: Assembly, name: str, rng: np.random.Generator, sizes: DefectSizes,
             ) -> tuple[Assembly, Defect] | None:
    """Put something foreign in a component's place: another component, or a plain body, of another size."""
    solid = assembly[name].solid
    others = [c.solid for c in assembly.components if c.name != name and not c.sound]
    plain = [box(1, 1, 1), cylinder(0.5, 1), ball(0.5), cylinder(0.6, 1, segments=6)]
    foreign = others[int(rng.integers(len(others)))] if rng.random() < 0.5 else plain[int(rng.integers(len(plain)))]
    foreign = foreign.at(*-foreign.centre).turned("xyz"[int(rng.integers(3))], 90.0 * int(rng.integers(4)))
    scale = rng.uniform(*sizes.swap_scale, 3) * solid.extent / foreign.extent
    foreign = foreign.scaled(scale).at(*solid.centre)
    change = float(np.abs(np.log(foreign.extent / solid.extent)).max())
    return assembly.with_solid(name, foreign), Defect(DefectKind.SWAPPED, name, change)


def _bumped(assembly: Assembly, kind: DefectKind, rng: np.random.Generator, sizes: DefectSizes,
            spared: Collection[str], seen: NDArray[np.int32] | None) -> tuple[Assembly, Defect] | None:
    """Press a component's surface out or in, away from what is mounted on it."""
    if seen is None or len(seen) == 0:
        seen = np.arange(len(assembly.component_of_face), dtype=np.int32)
    face = int(seen[int(rng.integers(len(seen)))])
    component = assembly.components[int(assembly.component_of_face[face])]
    if component.name in spared:
        return None
    solid = component.solid
    corners = assembly.solid.vertices[assembly.solid.faces[face]]
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    if not normal.any():
        return None
    normal /= np.linalg.norm(normal)
    point = rng.dirichlet(np.ones(3)) @ corners
    radius = min(float(rng.uniform(*sizes.bump_radius)) * assembly.diameter_m, 0.6 * float(solid.extent.max()))
    height = float(rng.uniform(*sizes.bump_height)) * radius
    for other in assembly.components:
        if other.on == component.name:
            low, high = other.solid.vertices.min(axis=0), other.solid.vertices.max(axis=0)
            if np.linalg.norm(point - np.clip(point, low, high)) < 0.7 * radius:
                return None  # it would hang in the air, or sink in
    signed = height if kind is DefectKind.BULGE else -height
    return (assembly.with_solid(component.name, bump(solid, point, normal, radius, signed)),
            Defect(kind, component.name, height))


def _shift_direction(assembly: Assembly, name: str, rng: np.random.Generator) -> FloatArray:
    """Mostly along the face that the component is mounted on, now and then anywhere."""
    direction = _direction(rng)
    if rng.random() < 0.75:
        direction[_mounting_axis(assembly, name)] = 0.0
    return np.asarray(direction / np.linalg.norm(direction))


def _turn_axis(assembly: Assembly, name: str, rng: np.random.Generator) -> FloatArray:
    """Half of the time about the normal of the face that the component is mounted on."""
    if rng.random() < 0.5:
        return np.asarray(np.eye(3)[_mounting_axis(assembly, name)] * rng.choice([-1.0, 1.0]))
    return _direction(rng)


def _mounting_axis(assembly: Assembly, name: str) -> int:
    """The axis along which a component and its carrier touch: where their boxes overlap least."""
    component = assembly[name]
    if not component.on:
        return 2
    own, carrier = component.solid.vertices, assembly[component.on].solid.vertices
    overlap = np.minimum(own.max(axis=0), carrier.max(axis=0)) - np.maximum(own.min(axis=0), carrier.min(axis=0))
    return int(np.argmin(overlap))


def _direction(rng: np.random.Generator) -> FloatArray:
    d = rng.normal(size=3)
    return np.asarray(d / np.linalg.norm(d))


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a defective part looks different from the intact one at the same pose.

    Attributes:
        mask: (H, W) bool.
        outline_mask: (H, W) bool, the share of it where one has the part and the other the background.
        reach_px: how far the outline moved: the largest distance of a pixel in ``outline_mask`` from the silhouette
            that it is not part of.
        box_px: tight box of the mask, None where nothing differs.
    """

    mask: MaskImage
    outline_mask: MaskImage
    reach_px: float
    box_px: Box | None

    @property
    def pixels(self) -> int:
        return int(self.mask.sum())

    @property
    def outline_pixels(self) -> int:
        return int(self.outline_mask.sum())


def difference(intact: ExactRendering, defective: ExactRendering, depth_step_m: float) -> Difference:
    """Compare two renderings of the same camera: silhouettes, and depths that differ by more than a step."""
    outline = intact.mask != defective.mask
    both = intact.mask & defective.mask
    deeper = np.zeros_like(both)
    deeper[both] = np.abs(intact.depth[both] - defective.depth[both]) > depth_step_m
    mask = outline | deeper
    reach = max(_reach(intact.mask, defective.mask), _reach(defective.mask, intact.mask))
    if not mask.any():
        return Difference(mask, outline, reach, None)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box_px = Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))
    return Difference(mask, outline, reach, box_px)


def _reach(inside: MaskImage, other: MaskImage) -> float:
    """Return how far from a silhouette the pixels of another one lie, at most; in pixels."""
    away = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(away[inside].max(initial=0.0))


@dataclass(frozen=True, slots=True)
class Visibility:
    """How visible a defect must be in each picture of it."""

    min_pixels: int = 60
    min_outline_pixels: int = 0
    min_reach_px: float = 0.0
    depth_step: float = 0.01
    """Depth difference that counts as seen, relative to the assembly's diameter."""

    def shows(self, seen: Difference) -> bool:
        """Tell whether a defect is visible enough."""
        return (seen.pixels >= self.min_pixels and seen.outline_pixels >= self.min_outline_pixels
                and seen.reach_px >= self.min_reach_px)


def draw_visible_defect(assembly: Assembly, kind: DefectKind, views: list[tuple[Camera, FloatArray]],
                        rng: np.random.Generator, visibility: Visibility, sizes: DefectSizes | None = None,
                        spared: Collection[str] = (), tries: int = 200) -> tuple[Assembly, Defect, list[Difference]]:
    """Draw defects until one is visible in every view (camera, T_camera_part); return it with what differs there.

    Raises:
        MeshError: if ``tries`` draws bring none, as where a part has nothing visible to lose.
    """
    step = visibility.depth_step * assembly.diameter_m
    floor = float(assembly.solid.vertices[:, 2].min()) - 0.002 * assembly.diameter_m
    intact = list(_renderings(assembly.solid, views))
    in_view = [rendering.face_id[rendering.mask] for rendering in intact]
    shown = [{assembly.components[k].name for k in np.unique(assembly.component_of_face[ids])} for ids in in_view]
    for _ in range(tries):
        drawn = draw_defect(assembly, kind, rng, sizes, spared, in_view[0])
        if drawn is None:
            continue
        variant, defect = drawn
        if kind in (DefectKind.MISSING, DefectKind.BROKEN):  # what is hidden can be lost unseen: no need to look
            lost = assembly.carried_by(defect.component)
            if any(lost.isdisjoint(names) for names in shown):
                continue
        if variant.solid.vertices[:, 2].min() < floor:
            continue  # it would stick through the table
        seen = []
        for before, after in zip(intact, _renderings(variant.solid, views), strict=True):
            seen.append(difference(before, after, step))
            if not visibility.shows(seen[-1]):
                break
        else:
            return variant, defect, seen
    raise MeshError(f"expected a visible {kind.value} defect of a {assembly.family}, found none in {tries} draws")


def _renderings(solid: Solid, views: list[tuple[Camera, FloatArray]]) -> Iterator[ExactRendering]:
    renderer = ExactRenderer(solid.vertices, solid.faces)
    for camera, T_camera_part in views:
        yield renderer.render(camera, T_camera_part)
