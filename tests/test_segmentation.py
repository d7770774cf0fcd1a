"""The object's mask: four ways to find it, and the reasons not to use it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from core_parts import BACKGROUND_BGR, CAMERA, PAINT_BGR, bracket, exact_mask, picture, seen_from

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig, SegmentationConfig
from ptad_core.errors import ConfigError, ImageError
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.reference import Reference, reference_from_mesh
from ptad_core.segmentation import Background, segment, segment_around
from ptad_core.segmentation.mask import border_contact, box_of, finish, outline_contrast, to_lab
from ptad_core.types import Box, ColorImage, FloatArray, MaskImage, PoseSeed, Reason, SeedSource, Segmentation

SMALL = CAMERA.scaled(0.5, 320, 240)
T = seen_from(bracket(), (0.4, -0.7, 0.6), roll_deg=20)
METHODS = ("auto", "threshold", "background", "grabcut")


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", reference_config)


@pytest.fixture(scope="module")
def truth() -> MaskImage:
    return exact_mask(bracket(), T, SMALL)


@pytest.fixture(scope="module")
def image() -> ColorImage:
    return picture(bracket(), T, SMALL)


def empty_scene(seed: int = 7) -> ColorImage:
    noise = np.random.default_rng(seed).normal(0, 2, (240, 320, 3))
    return np.clip(noise + BACKGROUND_BGR, 0, 255).astype(np.uint8)


def off_by(T_camera_part: FloatArray, angle_deg: float, shift_m: tuple[float, float, float]) -> PoseSeed:
    R = rotation_exp(np.radians(angle_deg) * np.array([0.0, 0.6, 0.8]))
    return PoseSeed(make_transform(R @ T_camera_part[:3, :3], T_camera_part[:3, 3] + np.array(shift_m)), SeedSource.TF,
                    5.0, 0.01)


def run(image: ColorImage, reference: Reference, method: str, seed: PoseSeed | None = None, camera: Camera = SMALL,
        **settings: object) -> Segmentation:
    # Orange hues; the range leaves the grey background out.
    config = SegmentationConfig(method=method, hsv_low=(3, 60, 30), hsv_high=(25, 255, 255), **settings)  # type: ignore[arg-type]
    background = Background(to_lab(empty_scene()))
    return segment(image, camera, reference, config, seed or off_by(T, 3.0, (0.003, -0.002, 0.01)), background)


def iou(a: MaskImage, b: MaskImage) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("method", METHODS)
def test_each_method_finds_the_part(method: str, image: ColorImage, truth: MaskImage, reference: Reference) -> None:
    found = run(image, reference, method)
    assert iou(found.mask, truth) > 0.97
    assert found.reasons == () and found.message == ""
    assert found.method == method and found.confidence > 0.9
    assert found.box_px == box_of(found.mask)
    assert found.mask.dtype == bool and found.mask.shape == (240, 320)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_image_gives_the_same_mask(method: str, image: ColorImage, reference: Reference) -> None:
    assert np.array_equal(run(image, reference, method).mask, run(image, reference, method).mask)


def test_a_gradient_of_the_light_is_background(image: ColorImage, truth: MaskImage, reference: Reference) -> None:
    rows, cols = np.mgrid[0:240, 0:320]
    light = (1.0 - 0.4 * cols / 320 + 0.15 * rows / 240)[..., None]
    lit = np.clip(image * light, 0, 255).astype(np.uint8)
    assert iou(run(lit, reference, "auto").mask, truth) > 0.96


@pytest.mark.parametrize("method", ["auto", "threshold", "background"])
def test_an_empty_scene_has_no_object(method: str, reference: Reference) -> None:
    found = run(empty_scene(3), reference, method)
    assert found.reasons == (Reason.NO_OBJECT,)
    assert "expected at least 400" in found.message
    assert not found.mask.any() and found.box_px is None and found.confidence == 0


def test_grabcut_of_an_empty_scene_is_not_used(reference: Reference) -> None:
    """GrabCut always finds something: that nothing carries its outline gives it away."""
    found = run(empty_scene(3), reference, "grabcut")
    assert found.reasons and set(found.reasons) <= {Reason.NO_OBJECT, Reason.MASK_UNRELIABLE}


def test_specks_are_no_object(reference: Reference) -> None:
    image = empty_scene()
    cv2.circle(image, (100, 100), 6, PAINT_BGR, -1)
    assert run(image, reference, "auto", min_area_px=400).reasons == (Reason.NO_OBJECT,)
    assert run(image, reference, "auto", min_area_px=50).reasons == ()


@pytest.mark.parametrize(("shift_m", "side"), [((-0.2, 0.0), "left"), ((0.2, 0.0), "right"), ((0.0, -0.15), "upper"),
                                               ((0.0, 0.15), "lower")])
def test_cut_by_the_border(shift_m: tuple[float, float], side: str, reference: Reference) -> None:
    cut = picture(bracket(), seen_from(bracket(), (0.4, -0.7, 0.6), shift_m=shift_m), SMALL)
    found = run(cut, reference, "auto")
    assert found.reasons == (Reason.CUT_BY_BORDER,)
    assert found.message == f"the {side} image border cuts the object"
    assert found.mask.any() and found.box_px is not None
    assert run(cut, reference, "auto", allow_cut=True).reasons == ()


def test_a_touch_of_the_border_is_no_cut() -> None:
    mask = np.zeros((50, 60), dtype=bool)
    mask[20:23, 0:30] = True
    assert border_contact(mask) == []
    mask[20:24, 0:30] = True
    mask[0, 10:20] = True
    assert border_contact(mask) == ["left", "upper"]


def test_low_contrast_is_not_trusted(reference: Reference) -> None:
    """A threshold cuts a smooth change of colour somewhere, but nothing in the image is there."""
    hue = np.tile(np.linspace(0, 60, 320), (240, 1))
    saturation = 100 * np.exp(-(((np.arange(240) - 120) / 80) ** 2))[:, None] * np.ones((240, 320))
    smooth = np.dstack([hue, saturation, np.full((240, 320), 160)])
    image = cv2.cvtColor(smooth.round().astype(np.uint8), cv2.COLOR_HSV2BGR)
    found = run(np.asarray(image, dtype=np.uint8), reference, "threshold")
    assert found.reasons == (Reason.MASK_UNRELIABLE,)
    assert "carries only" in found.message and found.confidence < 0.35
    assert found.mask.any()


def test_confidence_is_the_share_of_the_outline_that_is_seen() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    mask = np.zeros((200, 200), dtype=bool)
    mask[50:150, 50:150] = True
    image[50:150, 50:100] = (40, 40, 200)  # only the left half differs
    assert outline_contrast(mask, to_lab(image)) == pytest.approx(0.5, abs=0.04)
    image[50:150, 50:150] = (40, 40, 200)
    assert outline_contrast(mask, to_lab(image)) == pytest.approx(1.0, abs=0.02)


def drawn(*pieces: tuple[int, int, int, int]) -> MaskImage:
    mask = np.zeros((240, 320), dtype=bool)
    for x, y, width, height in pieces:
        mask[y:y + height, x:x + width] = True
    return mask


def finished(foreground: MaskImage, **settings: object) -> MaskImage:
    lab = to_lab(np.where(foreground[..., None], np.uint8(200), np.uint8(50)).repeat(3, axis=2))
    return finish(foreground, lab, "test", SegmentationConfig(**settings)).mask  # type: ignore[arg-type]


MAIN = (100, 80, 100, 80)


def test_large_pieces_nearby_belong_to_the_object() -> None:
    """A defect may part it: 5 % of the main piece's area, within a quarter of its diagonal."""
    near, small, far = (210, 90, 30, 30), (210, 90, 15, 15), (250, 90, 30, 30)
    assert np.array_equal(finished(drawn(MAIN, near)), drawn(MAIN, near))
    assert np.array_equal(finished(drawn(MAIN, small)), drawn(MAIN))
    assert np.array_equal(finished(drawn(MAIN, far)), drawn(MAIN))


def test_pinholes_are_filled_and_holes_kept() -> None:
    holed = drawn(MAIN)
    holed[100, 120:123] = False
    with_pinhole = holed.copy()
    holed[110:130, 140:170] = False
    kept = drawn(MAIN)
    kept[110:130, 140:170] = False
    assert np.array_equal(finished(with_pinhole), drawn(MAIN))
    assert np.array_equal(finished(holed), kept)
    assert np.array_equal(finished(holed, fill_holes=True), drawn(MAIN))


def test_a_notch_is_no_hole() -> None:
    notched = drawn(MAIN)
    notched[80:120, 140:170] = False
    assert np.array_equal(finished(notched, fill_holes=True), notched)
    open_to_border = drawn((0, 80, 100, 80))
    open_to_border[100:130, 0:40] = False
    assert np.array_equal(finished(open_to_border, fill_holes=True), open_to_border)


def test_red_wraps_around(reference: Reference) -> None:
    """Hues 176 and 3 are neighbours; green lies between them only the long way round."""
    image = empty_scene()
    for x, hue in ((60, 176), (110, 3), (160, 60)):
        colour = cv2.cvtColor(np.array([[[hue, 220, 200]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
        image[80:160, x:x + 50] = colour
    config = SegmentationConfig(method="threshold", hsv_low=(170, 120, 80), hsv_high=(8, 255, 255))
    assert segment(image, SMALL, reference, config).box_px == Box(60, 80, 100, 80)
    straight = SegmentationConfig(method="threshold", hsv_low=(50, 120, 80), hsv_high=(70, 255, 255))
    assert segment(image, SMALL, reference, straight).box_px == Box(160, 80, 50, 80)


def test_the_background_picture(tmp_path: Path, image: ColorImage, reference: Reference, truth: MaskImage) -> None:
    path = tmp_path / "empty.png"
    cv2.imwrite(str(path), empty_scene())
    config = SegmentationConfig(method="background", background=str(path))
    found = segment(image, SMALL, reference, config, background=Background.load(str(path)))
    assert iou(found.mask, truth) > 0.97
    with pytest.raises(ConfigError, match=r"expected segmentation\.background to name a picture"):
        segment(image, SMALL, reference, config)
    with pytest.raises(ConfigError, match=r"expected a readable picture of the empty scene, got .*none\.png"):
        Background.load(str(tmp_path / "none.png"))
    with pytest.raises(ImageError, match="expected a background picture of 320x240 like the image, got 640x480"):
        segment(image, SMALL, reference, config, background=Background(to_lab(cv2.resize(image, (640, 480)))))


def test_grabcut_needs_a_seed_in_view(image: ColorImage, reference: Reference) -> None:
    config = SegmentationConfig(method="grabcut")
    found = segment(image, SMALL, reference, config)
    assert found.reasons == (Reason.NO_OBJECT,) and "starts from a pose seed" in found.message
    for T_wrong in (seen_from(bracket(), (0, 0, 1), shift_m=(2.0, 0.0)), seen_from(bracket(), (0, 0, 1), -0.5)):
        found = segment(image, SMALL, reference, config, PoseSeed(T_wrong, SeedSource.TF))
        assert found.reasons == (Reason.NO_OBJECT,) and not found.mask.any()


def test_grabcut_follows_a_seed_that_is_off(reference: Reference, image: ColorImage, truth: MaskImage) -> None:
    for angle_deg, shift_m in ((6.0, (0.008, 0.0, 0.0)), (-5.0, (0.0, -0.008, 0.02))):
        assert iou(run(image, reference, "grabcut", off_by(T, angle_deg, shift_m)).mask, truth) > 0.95


def around(image: ColorImage, reference: Reference, angle_deg: float = 1.5) -> Segmentation:
    guess = replace(off_by(T, angle_deg, (0.0015, -0.001, 0.003)), sigma_rotation_deg=1.0, sigma_translation_m=0.002)
    return segment_around(image, SMALL, reference, SegmentationConfig(method="grabcut"), guess)


def test_around_a_pose_that_is_nearly_right_the_mask_is_the_parts(
        image: ColorImage, truth: MaskImage, reference: Reference) -> None:
    found = around(image, reference)
    assert found.reasons == () and found.method == "local_colour"
    assert iou(found.mask, truth) > 0.97


def test_a_hole_in_the_part_is_seen_although_no_hole_is_expected(
        image: ColorImage, truth: MaskImage, reference: Reference) -> None:
    y, x = (int(v) for v in np.unravel_index(cv2.distanceTransform(
        truth.astype(np.uint8), cv2.DIST_L2, 5).argmax(), truth.shape))
    hole, middle = (cv2.circle(np.zeros(truth.shape, np.uint8), (x, y), r, 1, -1) > 0 for r in (7, 5))
    assert truth[hole].all()
    pierced = np.where(hole[..., None], empty_scene(), image)
    assert around(image, reference).mask[hole].all()
    assert not around(pierced, reference).mask[middle].any()


def test_a_mask_that_only_repeats_what_was_expected_is_not_used(reference: Reference) -> None:
    found = around(empty_scene(3), reference)
    assert found.reasons and set(found.reasons) <= {Reason.NO_OBJECT, Reason.MASK_UNRELIABLE}
