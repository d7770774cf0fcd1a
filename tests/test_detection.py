"""The geometric detector at the true pose: altered parts give regions of the right kind and size at the right place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from core_parts import (
    CAMERA,
    PIECES,
    altered,
    as_segmentation,
    box_mm,
    bracket,
    exact_mask,
    join,
    picture,
    renderer,
    seen_from,
)

from ptad_core.camera import Camera
from ptad_core.config import DetectionConfig, ReferenceConfig
from ptad_core.detection import detect
from ptad_core.frames import invert, transform_points
from ptad_core.reference import PartMesh, Reference, reference_from_mesh
from ptad_core.rendering.view import look
from ptad_core.segmentation.mask import box_of
from ptad_core.types import AnomalyRegion, Box, Detection, FloatArray, MaskImage, Reason, RegionKind

CONFIG = DetectionConfig()
SIDE = (0.35, -0.9, 0.15)


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", reference_config)


def judge(part: PartMesh, T: FloatArray, reference: Reference, config: DetectionConfig = CONFIG,
          camera: Camera = CAMERA) -> Detection:
    """What the detector says of a part that stands exactly where the pose says."""
    segmentation = as_segmentation(exact_mask(part, T, camera))
    view = look(reference.gaussians, camera, T, segmentation.mask)
    return detect(picture(part, T, camera), segmentation, view, reference.diameter_m, config)


def only(detection: Detection, kind: RegionKind) -> AnomalyRegion:
    (region,) = [r for r in detection.regions if r.kind == kind]
    return region


def covers(region: Box, true: Box, slack_px: int = 4) -> bool:
    return (region.x <= true.x + slack_px and region.y <= true.y + slack_px
            and region.x + region.width >= true.x + true.width - slack_px
            and region.y + region.height >= true.y + true.height - slack_px)


def on_surface(part: PartMesh, T: FloatArray, where: MaskImage) -> FloatArray:
    """(3,) mean of the points of a part that are seen in some pixels, part frame."""
    depth = renderer(part).render(CAMERA, T).depth.astype(float)
    rows, cols = np.nonzero(where & np.isfinite(depth))
    z = depth[rows, cols]
    points = np.column_stack([(cols - CAMERA.cx) / CAMERA.fx * z, (rows - CAMERA.cy) / CAMERA.fy * z, z])
    return np.asarray(transform_points(invert(T), points).mean(axis=0))


@pytest.mark.parametrize("direction", [SIDE, (0.0, 0.1, 1.0), (-1.0, 0.2, 0.3), (0.3, 0.9, -0.4)])
@pytest.mark.parametrize(("distance_m", "tolerance_mm"), [(0.35, 3.0), (0.8, 6.0)])
def test_an_intact_part_has_no_region(direction: tuple[float, float, float], distance_m: float, tolerance_mm: float,
                                      reference: Reference) -> None:
    found = judge(bracket(), seen_from(bracket(), direction, distance_m, roll_deg=30), reference,
                  DetectionConfig(tolerance_mm=tolerance_mm))
    assert found.regions == () and found.score == 0 and found.reasons == ()
    assert found.anomaly_map.shape == (480, 640) and found.anomaly_map.max() < found.threshold


def test_a_missing_piece(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = bracket(without="peg")
    found = judge(part, T, reference)
    region = only(found, RegionKind.MISSING)
    assert found.score == region.score == found.regions[0].score > 3
    gone = exact_mask(bracket(), T) & ~exact_mask(part, T)
    true = box_of(gone)
    assert covers(region.box_px, true) and region.box_px.area < 1.4 * true.area
    assert region.area_px == pytest.approx(gone.sum(), rel=0.1)
    # On the peg as it should be, which stands 40 mm high at x = 36, y = -18.
    assert np.linalg.norm(region.centroid_part_m - on_surface(bracket(), T, gone)) < 0.003
    assert np.abs(region.centroid_part_m[:2] - [0.036, -0.018]).max() < 0.01
    assert region.extent_part_m.max() < 0.05 and region.extent_part_m[2] > 0.02
    normal = region.normal_part
    assert np.linalg.norm(normal) == pytest.approx(1)
    assert normal @ np.array(SIDE) > 0.7  # out of the part, to the side it was seen from
    assert found.anomaly_map[gone].max() == pytest.approx(region.score, rel=0.1)
    near = cv2.dilate(exact_mask(bracket(), T).astype(np.uint8), np.ones((5, 5))) > 0
    assert found.anomaly_map[~near].max() == 0


def test_a_surplus_piece(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = altered("block", box_mm((20, 16, 30), (0, -22, 23)))
    found = judge(part, T, reference)
    more = exact_mask(part, T) & ~exact_mask(bracket(), T)
    region = only(found, RegionKind.SURPLUS)
    assert covers(region.box_px, box_of(more))
    assert found.score == region.score > 1
    # One picture does not tell its distance: it is taken for that of the CAD's surface next to it in the picture.
    in_camera = transform_points(T, region.centroid_part_m[None])
    assert CAMERA.project(in_camera)[0] == pytest.approx(np.argwhere(more).mean(axis=0)[::-1], abs=6)
    assert (bracket().vertices.min(0) - 0.01 < region.centroid_part_m).all()
    assert (region.centroid_part_m < bracket().vertices.max(0) + 0.01).all()


def test_a_moved_piece_is_missing_here_and_surplus_there(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = altered("peg", PIECES["peg"].copy().apply_translation([-0.02, 0.0, 0.0]))
    found = judge(part, T, reference)
    missing, surplus = only(found, RegionKind.MISSING), only(found, RegionKind.SURPLUS)
    true, seen = exact_mask(bracket(), T), exact_mask(part, T)
    assert covers(missing.box_px, box_of(true & ~seen), 6) and covers(surplus.box_px, box_of(seen & ~true), 6)
    # The peg is as wide as it moved far, so half of it at most is off either way.
    assert missing.size_mm == pytest.approx(surplus.size_mm, rel=0.35)


def test_regions_are_sorted_and_the_worst_is_the_score(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE)
    part = altered("peg", PIECES["peg"].copy().apply_translation([-0.02, 0.0, 0.0]))
    scores = [r.score for r in judge(part, T, reference).regions]
    assert len(scores) >= 2 and scores == sorted(scores, reverse=True)


BOSS = box_mm((34, 34, 14), (8, -4, 15))


def with_boss(shift_m: tuple[float, float]) -> PartMesh:
    return join({"plate": PIECES["plate"], "wall": PIECES["wall"],
                 "boss": BOSS.copy().apply_translation([*shift_m, 0.0])})


@pytest.mark.parametrize("shift_m", [(0.003, 0.003), (-0.003, -0.003)])
def test_a_piece_moved_inside_the_outline(shift_m: tuple[float, float], reference_config: ReferenceConfig) -> None:
    """Seen from above the boss, painted white, lies before the plate: its outline says nothing, its edges do."""
    reference = reference_from_mesh(with_boss((0.0, 0.0)), "boss", reference_config)
    T = seen_from(with_boss((0.0, 0.0)), (0.1, -0.1, 1.0), 0.35)
    part = with_boss(shift_m)
    segmentation = as_segmentation(exact_mask(part, T))
    white = renderer(part).render(CAMERA, T).face_id >= len(part.faces) - len(BOSS.faces)
    image = np.where(white[..., None], picture(part, T, paint_bgr=(200, 210, 215)), picture(part, T))
    view = look(reference.gaussians, CAMERA, T, segmentation.mask)

    def regions(config: DetectionConfig) -> tuple[AnomalyRegion, ...]:
        return detect(image, segmentation, view, reference.diameter_m, config).regions

    found = regions(DetectionConfig(tolerance_mm=2.0))
    assert len(found) >= 2 and {r.kind for r in found} == {RegionKind.DISPLACED}
    for region in found:
        assert region.size_mm == pytest.approx(3.0, abs=0.6)
        assert region.score == pytest.approx(region.size_mm / 2.0, rel=0.05)
        assert np.abs(region.centroid_part_m - [0.008, -0.004, 0.015]).max() < 0.025
        assert region.normal_part[2] > 0.3
    assert regions(DetectionConfig(tolerance_mm=2.0, edges=False)) == ()
    assert regions(DetectionConfig(tolerance_mm=5.0)) == ()


def test_sizes_are_millimetres_at_any_distance_and_focal_length(reference: Reference) -> None:
    """A slab of 6 mm on the plate's edge is 6 mm, however many pixels that is."""
    slab = altered("slab", box_mm((6, 40, 8), (53, 0, 4)))
    direction = (0.1, -0.1, 1.0)
    sizes, areas = [], []
    for distance_m, zoom in ((0.3, 1.0), (0.6, 1.0), (0.6, 2.0)):
        camera = Camera(CAMERA.fx * zoom, CAMERA.fy * zoom, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
        found = judge(slab, seen_from(bracket(), direction, distance_m), reference, camera=camera)
        region = only(found, RegionKind.SURPLUS)
        sizes.append(region.size_mm)
        areas.append(region.area_px)
        assert region.centroid_part_m == pytest.approx([0.05, 0.0, 0.008], abs=0.006)
        assert region.extent_part_m[1] == pytest.approx(0.04, abs=0.006)
    assert sizes == pytest.approx([6.0, 6.0, 6.0], abs=1.0)
    # Regions reach in to half the tolerance, which is coarser in pixels further away.
    assert areas[1] / areas[0] == pytest.approx(0.25, rel=0.2)
    assert areas[2] / areas[0] == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize(("thickness_mm", "bad"), [(2.0, False), (5.0, True)])
def test_the_tolerance_is_a_length_on_the_part(thickness_mm: float, bad: bool, reference: Reference) -> None:
    slab = altered("slab", box_mm((thickness_mm, 40, 8), (50 + thickness_mm / 2, 0, 4)))
    found = judge(slab, seen_from(bracket(), (0.1, -0.1, 1.0), 0.3), reference, DetectionConfig(tolerance_mm=3.0))
    assert bool(found.regions) == bad
    assert (found.score > found.threshold) == bad


def test_what_the_pixels_cannot_show_is_no_defect(reference: Reference) -> None:
    """Three pixels are 7.5 mm at 2 m: the 5 mm slab is within that, and the limit says so."""
    slab = altered("slab", box_mm((5, 40, 8), (52.5, 0, 4)))
    T = seen_from(bracket(), (0.1, -0.1, 1.0), 2.0)
    assert judge(slab, T, reference).regions == ()
    found = judge(slab, T, reference, DetectionConfig(tolerance_mm=5.0))
    assert found.reasons == (Reason.TOO_COARSE,) and found.regions == ()
    assert "deviations from 7." in found.message and "move the camera closer" in found.message
    near = judge(slab, seen_from(bracket(), (0.1, -0.1, 1.0), 0.35), reference, DetectionConfig(tolerance_mm=5.0))
    assert near.reasons == () and near.regions


def test_small_regions_are_dropped(reference: Reference) -> None:
    """A pin of 4 mm x 8 mm that sticks out."""
    pin = altered("pin", box_mm((8, 4, 4), (54, 0, 4)))
    T = seen_from(bracket(), (0.1, -0.1, 1.0), 0.3)
    assert len(judge(pin, T, reference, DetectionConfig(min_area_mm2=10.0)).regions) == 1
    assert judge(pin, T, reference, DetectionConfig(min_area_mm2=60.0)).regions == ()
    assert judge(pin, T, reference, DetectionConfig(min_area_px=5000)).regions == ()


def test_beyond_the_image_nothing_is_missing(reference: Reference) -> None:
    T = seen_from(bracket(), SIDE, shift_m=(0.19, 0.0))
    cut = exact_mask(bracket(), T)
    assert cut[:, -1].any()
    assert judge(bracket(), T, reference).regions == ()


def test_out_of_view(reference: Reference) -> None:
    segmentation = as_segmentation(exact_mask(bracket(), seen_from(bracket(), SIDE)))
    for T in (seen_from(bracket(), SIDE, shift_m=(2.0, 0.0)), seen_from(bracket(), SIDE, -0.5),
              seen_from(bracket(), SIDE, 0.02)):
        view = look(reference.gaussians, CAMERA, T, segmentation.mask)
        assert view is None
        found = detect(picture(bracket(), T), segmentation, view, reference.diameter_m, CONFIG)
        assert found.reasons == (Reason.OUT_OF_VIEW,) and found.regions == () and found.score == 0
