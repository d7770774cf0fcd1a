"""Single pictures with truth from many shapes: what detectors are trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.defects import Defect, DefectKind, Difference, Visibility, draw_visible_defect
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.scene import Quality, Scene, draw_appearance
from ptad_core.synthesis.viewpoints import around
from ptad_core.types import ColorImage, FloatArray, MaskImage

FAST = Quality(shadow_rays=1, ambient_rays=1)


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


def draw_sample(reference: Assembly, kind: DefectKind | None, rng: np.random.Generator, size_px: int = 256,
                visibility: Visibility | None = None, quality: Quality = FAST) -> Sample:
    """Draw a view, a defect of a kind (None: intact), an appearance, and take the picture.

    Raises:
        MeshError: if no visible defect of this kind is found in this view.
    """
    camera = Camera(1.2 * size_px, 1.2 * size_px, (size_px - 1) / 2, (size_px - 1) / 2, size_px, size_px)
    target = reference.solid.centre + rng.uniform(-0.05, 0.05, 3) * reference.diameter_m
    T_camera_part = around(target, reference.diameter_m * rng.uniform(1.45, 1.9), rng.uniform(0, 2 * np.pi),
                           np.radians(rng.uniform(12, 65)))
    variant, defect, difference = reference, None, None
    if kind is not None:
        variant, defect, (difference,) = draw_visible_defect(reference, kind, [(camera, T_camera_part)], rng,
                                                             visibility or Visibility(), tries=40)
    scene = Scene(variant, make_transform(np.eye(3), np.zeros(3)), reference.diameter_m,
                  draw_appearance(rng, reference), quality)
    picture = scene.picture(camera, T_camera_part, rng)
    return Sample(reference, variant, camera, T_camera_part, picture.image_bgr, picture.mask, defect, difference)


def samples(count: int, seed: int, families: Sequence[str] = tuple(FAMILIES), size_px: int = 256,
            pictures_per_shape: int = 4) -> Iterator[Sample]:
    """Yield pictures, about half of them intact; each shape is drawn anew and seen ``pictures_per_shape`` times.

    Every shape has its own generator, so that parts of a set can be made apart from each other.
    """
    kinds = list(DefectKind)
    for shape in range(-(-count // pictures_per_shape)):
        rng = np.random.default_rng([seed, shape])
        reference = FAMILIES[families[int(rng.integers(len(families)))]](rng)
        for _ in range(min(pictures_per_shape, count - shape * pictures_per_shape)):
            yield _some_sample(reference, kinds[int(rng.integers(len(kinds)))] if rng.random() < 0.5 else None, rng,
                               size_px)


def _some_sample(reference: Assembly, kind: DefectKind | None, rng: np.random.Generator, size_px: int) -> Sample:
    """Draw until a view shows a defect of this kind; there are views that hide all that may break."""
    for _ in range(20):
        try:
            return draw_sample(reference, kind, rng, size_px)
        except MeshError:
            continue
    raise MeshError(f"expected a {reference.family} that can show a defect of kind {kind}, found none")
