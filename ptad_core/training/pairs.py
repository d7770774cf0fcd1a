"""Scenes -> pairs of a picture and an aligned reference, with what differs between them.

Each scene shows an intact assembly A and a defective variant B, from one camera. Both are photographed, and both serve
as the reference: A against A and B against B are good, A against B and B against A are not. So neither picture nor
reference alone tells the label, and what is missing in one pair is surplus in another: only comparing helps.

What runs makes the pairs: the picture is segmented as the inspector does it, the reference lies as the aligner errs,
and window and input come from the functions that an inspection calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.config import PoseConfig, SegmentationConfig
from ptad_core.detection.network.inputs import SIZE_PX, Pair, network_input, network_window
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform
from ptad_core.rendering.exact import ExactRenderer, ExactRendering
from ptad_core.rendering.view import part_window
from ptad_core.segmentation.foreground import by_border_colour
from ptad_core.segmentation.mask import finish, to_lab
from ptad_core.synthesis.appearance import Look, before_backdrop, draw_appearance
from ptad_core.synthesis.assembly import Assembly
from ptad_core.synthesis.defects import DefectKind, Visibility, draw_visible_defect
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.samples import FAST, FOCAL, LEAST_ABOVE_TABLE_DEG, draw_view
from ptad_core.synthesis.scene import Scene
from ptad_core.training.pose_errors import draw_aligned
from ptad_core.types import ColorImage, FloatArray, MaskImage

IMAGE_PX = 256
TIDY, BACKDROP = 0.3, 0.6
"""Share of the pictures from above that look like those of a tidy cell: a plain table, coloured parts; and share of the
others before a plain backdrop."""
LEAST_IOU = PoseConfig().min_mask_iou
"""Object masks worse than this would not have led to a trusted pose: the true mask takes their place."""
STRIDE = 4
"""The dense target has a quarter of the resolution."""
DEPTH_STEP = 0.01
"""Depth difference that counts as a difference, relative to the diameter."""
PAIRS_PER_SCENE = 4
POSES = 2
"""Times that the pairs of a scene are made, each time misplaced anew: a picture costs far more than a pair of it."""
SCENES_PER_SHAPE = 2
HARD, HARDER = (DefectKind.BULGE, DefectKind.DENT, DefectKind.SWAPPED), 2.0
"""Kinds that are told from good parts worst are shown so many times as often as the others."""
GOOD = "good"

Target = NDArray[np.uint8]
"""(2, S / 4, S / 4): share 0..255 of each cell where the picture lacks material of the reference, and has more."""


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One input of the network with its truth.

    Attributes:
        pair: (9, S, S), see ``detection.network.inputs``.
        target: (2, S / 4, S / 4) missing and surplus.
        kind: of the defect, ``good`` where there is none.
        family: of the shape.
    """

    pair: Pair
    target: Target
    kind: str
    family: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An assembly, its renderer, and a picture of it with the mask that the segmentation finds."""

    assembly: Assembly
    renderer: ExactRenderer
    image: ColorImage
    seen: MaskImage


def scene_pairs(reference: Assembly, kind: DefectKind, rng: np.random.Generator, poses: int = 1) -> list[TrainingPair]:
    """Return the four pairs of one scene, ``poses`` times, each time misplaced anew.

    Raises:
        MeshError: if no defect of this kind is visible.
    """
    middle = (IMAGE_PX - 1) / 2
    camera = Camera(FOCAL * IMAGE_PX, FOCAL * IMAGE_PX, middle, middle, IMAGE_PX, IMAGE_PX)
    T, seen_from_deg = draw_view(reference, camera, rng)
    table = None if seen_from_deg > LEAST_ABOVE_TABLE_DEG else False
    variant = draw_visible_defect(reference, kind, [(camera, T)], rng, Visibility(), tries=40)[0]
    shown = [_shown(a, reference.diameter_m, camera, T, table, rng) for a in (reference, variant)]
    return [pair_of(photo, cad, GOOD if photo is cad else kind.value, reference, camera, T, rng)
            for _ in range(poses) for photo in shown for cad in shown]


def _shown(assembly: Assembly, diameter_m: float, camera: Camera, T: FloatArray, table: bool | None,
           rng: np.random.Generator) -> Shown:
    tidy, plain = table is None and rng.random() < TIDY, rng.random() < BACKDROP
    appearance = draw_appearance(rng, assembly, Look.CELL if tidy else Look.WIDE, table=table)
    if plain and not tidy:
        appearance = before_backdrop(appearance)
    scene = Scene(assembly, make_transform(np.eye(3), np.zeros(3)), diameter_m, appearance, FAST)
    picture = scene.picture(camera, T, rng)
    seen = segmented(picture.image_bgr, picture.mask, shadows=not plain)
    return Shown(assembly, ExactRenderer(assembly.solid.vertices, assembly.solid.faces), picture.image_bgr, seen)


def segmented(image_bgr: ColorImage, true_mask: MaskImage, shadows: bool) -> MaskImage:
    """Return the (H, W) mask that an inspection with the default settings finds; the true one where it finds none."""
    lab, config = to_lab(image_bgr), SegmentationConfig()
    found = finish(by_border_colour(lab, shadows), lab, config.method, config)
    return found.mask if not found.reasons and iou(found.mask, true_mask) >= LEAST_IOU else true_mask


def pair_of(photo: Shown, cad: Shown, kind: str, reference: Assembly, camera: Camera, T: FloatArray,
            rng: np.random.Generator) -> TrainingPair:
    """Return a picture (camera, (4, 4) true pose T) beside a reference that is misplaced as the aligner errs."""
    diameter_m = reference.diameter_m
    T_found = draw_aligned(T, cad.assembly.solid.centre, cad.assembly.diameter_m, kind != GOOD, rng)
    window = part_window(cad.assembly.solid.vertices, camera, T_found, photo.seen)
    if window is None:
        raise MeshError("expected a part in the picture, got one that the pose found leaves outside")
    pair = network_input(photo.image, photo.seen, cad.renderer, window.camera(camera), T_found, window, diameter_m)
    if kind == GOOD:
        target = np.zeros((2, SIZE_PX // STRIDE, SIZE_PX // STRIDE), np.uint8)
    else:
        seen_by = network_window(window).camera(camera)
        target = differences(photo.renderer.render(seen_by, T), cad.renderer.render(seen_by, T),
                             DEPTH_STEP * diameter_m)
    return TrainingPair(pair, target, kind, reference.family)


def differences(photo: ExactRendering, cad: ExactRendering, step_m: float) -> Target:
    """Return where what is in the picture lacks material of the CAD, and where it has more, (2, S / 4, S / 4)."""
    with np.errstate(invalid="ignore"):
        missing = cad.mask & (~photo.mask | (photo.depth > cad.depth + step_m))
        surplus = photo.mask & (~cad.mask | (photo.depth < cad.depth - step_m))
    small = (missing.shape[1] // STRIDE, missing.shape[0] // STRIDE)
    return np.stack([cv2.resize(255 * m.astype(np.uint8), small, interpolation=cv2.INTER_AREA)
                     for m in (missing, surplus)])


def iou(a: MaskImage, b: MaskImage) -> float:
    """Return the intersection over the union of two masks; 0 where both are empty."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def shape_pairs(seed: Sequence[int], shape: int, families: Sequence[str]) -> Iterator[TrainingPair]:
    """Yield the pairs of one shape, the families taking turns; a shape whose defects never show yields none."""
    rng = np.random.default_rng(seed)
    try:
        reference = FAMILIES[families[shape % len(families)]](rng)
    except MeshError:  # some proportions make no outline
        return
    weights = np.array([HARDER if kind in HARD else 1.0 for kind in DefectKind])
    kinds = rng.choice(list(DefectKind), len(DefectKind), replace=False, p=weights / weights.sum())
    made = 0
    for attempt in range(4 * SCENES_PER_SHAPE):
        try:
            yield from scene_pairs(reference, DefectKind(str(kinds[attempt % len(kinds)])), rng, POSES)
        except MeshError:
            continue
        made += 1
        if made == SCENES_PER_SHAPE:
            return
