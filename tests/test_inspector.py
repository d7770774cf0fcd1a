"""The inspector: whatever a stage could not do is CANNOT_INSPECT; tracking; input checked at the door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from core_parts import CAMERA, PIECES, altered, bracket, picture, plain_box, seen_from, turned_by_deg

from ptad_core.camera import Camera
from ptad_core.config import (
    DetectionConfig,
    InspectorConfig,
    PartConfig,
    PoseConfig,
    ReferenceConfig,
    SegmentationConfig,
)
from ptad_core.errors import CameraError, ConfigError, ImageError
from ptad_core.frames import make_transform, rotation_angle_deg, rotation_exp
from ptad_core.inspector import Inspector, cannot_inspect
from ptad_core.reference import Reference, reference_from_mesh
from ptad_core.segmentation import segment_around
from ptad_core.types import (
    AlignedPose,
    Alignment,
    AnomalyRegion,
    Box,
    ColorImage,
    Detection,
    FloatArray,
    PoseSeed,
    Reason,
    RegionKind,
    SeedSource,
    Segmentation,
    Verdict,
)

SMALL = CAMERA.scaled(0.5, 320, 240)
SIDE = (0.35, -0.9, 0.3)
POSE = AlignedPose(np.eye(4), np.eye(6), 0.9, 1.0, SeedSource.BLIND, np.inf, None, False, True)


@pytest.fixture(scope="module")
def reference(reference_config: ReferenceConfig) -> Reference:
    return reference_from_mesh(bracket(), "bracket", reference_config)


@pytest.fixture
def inspector(reference: Reference) -> Inspector:
    return Inspector(reference, InspectorConfig())


def region(kind: RegionKind, score: float, size_mm: float = 7.0) -> AnomalyRegion:
    return AnomalyRegion(Box(1, 2, 3, 4), kind, score, size_mm, 12, np.zeros(3), np.zeros(3), np.array([0, 0, 1.0]))


def segmented(*reasons: Reason) -> Segmentation:
    mask = np.zeros((4, 4), dtype=bool)
    return Segmentation(mask, "test", 1.0, Box(0, 0, 4, 4), reasons, "segmentation says so" if reasons else "")


def aligned(*reasons: Reason) -> Alignment:
    return Alignment(POSE, reasons, "alignment says so" if reasons else "")


def detected(*regions: AnomalyRegion, reasons: tuple[Reason, ...] = ()) -> Detection:
    score = max((r.score for r in regions), default=0.0)
    return Detection(np.zeros((4, 4), np.float32), score, 1.0, regions, reasons, "detection says so" if reasons else "")


GOOD, SLIGHT, BAD = detected(), detected(region(RegionKind.MISSING, 0.9)), detected(region(RegionKind.MISSING, 2.0))


def combinations() -> Iterator[tuple[Segmentation, Alignment | None, Detection | None]]:
    segmentations = (segmented(), segmented(Reason.CUT_BY_BORDER))
    alignments = (None, aligned(), aligned(Reason.POSE_AMBIGUOUS),
                  Alignment(None, (Reason.POSE_NOT_FOUND,), "nothing found"))
    detections = (None, GOOD, SLIGHT, BAD, detected(reasons=(Reason.TOO_COARSE,)),
                  replace(BAD, reasons=(Reason.OCCLUDED,)))
    yield from product(segmentations, alignments, detections)


def test_every_combination_of_stages(inspector: Inspector) -> None:
    """PASS and FAIL need every stage to have gone through without a reason against it."""
    seen = set()
    for segmentation, alignment, detection in combinations():
        result = inspector.decide(segmentation, alignment, detection)
        stages = [s for s in (segmentation, alignment, detection) if s is not None]
        against = [reason for s in stages for reason in s.reasons]
        through = not against and detection is not None and alignment is not None
        if not through:
            assert result.verdict == Verdict.CANNOT_INSPECT
            assert result.reasons == (tuple(against) or (Reason.INTERNAL_ERROR,))
            assert result.message
        else:
            assert result.verdict == (Verdict.FAIL if detection is BAD else Verdict.PASS)
        assert (result.segmentation, result.alignment, result.detection) == (segmentation, alignment, detection)
        assert result.part_id == "bracket" and result.reference_hash == inspector.reference.hash
        assert (result.reasons == ()) == (result.verdict == Verdict.PASS)
        seen.add(result.verdict)
    assert seen == set(Verdict)


def test_a_verdict_needs_a_pose(inspector: Inspector) -> None:
    assert inspector.decide(segmented(), None, GOOD).verdict == Verdict.CANNOT_INSPECT
    assert inspector.decide(segmented(), Alignment(None), GOOD).verdict == Verdict.CANNOT_INSPECT


@pytest.mark.parametrize(("kinds", "reasons"), [
    ([RegionKind.MISSING], [Reason.MATERIAL_MISSING]),
    ([RegionKind.SURPLUS], [Reason.MATERIAL_SURPLUS]),
    ([RegionKind.DISPLACED], [Reason.DISPLACED]),
    ([RegionKind.SURPLUS, RegionKind.MISSING, RegionKind.SURPLUS], [Reason.MATERIAL_SURPLUS, Reason.MATERIAL_MISSING]),
])
def test_reasons_of_a_fail(inspector: Inspector, kinds: list[RegionKind], reasons: list[Reason]) -> None:
    regions = [region(kind, 5.0 - k, 9.0 - k) for k, kind in enumerate(kinds)]
    slight = region(RegionKind.DISPLACED, 0.8)
    result = inspector.decide(segmented(), aligned(), detected(*regions, slight))
    assert result.verdict == Verdict.FAIL and list(result.reasons) == reasons
    count = "1 region" if len(kinds) == 1 else f"{len(kinds)} regions"
    assert result.message == f"{count} out of tolerance, the worst {kinds[0].name.lower()} by 9.0 mm"


def test_the_limit_itself_is_good(inspector: Inspector) -> None:
    assert inspector.decide(segmented(), aligned(), detected(region(RegionKind.MISSING, 1.0))).verdict == Verdict.PASS


def test_a_failure_before_the_core() -> None:
    result = cannot_inspect(Reason.TF_MISSING, "no transform", "widget", "abc")
    assert result.verdict == Verdict.CANNOT_INSPECT and result.reasons == (Reason.TF_MISSING,)
    assert result.pose is None and result.segmentation is None and result.detection is None


def test_nothing_is_good_by_default() -> None:
    assert Verdict(0) == Verdict.CANNOT_INSPECT


def shot(T: FloatArray, part: str = "intact") -> ColorImage:
    parts = {"intact": bracket(), "no peg": bracket(without="peg"),
             "moved peg": altered("peg", PIECES["peg"].copy().apply_translation([-0.02, 0, 0])), "box": plain_box()}
    return picture(parts[part], T)


@pytest.mark.parametrize(("part", "verdict", "reason"), [
    ("intact", Verdict.PASS, None), ("no peg", Verdict.FAIL, Reason.MATERIAL_MISSING),
    ("moved peg", Verdict.FAIL, Reason.MATERIAL_SURPLUS), ("box", Verdict.CANNOT_INSPECT, None)])
def test_from_picture_to_verdict(inspector: Inspector, part: str, verdict: Verdict, reason: Reason | None) -> None:
    T = seen_from(bracket(), SIDE, 0.45, roll_deg=15)
    told: list[str] = []
    result = inspector.inspect(shot(T, part), CAMERA, begins=told.append)
    assert result.verdict == verdict, result.message
    assert told == [t.stage for t in result.times]
    assert reason is None or reason in result.reasons
    if verdict != Verdict.CANNOT_INSPECT:
        assert result.pose is not None and turned_by_deg(result.pose.T_camera_part, T) < 2.0
        assert result.rendering is not None and result.rendering.mask.shape == (480, 640)
        assert [t.stage for t in result.times] == ["rectify", "segment", "align", "render", "detect"]
        assert all(t.ms > 0 for t in result.times)


def test_the_lens_is_taken_out_first(inspector: Inspector) -> None:
    """A picture bent by a strong lens gives the pose of the straight one."""
    import cv2

    T = seen_from(bracket(), SIDE, 0.4, shift_m=(0.06, 0.03))
    straight = shot(T)
    lens = Camera(*(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, 640, 480), distortion=(-0.35, 0.1, 0.0, 0.0, 0.0))
    cols, rows = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    flat = cv2.undistortPoints(np.stack([cols.ravel(), rows.ravel()], 1)[:, None], lens.K, np.array(lens.distortion),
                               P=lens.K).reshape(480, 640, 2).astype(np.float32)
    bent = np.asarray(cv2.remap(straight, flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    assert (np.abs(bent.astype(int) - straight).max(axis=2) > 50).sum() > 1000
    result = inspector.inspect(bent, lens)
    assert result.verdict == Verdict.PASS, result.message
    assert result.pose is not None and turned_by_deg(result.pose.T_camera_part, T) < 1.5


def test_an_empty_scene(inspector: Inspector) -> None:
    empty = np.full((480, 640, 3), 150, np.uint8)
    result = inspector.inspect(empty, CAMERA)
    assert result.verdict == Verdict.CANNOT_INSPECT and result.reasons == (Reason.NO_OBJECT,)
    assert result.alignment is None and result.detection is None and result.rendering is None


def test_a_sequence_is_tracked_until_it_is_lost_or_reset(inspector: Inspector) -> None:
    def source(image: ColorImage) -> SeedSource | None:
        pose = inspector.inspect(image, CAMERA).pose
        return pose.seed_source if pose is not None else None

    frames = [shot(seen_from(bracket(), SIDE, 0.45, roll_deg=2.0 * k)) for k in range(3)]
    assert [source(f) for f in frames] == [SeedSource.BLIND, SeedSource.TRACK, SeedSource.TRACK]
    inspector.reset()
    assert source(frames[2]) == SeedSource.BLIND
    assert source(frames[2]) == SeedSource.TRACK
    inspector.inspect(np.full((480, 640, 3), 150, np.uint8), CAMERA)  # an empty scene ends the track
    assert source(frames[2]) == SeedSource.BLIND
    elsewhere = shot(seen_from(bracket(), (-0.6, 0.5, 0.6), 0.45))
    assert source(elsewhere) == SeedSource.BLIND  # the track leads nowhere: searched anew


def test_tracking_can_be_turned_off(reference: Reference) -> None:
    inspector = Inspector(reference, InspectorConfig(pose=PoseConfig(track=False)))
    image = shot(seen_from(bracket(), SIDE, 0.45))
    sources = [inspector.inspect(image, CAMERA).pose for _ in range(2)]
    assert [p.seed_source for p in sources if p is not None] == [SeedSource.BLIND, SeedSource.BLIND]


def test_tf_comes_before_the_track(inspector: Inspector) -> None:
    T = seen_from(bracket(), SIDE, 0.45)
    image = shot(T)
    inspector.inspect(image, CAMERA)
    tf = PoseSeed(make_transform(rotation_exp(np.array([0.0, 0.0, 0.05])), np.zeros(3)) @ T, SeedSource.TF)
    pose = inspector.inspect(image, CAMERA, tf).pose
    assert pose is not None and pose.seed_source == SeedSource.TF
    assert pose.seed_offset_deg == pytest.approx(np.degrees(0.05), abs=0.6)


def test_a_mask_cut_out_around_a_seed_is_cut_out_anew(reference: Reference) -> None:
    """The seed is far off; what GrabCut leaves of that is gone when the mask was looked at again."""
    T = seen_from(bracket(), SIDE, 0.45)
    inspector = Inspector(reference, InspectorConfig(segmentation=SegmentationConfig(method="grabcut")))
    turned = make_transform(rotation_exp(np.array([0.0, 0.06, 0.08])) @ T[:3, :3], T[:3, 3] + [0.008, -0.006, 0.02])
    result = inspector.inspect(shot(T), CAMERA, PoseSeed(turned, SeedSource.TF))
    assert result.verdict is Verdict.PASS and result.segmentation is not None and result.pose is not None
    assert result.segmentation.method == "local_colour"
    assert result.pose.seed_source == SeedSource.TF
    assert rotation_angle_deg(result.pose.T_camera_part[:3, :3], T[:3, :3]) < 0.6
    assert result.pose.seed_offset_deg == pytest.approx(np.degrees(0.1), abs=0.6)


def test_a_pose_that_no_good_mask_confirms_is_not_tracked(
        reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    inspector = Inspector(reference, InspectorConfig(segmentation=SegmentationConfig(method="grabcut")))
    T = seen_from(bracket(), SIDE, 0.45)
    assert inspector.inspect(shot(T), CAMERA, PoseSeed(T, SeedSource.TF)).verdict is Verdict.PASS
    assert inspector.inspect(shot(T), CAMERA).verdict is Verdict.PASS
    monkeypatch.setattr("ptad_core.inspector.segment_around", lambda *given: replace(
        segment_around(*given), reasons=(Reason.MASK_UNRELIABLE,), message="nothing carries it"))
    lost = inspector.inspect(shot(T), CAMERA)
    assert lost.reasons == (Reason.MASK_UNRELIABLE,) and lost.alignment is not None and lost.alignment.trusted
    after = inspector.inspect(shot(T), CAMERA)
    assert after.reasons == (Reason.NO_OBJECT,) and "starts from a pose seed" in after.message


def test_two_runs_of_a_sequence_are_equal(reference: Reference) -> None:
    frames = [shot(seen_from(bracket(), SIDE, 0.45, roll_deg=2.0 * k), part) for k, part in
              enumerate(("intact", "no peg", "intact"))]
    runs = []
    for _ in range(2):
        inspector = Inspector(reference, InspectorConfig())
        runs.append([inspector.inspect(f, CAMERA) for f in frames])
    for a, b in zip(*runs, strict=True):
        assert a.verdict == b.verdict and a.message == b.message and a.reasons == b.reasons
        assert a.pose is not None and b.pose is not None
        assert np.array_equal(a.pose.T_camera_part, b.pose.T_camera_part)
        assert a.detection is not None and b.detection is not None
        assert np.array_equal(a.detection.anomaly_map, b.detection.anomaly_map)


@pytest.mark.parametrize("image", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 4), np.uint8),
                                   np.zeros((480, 640, 3), np.float32), np.zeros((480, 640, 3), np.uint16)])
def test_what_is_no_image(inspector: Inspector, image: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"expected a \(H, W, 3\) uint8 image, got \(480, 640"):
        inspector.inspect(image, CAMERA)


def test_an_image_of_another_camera(inspector: Inspector) -> None:
    with pytest.raises(CameraError, match="expected an image of 320x240 as the camera info says, got 640x480"):
        inspector.inspect(np.zeros((480, 640, 3), np.uint8), SMALL)


@pytest.mark.parametrize("T", [np.zeros((4, 4)), np.diag([1.0, 1.0, -1.0, 1.0]), np.full((4, 4), np.nan), np.eye(3)])
def test_a_seed_that_is_no_pose(inspector: Inspector, T: FloatArray) -> None:
    with pytest.raises(ImageError, match="expected the seed to be a rigid"):
        inspector.inspect(shot(seen_from(bracket(), SIDE)), CAMERA, PoseSeed(T, SeedSource.TF))


def test_detection_without_a_pose(inspector: Inspector) -> None:
    with pytest.raises(ImageError, match="expected an aligned pose, got none"):
        inspector.detect(shot(seen_from(bracket(), SIDE)), CAMERA, segmented(), Alignment(None))


def test_from_config(tmp_path: object, reference_config: ReferenceConfig) -> None:
    with pytest.raises(ConfigError, match="expected a readable picture"):
        Inspector(reference_from_mesh(bracket(), "bracket", reference_config),
                  InspectorConfig(segmentation=SegmentationConfig(method="background", background="none.png")))
    import trimesh

    path = f"{tmp_path}/bracket.ply"
    trimesh.Trimesh(bracket().vertices, bracket().faces).export(path)
    config = InspectorConfig(part=PartConfig(cad=path, unit="m"), reference=reference_config,
                             detection=DetectionConfig(tolerance_mm=4.0))
    inspector = Inspector.from_config(config)
    assert inspector.reference.part_id == "bracket" and inspector.config is config
