"""Single pictures with truth from many shapes: what detectors are trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import invert, make_transform, transform_points
from ptad_core.synthesis.appearance import Look, before_backdrop, draw_appearance
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.defects import Defect, DefectKind, Difference, Visibility, draw_visible_defect
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.scene import Quality, Scene
from ptad_core.synthesis.viewpoints import around, rolled
from ptad_core.types import ColorImage, FloatArray, MaskImage

FAST = Quality(shadow_rays=1, ambient_rays=1, subpixels=2)

FOCAL = 1.39
"""Focal length of the cameras, relative to the picture's side: that of BrokenChairs-180K's queries."""
FILL = (0.5, 0.9)
"""Larger side of the part in the picture, relative to the picture's."""
ELEVATION_DEG = (-20.0, 85.0)
"""Spread evenly over this part of the sphere around the part."""
LEAST_ABOVE_TABLE_DEG = 8.0
"""From lower down a table is seen edge on or from below: the part hangs free there."""
INTACT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture of a part, what the part should be, and what is wrong with it.

    Attributes:
        reference: the intact assembly, as its CAD has it.
        variant: the assembly in the picture; the reference itself where nothing is wrong.
        camera: of the picture, without lens distortion.
        T_camera_part: (4, 4) true pose.
        image_bgr: (H, W, 3).
        mask: (H, W) bool, true where the picture shows the part.
        defect: None for an intact part.
        difference: where the defect is seen; None for an intact part.
    """

    reference: Assembly
    variant: Assembly
    camera: Camera
    T_camera_part: FloatArray
    image_bgr: ColorImage
    mask: MaskImage
    defect: Defect | None
    difference: Difference | None


def draw_view(reference: Assembly, camera: Camera, rng: np.random.Generator,
              elevation_deg: tuple[float, float] = ELEVATION_DEG) -> tuple[FloatArray, float]:
    """Draw a camera around a part, rolled by any angle, so far away that the part fills the picture more or less.

    Returns:
        (4, 4) T_camera_part and the elevation in degrees that the part is seen from; negative ones are from below.
    """
    low, high = np.sin(np.radians(elevation_deg))
    elevation = float(np.arcsin(rng.uniform(low, high)))
    azimuth, roll = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    target = reference.solid.centre + rng.uniform(-0.05, 0.05, 3) * reference.diameter_m
    wanted = rng.uniform(*FILL) * min(camera.width, camera.height)
    distance = 1.7 * reference.diameter_m
    T = rolled(around(target, distance, azimuth, elevation), roll)
    for _ in range(4):
        pixels = camera.project(transform_points(T, reference.solid.vertices))
        wide = 2 * float(np.abs(pixels - [camera.cx, camera.cy]).max())  # nothing may leave the picture
        nearer = distance - max(distance * wide / wanted, 0.75 * reference.diameter_m)
        distance -= nearer
        T[2, 3] -= nearer
    return T, float(np.degrees(elevation))


def draw_sample(reference: Assembly, kind: DefectKind | None, rng: np.random.Generator, size_px: int = 256,
                visibility: Visibility | None = None, quality: Quality = FAST, look: Look = Look.TRAIN,
                elevation_deg: tuple[float, float] = ELEVATION_DEG, backdrop: bool = False) -> Sample:
    """Draw a view, a defect of a kind (None: intact), an appearance, and take the picture.

    Raises:
        MeshError: if no visible defect of this kind is found in this view.
    """
    camera = Camera(FOCAL * size_px, FOCAL * size_px, (size_px - 1) / 2, (size_px - 1) / 2, size_px, size_px)
    T_camera_part, seen_from_deg = draw_view(reference, camera, rng, elevation_deg)
    variant, defect, difference = reference, None, None
    if kind is not None:
        visibility = visibility or Visibility(min_pixels=max(12, round(60 * (size_px / 256) ** 2)))
        variant, defect, (difference,) = draw_visible_defect(reference, kind, [(camera, T_camera_part)], rng,
                                                             visibility, tries=15)
        pixels = camera.project(transform_points(T_camera_part, variant.solid.vertices))
        if pixels.min() < 1 or pixels.max() > size_px - 2:
            raise MeshError("expected a defective part that stays in the picture, got one that leaves it")
    standing = None if seen_from_deg > LEAST_ABOVE_TABLE_DEG else False
    T_cell_part = make_transform(np.eye(3), np.array([0.0, 0.0, -reference.solid.vertices[:, 2].min()]))
    appearance = draw_appearance(rng, reference, look, table=standing)
    if backdrop:
        appearance = before_backdrop(appearance)
    scene = Scene(variant, T_cell_part, reference.diameter_m, appearance, quality)
    picture = scene.picture(camera, T_camera_part @ invert(T_cell_part), rng)
    return Sample(reference, variant, camera, T_camera_part, picture.image_bgr, picture.mask, defect, difference)


@dataclass(frozen=True)
class Samples:
    """A set of samples that are made when they are asked for, half of them intact.

    Each has its own generator, seeded by the set's seed and its index: processes that share the work make the same
    samples, however they share it. Each shape is seen ``pictures_per_shape`` times, in samples that follow each other.

    Attributes:
        count: how many.
        seed: everything random comes from it.
        families: names of the families whose shapes take turns.
        parts: assemblies that take turns with them, such as a user's CAD.
        size_px: side of the pictures.
        look: what appearances are drawn from.
        pictures_per_shape: how often a shape is seen.
        elevation_deg: range that parts are seen from.
        backdrop: whether parts hang before a plain backdrop that sets them off, so that they can be segmented.
    """

    count: int
    seed: int
    families: tuple[str, ...] = tuple(FAMILIES)
    parts: tuple[Assembly, ...] = ()
    size_px: int = 256
    look: Look = Look.TRAIN
    pictures_per_shape: int = 4
    elevation_deg: tuple[float, float] = ELEVATION_DEG
    backdrop: bool = False

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self.count))

    def shape_of(self, index: int) -> int:
        """Return the number of the shape that a sample shows."""
        return index // self.pictures_per_shape

    def reference(self, shape: int) -> Assembly:
        """Return the intact assembly of a shape."""
        kinds = len(self.families) + len(self.parts)
        turn = shape % kinds
        if turn < len(self.families):
            return _drawn(self.families[turn], self.seed, shape)
        return self.parts[turn - len(self.families)]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index below {self.count}, got {index}")
        rng = np.random.default_rng([self.seed, 1, index])
        reference = self.reference(self.shape_of(index))
        draw = partial(draw_sample, reference, rng=rng, size_px=self.size_px, look=self.look,
                       elevation_deg=self.elevation_deg, backdrop=self.backdrop)
        if rng.random() < INTACT_SHARE:
            return draw(None)
        kinds = rng.permutation(list(DefectKind))
        for attempt in range(4 * len(kinds)):  # there are views that hide all that may break
            try:
                return draw(DefectKind(kinds[attempt // 4]))
            except MeshError:
                continue
        raise MeshError(f"expected a {reference.family} that can show a defect, found none")


@lru_cache(maxsize=8)
def _drawn(family: str, seed: int, shape: int) -> Assembly:
    return FAMILIES[family](np.random.default_rng([seed, 0, shape]))


def samples(count: int, seed: int, families: Sequence[str] = tuple(FAMILIES), size_px: int = 256,
            pictures_per_shape: int = 4, look: Look = Look.TRAIN) -> Iterator[Sample]:
    """Yield the pictures of a :class:`Samples`."""
    yield from Samples(count, seed, tuple(families), (), size_px, look, pictures_per_shape)
