"""Views of an object, and what happens to its mask: intact, five defects, noise, a missing region."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.pose.objects import BenchObject
from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform, rotation_exp, transform_points
from ptad_core.outline import find_outline
from ptad_core.reference.views import look_at, ring_directions
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.segmentation.mask import border_contact
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.defects import DefectKind, Visibility, draw_visible_defect
from ptad_core.types import ColorImage, FloatArray, MaskImage

SIZE_PX = 256
CAMERA = Camera(355.0, 355.0, 127.5, 127.5, SIZE_PX, SIZE_PX)
FILL = (0.5, 0.8)
RING_JITTER_DEG = 10.0
RING_ROLL_DEG = 5.0
RING_ELEVATION_DEG = 20.0
BORDER_PX = 5
HOLES_SHARE = 0.05
GONE_SHARE = 0.3
VISIBILITY = Visibility(min_pixels=60, min_outline_pixels=40)
"""A defect that the outline does not show cannot disturb a pose that is found from the outline."""


class Condition(StrEnum):
    """What was done to the object or to its mask."""

    INTACT = "intact"
    MISSING = DefectKind.MISSING.value
    POSITIONAL = DefectKind.POSITIONAL.value
    ROTATIONAL = DefectKind.ROTATIONAL.value
    BROKEN = DefectKind.BROKEN.value
    SWAPPED = DefectKind.SWAPPED.value
    NOISE = "mask noise"
    GONE = "30 % gone"


DEFECTS = (Condition.MISSING, Condition.POSITIONAL, Condition.ROTATIONAL, Condition.BROKEN, Condition.SWAPPED)


@dataclass(frozen=True, slots=True)
class Scene:
    """One query: (H, W) foreground, (H, W, 3) picture, and the pose that made them."""

    foreground: MaskImage
    image_bgr: ColorImage
    T_camera_part: FloatArray


def ring_view(item: BenchObject, rng: np.random.Generator) -> FloatArray:
    """Draw a pose off the candidate positions of the paper's ring: (4, 4) T_camera_part."""
    first = ring_directions(20)[int(rng.integers(20))]
    azimuth = np.arctan2(first[1], first[0]) + np.radians(rng.uniform(-RING_JITTER_DEG, RING_JITTER_DEG))
    elevation = np.radians(RING_ELEVATION_DEG + rng.uniform(-RING_JITTER_DEG, RING_JITTER_DEG))
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    roll = rotation_exp(np.array([0, 0, np.radians(rng.uniform(-RING_ROLL_DEG, RING_ROLL_DEG))]))
    return placed(item, roll @ look_at(direction), rng)


def sphere_view(item: BenchObject, rng: np.random.Generator) -> FloatArray:
    """Draw any orientation: (4, 4) T_camera_part."""
    return placed(item, np.asarray(Rotation.random(random_state=rng).as_matrix()), rng)


def placed(item: BenchObject, R: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Put the object, seen in the direction that R shows along the axis, somewhere in the image, 50-80 % of it."""
    vertices, centre = item.mesh.vertices, item.mesh.center_m
    share = rng.uniform(*FILL)
    size = share * SIZE_PX
    room = (SIZE_PX - size) / 2 - 2 * BORDER_PX
    target = np.array([CAMERA.cx, CAMERA.cy]) + rng.uniform(-room, room, 2)
    depth = CAMERA.fx * item.mesh.diameter_m / size
    pixel = target.copy()
    for _ in range(8):
        ray = np.array([(pixel[0] - CAMERA.cx) / CAMERA.fx, (pixel[1] - CAMERA.cy) / CAMERA.fy, 1.0])
        axis = np.cross([0.0, 0.0, 1.0], ray)
        sine = np.linalg.norm(axis) / np.linalg.norm(ray)
        R_seen = rotation_exp(axis / max(np.linalg.norm(axis), 1e-12) * np.arcsin(sine)) @ R
        T = make_transform(R_seen, depth * ray - R_seen @ centre)
        pixels = CAMERA.project(transform_points(T, vertices))
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        depth *= float((high - low).max()) / size
        pixel += target - (low + high) / 2
    return T


def make_scene(item: BenchObject, T: FloatArray, condition: Condition, rng: np.random.Generator) -> Scene | None:
    """Render the object at a pose under a condition; None where no such defect shows in this view."""
    if condition in DEFECTS:
        drawn = _defective(item, T, DefectKind(condition.value), rng)
        if drawn is None:
            return None
        assembly, renderer = drawn, ExactRenderer(drawn.solid.vertices, drawn.solid.faces)
    else:
        assembly, renderer = item.assembly, item.renderer
    rendering = renderer.render(CAMERA, T)
    mask = rendering.mask
    image = _picture(assembly, rendering.normals, rendering.face_id, rng)
    if condition is Condition.NOISE:
        mask = noisy(mask, rng)
    elif condition is Condition.GONE:
        gone = _lost_region(mask, rng)
        image[gone] = _noise_of(np.full((int(gone.sum()), 3), 128.0), rng)
        mask = mask & ~gone
    return Scene(mask, image, T)


def _defective(item: BenchObject, T: FloatArray, kind: DefectKind, rng: np.random.Generator) -> Assembly | None:
    for _ in range(4):
        try:
            assembly, _, _ = draw_visible_defect(item.assembly, kind, [(CAMERA, T)], rng, VISIBILITY, tries=40)
        except MeshError:
            return None
        mask = ExactRenderer(assembly.solid.vertices, assembly.solid.faces).render(CAMERA, T).mask
        if not border_contact(mask, 1):
            return assembly
    return None


def noisy(mask: MaskImage, rng: np.random.Generator) -> MaskImage:
    """Disturb a mask: its outline by 1-2 px (one sigma, over about 4 px), holes of 5 % of the area, 30 specks."""
    solid = mask.astype(np.uint8)
    signed = cv2.distanceTransform(solid, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    ripple = cv2.GaussianBlur(rng.normal(size=mask.shape), (0, 0), 2.0)
    out = (signed - 0.5 * np.sign(signed) + rng.uniform(1.0, 2.0) * ripple / ripple.std() > 0).astype(np.uint8)
    area = int(out.sum())
    rows, cols = np.nonzero(out)
    while out.sum() > (1 - HOLES_SHARE) * area:
        k = int(rng.integers(len(rows)))
        cv2.circle(out, (int(cols[k]), int(rows[k])), int(rng.integers(2, 7)), 0, -1)
    for x, y in rng.integers(0, SIZE_PX, (30, 2)):
        cv2.circle(out, (int(x), int(y)), int(rng.integers(0, 3)), 1, -1)
    return out > 0


def _lost_region(mask: MaskImage, rng: np.random.Generator) -> MaskImage:
    """Region that covers 30 % of a mask: one side of a straight line, or a disk about a point of the outline."""
    rows, cols = np.nonzero(mask)
    y, x = np.mgrid[0:SIZE_PX, 0:SIZE_PX].astype(np.float64)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        measure = np.cos(angle) * x + np.sin(angle) * y
    else:
        outline = find_outline(mask.astype(np.float32)).points
        px, py = outline[int(rng.integers(len(outline)))]
        measure = np.hypot(x - px, y - py)
    return np.asarray(measure <= np.quantile(measure[rows, cols], GONE_SHARE))


def _picture(assembly: Assembly, normals: FloatArray, face_id: FloatArray, rng: np.random.Generator) -> ColorImage:
    """Matt components of any colour under one lamp and the sky, before a plain wall."""
    light = rng.normal(size=3) * 0.6 + [0, -0.5, -1.0]
    light /= np.linalg.norm(light)
    colours = rng.uniform(0.25, 1.0, (len(assembly.components), 3))
    image = np.full((SIZE_PX, SIZE_PX, 3), rng.uniform(60, 200))
    on = face_id >= 0
    shade = 0.35 + 0.65 * np.clip(normals[on] @ light, 0, 1)
    image[on] = 235 * colours[assembly.component_of_face[face_id[on]]] * shade[:, None]
    return _noise_of(image, rng)


def _noise_of(image: FloatArray, rng: np.random.Generator) -> ColorImage:
    return np.clip(image + rng.normal(0, 3.0, image.shape), 0, 255).astype(np.uint8)
