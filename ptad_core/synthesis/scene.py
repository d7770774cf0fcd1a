"""A picture of an assembly on a table: rays find the surfaces, lamps light them, a sensor takes them up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.frames import invert, transform_points
from ptad_core.rendering.exact import RayMesh
from ptad_core.synthesis.appearance import Appearance, draw_appearance, draw_materials
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.lighting import UP, Surface, shade, shade_table
from ptad_core.synthesis.sensor import expose
from ptad_core.synthesis.smooth import corner_normals
from ptad_core.synthesis.table import Table
from ptad_core.synthesis.textures import albedo
from ptad_core.types import ColorImage, FloatArray, MaskImage

__all__ = ["Appearance", "Picture", "Quality", "Scene", "draw_appearance", "draw_materials"]

Labels = NDArray[np.int64]
Array = NDArray[np.float32]
"""What is held per ray is held in single precision."""

Pixels = NDArray[np.int64] | NDArray[np.float64]

TABLE, VOID = -1, -2
PHASES = 16
"""Neighbouring pixels in blocks of 4 x 4 use different shadow rays; their average is smooth."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How many rays are spent on the light at each point, and, along each side, on pixels that show an edge."""

    shadow_rays: int = 2
    ambient_rays: int = 4
    subpixels: int = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what is known of it.

    Attributes:
        image_bgr: (H, W, 3) uint8.
        mask: (H, W) bool, true where the pixel's centre shows the assembly.
    """

    image_bgr: ColorImage
    mask: MaskImage


@dataclass(frozen=True, slots=True)
class _Hits:
    """What n rays meet: labels (n,), and (n, 3) rays, points and unit normals in the cell frame."""

    label: Labels
    ray: Array
    point: Array
    flat_normal: Array
    normal: Array


class Scene:
    """An assembly (or none) at a place in the cell, whose table, if it has one, is z = 0; pictures from anywhere."""

    def __init__(self, assembly: Assembly | None, T_cell_part: FloatArray, diameter_m: float, appearance: Appearance,
                 quality: Quality | None = None) -> None:
        """Take the assembly as it is, with the diameter of the intact one (the measure of textures)."""
        self._look = appearance
        self._quality = quality or Quality()
        self._diameter = diameter_m
        self._T_part_cell = invert(T_cell_part)
        self._mesh: RayMesh | None = None
        self._names: list[str] = []
        if assembly is not None:
            solid = assembly.solid.transformed(T_cell_part)
            self._mesh = RayMesh(solid.vertices, solid.faces)
            self._names = [c.name for c in assembly.components]
            self._component = assembly.component_of_face
            self._corner_normals = corner_normals(solid).astype(np.float32)
            a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
            flat = np.cross(b - a, c - a)
            flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
            self._flat_normals = flat.astype(np.float32)

    def picture(self, camera: Camera, T_camera_cell: FloatArray, rng: np.random.Generator) -> Picture:
        """Take a picture with a camera without lens distortion; ``rng`` makes the sensor's noise."""
        T_cell_camera = invert(T_camera_cell)
        shape = (camera.height, camera.width)
        v, u = (k.ravel() for k in np.mgrid[0:camera.height, 0:camera.width])
        hits = self._cast(T_cell_camera[:3, 3], _rays(camera, T_cell_camera, u, v))
        shares = self._visibility(hits, u % 4 + 4 * (v % 4), self._quality)
        changing = cv2.dilate((shares.min(axis=1) < 1).reshape(shape).astype(np.uint8), np.ones((5, 5), np.uint8))
        window = _bounds((changing > 0) | (hits.label >= 0).reshape(shape))
        label = hits.label.reshape(shape)[window]
        normal, flat, point, share = (
            a.reshape(*shape, -1)[window] for a in (hits.normal, hits.flat_normal, hits.point, shares))
        share[...] = _smooth(share, label, normal)
        light = self._shade(hits, shares, T_cell_camera)
        edge = np.zeros(shape, bool)
        edge[window] = _edges(label, flat, point, 0.02 * self._diameter)
        todo = np.flatnonzero(edge)
        if len(todo):
            light[todo] = self._supersampled(camera, T_cell_camera, u[todo], v[todo])
        image = expose(light.reshape(*shape, 3), self._look.sensor, rng)
        return Picture(image, (hits.label >= 0).reshape(shape))

    def _supersampled(self, camera: Camera, T_cell_camera: FloatArray, u: Labels, v: Labels) -> Array:
        """Return the (n, 3) light of pixels whose area shows more than one surface."""
        n = self._quality.subpixels
        steps = (np.arange(n) + 0.5) / n - 0.5
        dv, du = (d.ravel() for d in np.meshgrid(steps, steps, indexing="ij"))
        rays = _rays(camera, T_cell_camera, (u[:, None] + du).ravel(), (v[:, None] + dv).ravel())
        hits = self._cast(T_cell_camera[:3, 3], rays)
        few = Quality(min(self._quality.shadow_rays, 1), min(self._quality.ambient_rays, 1), n)  # they are averaged
        light = self._shade(hits, self._visibility(hits, np.arange(len(rays)) % PHASES, few), T_cell_camera)
        return np.asarray(light.reshape(len(u), n ** 2, 3).mean(axis=1))

    def _cast(self, origin: FloatArray, rays: Array) -> _Hits:
        n = len(rays)
        label, t = np.full(n, VOID), np.full(n, np.inf, np.float32)
        normal = np.zeros((n, 3), np.float32)
        normal[:, 2] = 1.0
        flat = normal.copy()
        if self._look.table is not None:
            down = rays[:, 2] < -1e-6
            t[down] = -origin[2] / rays[down, 2]
            label[down] = TABLE
        if self._mesh is not None:
            found = self._mesh.first_hits(origin, rays)
            near = np.flatnonzero(found.t < t)
            face, u, v = found.face[near], found.u[near, None], found.v[near, None]
            label[near], t[near] = self._component[face], found.t[near]
            corners = self._corner_normals[face]
            bent = corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v
            normal[near] = bent / np.linalg.norm(bent, axis=1, keepdims=True)
            flat[near] = self._flat_normals[face]
            inside = near[np.einsum("ij,ij->i", flat[near], rays[near]) > 0]  # of an open mesh: lit from this side
            normal[inside] *= -1
            flat[inside] *= -1
        t[label == VOID] = 0.0
        return _Hits(label, rays, origin.astype(np.float32) + t[:, None] * rays, flat, normal)

    def _visibility(self, hits: _Hits, phase: Labels, quality: Quality) -> Array:
        """Return what each point sees: (n, lamps + 1) shares of the lamps and, last, of the surroundings."""
        lamps = self._look.lighting.lamps
        shares = np.ones((len(hits.label), len(lamps) + 1), np.float32)
        if self._mesh is None:
            return shares
        on_part, table = np.flatnonzero(hits.label >= 0), np.flatnonzero(hits.label == TABLE)
        for k, lamp in enumerate(lamps):
            towards = lamp.direction.astype(np.float32)
            facing = hits.flat_normal[on_part] @ towards > 0
            shares[on_part[~facing], k] = 0.0
            todo = np.concatenate([on_part[facing], table[self._in_reach(hits.point[table], towards, lamp.softness)]])
            around = _disc(quality.shadow_rays, phase[todo]) * np.float32(lamp.softness)
            side, other = _axes_across(towards[None])
            shares[todo, k] = self._seen(hits, todo, towards + around[..., :1] * side + around[..., 1:] * other)
        if quality.ambient_rays:
            todo = np.concatenate([on_part, table[self._in_reach(hits.point[table], UP, 1.0)]])
            around = _disc(quality.ambient_rays, phase[todo])
            normal = hits.flat_normal[todo]
            side, other = _axes_across(normal)
            height = np.sqrt(np.clip(1 - (around ** 2).sum(axis=-1, keepdims=True), 0.01, None))
            shares[todo, -1] = self._seen(
                hits, todo, height * normal + around[..., :1] * side + around[..., 1:] * other)
        return shares

    def _seen(self, hits: _Hits, index: Labels, rays: Array) -> Array:
        """Return the (n,) share of (k, n, 3) rays that get away from the hits chosen by an (n,) index."""
        assert self._mesh is not None
        start = hits.point[index] + hits.flat_normal[index] * np.float32(3e-4 * self._diameter)
        blocked = np.zeros(len(index), np.float32)
        for towards in rays:
            blocked += self._mesh.occluded(start, np.ascontiguousarray(towards))
        return np.asarray(1 - blocked / len(rays))

    def _in_reach(self, points: Array, direction: Array, softness: float) -> NDArray[np.bool_]:
        """Tell which (n, 3) points of the table the assembly may keep the light of a direction from."""
        assert self._mesh is not None
        low, high = self._mesh.lower, self._mesh.upper
        slope = direction[:2] / direction[2]
        reach = high[2] * (softness / direction[2] + 0.05)
        near = np.minimum(low[:2], low[:2] - slope * high[2]) - reach
        far = np.maximum(high[:2], high[:2] - slope * high[2]) + reach
        x, y = points[:, 0], points[:, 1]
        return np.asarray((x > near[0]) & (x < far[0]) & (y > near[1]) & (y < far[1]))

    def _shade(self, hits: _Hits, shares: Array, T_cell_camera: FloatArray) -> Array:
        R = T_cell_camera[:3, :3].astype(np.float32)
        light = np.empty((len(hits.label), 3), np.float32)
        table, part = np.flatnonzero(hits.label < 0), np.flatnonzero(hits.label >= 0)
        if self._look.background is not None:
            void = np.flatnonzero(hits.label == VOID)
            light[void] = Table.of(self._look.background, 150.0).colour_at(hits.ray[void] @ R[:, :2])
            table = np.flatnonzero(hits.label == TABLE)
        if self._look.table is not None:
            colour = self._look.table.colour_at(hits.point[table, :2] / np.float32(self._diameter))
            light[table] = shade_table(colour, shares[table], self._look.lighting)
        label = hits.label[part]
        albedos = np.empty((len(part), 3), np.float32)
        materials = [self._look.materials[name] for name in self._names]
        points = transform_points(self._T_part_cell, hits.point[part].astype(np.float64)) / self._diameter
        same = np.array([next(k for k, other in enumerate(materials) if other is m) for m in materials], np.int64)
        for index in np.unique(same[label]) if len(part) else ():
            here = np.flatnonzero(same[label] == index)
            albedos[here] = albedo(materials[index], points[here], self._look.noise)
        specular, gloss, metallic = np.array(
            [(m.specular, m.gloss, m.metallic) for m in materials], np.float32).reshape(-1, 3)[label].T
        view = -hits.ray[part] / np.linalg.norm(hits.ray[part], axis=1, keepdims=True)
        light[part] = shade(Surface(hits.normal[part], view, albedos, specular, gloss, metallic, shares[part, :-1],
                                    shares[part, -1]), self._look.lighting)
        return light


def _rays(camera: Camera, T_cell_camera: FloatArray, u: Pixels, v: Pixels) -> Array:
    """Return (n, 3) rays through (n,) pixels, of z-depth 1, in the cell frame."""
    R = T_cell_camera[:3, :3].astype(np.float32)
    x, y = ((u - camera.cx) / camera.fx).astype(np.float32), ((v - camera.cy) / camera.fy).astype(np.float32)
    return np.asarray(x[:, None] * R[:, 0] + y[:, None] * R[:, 1] + R[:, 2])


def _disc(rays: int, phase: Labels) -> Array:
    """Return (rays, n, 2) points of the unit disc; all phases together cover it evenly (a sunflower)."""
    index = np.arange(rays)[:, None] * PHASES + (np.arange(PHASES) * 7) % PHASES
    radius, angle = np.sqrt((index + 0.5) / (rays * PHASES)), index * 2.399963
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).astype(np.float32)
    return np.asarray(points[:, phase])


def _axes_across(direction: Array) -> tuple[Array, Array]:
    """Return two unit vectors (n, 3) at right angles to (n, 3) unit directions and to each other."""
    x, y, z = direction.T
    sign = np.where(z < 0, np.float32(-1), np.float32(1))
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1), np.stack([b, sign + y * y * a, -y], axis=1)


def _bounds(mask: MaskImage) -> tuple[slice, slice]:
    """Return the rows and columns that enclose a mask."""
    if not mask.any():
        return slice(0, 0), slice(0, 0)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _smooth(shares: Array, label: Labels, normal: Array) -> Array:
    """Average (H, W, k) shares over 4 x 4 pixels of the same surface, which all phases meet in once."""
    around = ((2, 1), (2, 1))
    wide = np.pad(shares, (*around, (0, 0)), mode="edge") if shares.size else shares
    wide_label = np.pad(label, around, constant_values=VOID - 1)
    wide_normal = np.pad(normal, (*around, (0, 0)))
    height, width = label.shape
    total, weight = np.zeros_like(shares), np.zeros((height, width, 1), np.float32)
    for dy in range(4):
        for dx in range(4):
            part = slice(dy, dy + height), slice(dx, dx + width)
            same = (wide_label[part] == label) & (np.einsum("ijk,ijk->ij", wide_normal[part], normal) > 0.9)
            total += wide[part] * same[..., None]
            weight += same[..., None]
    return np.asarray(total / weight)


def _edges(label: Labels, normal: Array, point: Array, step_m: float) -> MaskImage:
    """Mark the pixels (H, W) beside another surface, a fold or a step in depth."""
    edge = np.zeros(label.shape, bool)
    for a, b in (((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
                 ((slice(None), slice(None, -1)), (slice(None), slice(1, None)))):
        differs = label[a] != label[b]
        differs |= np.einsum("ijk,ijk->ij", normal[a], normal[b]) < 0.9
        rise = np.abs(np.einsum("ijk,ijk->ij", point[b] - point[a], normal[a]))
        differs |= (label[a] >= 0) & (rise > step_m)
        edge[a] |= differs
        edge[b] |= differs
    return edge
