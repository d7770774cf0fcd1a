"""Bad input gets a clear answer and loses nothing: each fault ends as CANNOT_INSPECT with its reason, or as an error
that says what was expected and what came. Nothing of it ever ends as PASS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bag_making import CAMERA_FRAME, PERIOD_NS, START_NS, Item, camera_info, raw_image, transform, write_bag
from part_making import CAMERA, bracket, config, empty_table, picture, pose, save, seed_at, wheel

from ptad_core.camera import Camera
from ptad_core.config import CellConfig
from ptad_core.errors import BagError, CameraError, ImageError, MeshError, UnitError
from ptad_core.evaluation.bag_reader import Frame
from ptad_core.evaluation.pictures import rectified
from ptad_core.evaluation.replay import ReplaySummary, inspect_frame, replay
from ptad_core.evaluation.report import ReportWriter
from ptad_core.evaluation.results import FrameRecord, read_results
from ptad_core.inspector import Inspector
from ptad_core.reference import load_mesh
from ptad_core.types import ColorImage, FloatArray, PoseSeed, Reason, SeedSource, Verdict


@pytest.fixture(scope="module")
def cad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(bracket(), tmp_path_factory.mktemp("cad") / "bracket.stl")


@pytest.fixture
def inspector(cad: Path) -> Inspector:
    return Inspector.from_config(config(cad))


def items_of(pictures: list[ColorImage], camera: Camera = CAMERA) -> list[Item]:
    items = []
    for i, image in enumerate(pictures):
        stamp_ns = START_NS + i * PERIOD_NS
        items += [Item("/camera_info", stamp_ns, camera_info(stamp_ns, camera)),
                  Item("/image_raw", stamp_ns, raw_image(stamp_ns, image, "bgr8"))]
    return items


def run(tmp_path: Path, items: list[Item], settings: CellConfig) -> tuple[ReplaySummary, list[FrameRecord]]:
    summary = replay(write_bag(tmp_path / "bag", items), settings, tmp_path / "out")
    return summary, read_results(tmp_path / "out" / "results.jsonl")


def test_an_intact_part_passes(tmp_path: Path, cad: Path) -> None:
    """The other tests of this file mean something only because this one holds."""
    summary, records = run(tmp_path, items_of([picture(bracket(), pose(turn)) for turn in (0, 4)]), config(cad))
    assert [record.verdict for record in records] == [Verdict.PASS, Verdict.PASS]
    assert summary.exit_code == 0 and summary.loss == ""


def test_missing_unit(cad: Path) -> None:
    with pytest.raises(UnitError, match="expected the unit of the CAD file"):
        load_mesh(cad, "")


def test_unknown_unit(cad: Path) -> None:
    with pytest.raises(UnitError, match="'furlong'"):
        load_mesh(cad, "furlong")


def test_millimetres_taken_for_metres_are_doubted(cad: Path) -> None:
    (doubt,) = [w for w in load_mesh(cad, "m").warnings if "unit" in w]
    assert "mm" in doubt


def test_millimetres_taken_for_metres_contradict_a_seed(cad: Path) -> None:
    """At its nominal pose, metres away from where such a giant could be, the part cannot be confirmed."""
    settings = config(cad, unit="m", pose={"search_when_seed_fails": False})
    result = Inspector.from_config(settings).inspect(picture(bracket(), pose()), CAMERA, seed_at(pose()))
    assert result.verdict is Verdict.CANNOT_INSPECT and result.reasons


@pytest.mark.parametrize(("name", "content"), [
    ("empty.stl", b""), ("text.stl", b"this is not a mesh"), ("half.obj", b"v 0 0 0\nf 1 2"),
    ("part.step", b"ISO-10303"),
])
def test_unreadable_mesh(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeshError, match=name):
        load_mesh(tmp_path / name, "mm")


def test_absent_mesh(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="absent"):
        load_mesh(tmp_path / "absent.stl", "mm")


def test_K_of_zeros() -> None:
    with pytest.raises(CameraError, match="all zeros"):
        Camera.from_K(np.zeros((3, 3)), 320, 240)


def test_image_size_against_camera_info(inspector: Inspector) -> None:
    with pytest.raises(CameraError, match=r"320x240.*160x120"):
        inspector.inspect(picture(bracket(), pose())[::2, ::2].copy(), CAMERA)


def test_image_that_is_not_colour(inspector: Inspector) -> None:
    with pytest.raises(ImageError, match="uint8"):
        inspector.inspect(picture(bracket(), pose())[..., 0].copy(), CAMERA)


def spoil_encoding(items: list[Item]) -> None:
    items[3].content.encoding = "thermal_x"


def spoil_size(items: list[Item]) -> None:
    items[2].content.width = 640


def spoil_K(items: list[Item]) -> None:
    items[2].content.k[:] = 0


def spoil_distortion(items: list[Item]) -> None:
    items[2].content.d = np.array([0.1, np.nan, 0.0, 0.0, 0.0])


def spoil_distortion_length(items: list[Item]) -> None:
    items[2].content.d = np.array([0.1] * 7)


def spoil_fisheye(items: list[Item]) -> None:
    items[2].content.d = np.array([0.1] * 5)
    items[2].content.distortion_model = "equidistant"


def spoil_data(items: list[Item]) -> None:
    items[3].content.data = items[3].content.data[:500]


def drop_info(items: list[Item]) -> None:
    for item in items[::2]:
        item.content.header.frame_id = "another_camera"


@pytest.mark.parametrize(("spoil", "reason", "frames"), [
    (spoil_encoding, Reason.BAD_ENCODING, [1]),
    (spoil_size, Reason.SIZE_MISMATCH, [1]),
    (spoil_K, Reason.BAD_INTRINSICS, [1]),
    (spoil_distortion, Reason.BAD_INTRINSICS, [1]),
    (spoil_distortion_length, Reason.BAD_INTRINSICS, [1]),
    (spoil_fisheye, Reason.BAD_INTRINSICS, [1]),
    (spoil_data, Reason.IMAGE_CORRUPT, [1]),
    (drop_info, Reason.CAMERA_INFO_MISSING, [0, 1, 2]),
])
def test_a_bad_frame_is_answered_and_costs_no_other(
        tmp_path: Path, cad: Path, spoil: Callable[[list[Item]], None], reason: Reason, frames: list[int]) -> None:
    items = items_of([picture(bracket(), pose(turn)) for turn in (0, 2, 4)])
    spoil(items)
    summary, records = run(tmp_path, items, config(cad))
    assert [record.index for record in records] == [0, 1, 2]
    assert [record.index for record in records if record.reasons == (reason,)] == frames
    assert all(records[i].verdict is Verdict.CANNOT_INSPECT and records[i].message for i in frames)
    assert all(record.verdict is Verdict.PASS for record in records if record.index not in frames)
    assert summary.exit_code == 2


def test_a_camera_that_fails_late_costs_one_frame(tmp_path: Path, cad: Path) -> None:
    """Neither report nor evidence stumble over a camera that the inspector has refused already."""
    bad = Camera(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height, (0.1,) * 7)
    settings, image = config(cad), picture(bracket(), pose())
    inspector = Inspector.from_config(settings)
    frame = Frame(0, START_NS, CAMERA_FRAME, image, bad)
    result = inspect_frame(inspector, inspector.reference, frame)
    assert result.reasons == (Reason.BAD_INTRINSICS,)
    report = ReportWriter(tmp_path / "report.html", "late", {})
    report.add(frame, result)
    report.finish()
    assert "usable lens distortion" in (tmp_path / "report.html").read_text()
    flat, camera = rectified(image, bad)
    assert camera is None and np.array_equal(flat, image)


def test_empty_mask(inspector: Inspector) -> None:
    result = inspector.inspect(empty_table(), CAMERA)
    assert result.verdict is Verdict.CANNOT_INSPECT
    assert Reason.NO_OBJECT in result.reasons and result.message


def test_part_cut_by_the_border(inspector: Inspector) -> None:
    result = inspector.inspect(picture(bracket(), pose(shift_mm=(-110, 0, 0))), CAMERA)
    assert result.verdict is Verdict.CANNOT_INSPECT
    assert Reason.CUT_BY_BORDER in result.reasons


def behind(T: FloatArray) -> FloatArray:
    moved = T.copy()
    moved[2, 3] *= -1
    return moved


@pytest.mark.parametrize("image", [empty_table(), picture(wheel(), pose())], ids=["empty", "other part"])
def test_part_out_of_view(cad: Path, image: ColorImage) -> None:
    """The nominal pose lies behind the camera, and the part is not in the picture."""
    seed = PoseSeed(behind(pose()), SeedSource.TF)
    result = Inspector.from_config(config(cad)).inspect(image, CAMERA, seed)
    assert result.verdict is Verdict.CANNOT_INSPECT and result.reasons


def test_seed_behind_the_camera_is_named(cad: Path) -> None:
    settings = config(cad, pose={"search_when_seed_fails": False})
    seed = PoseSeed(behind(pose()), SeedSource.TF)
    result = Inspector.from_config(settings).inspect(picture(bracket(), pose()), CAMERA, seed)
    assert result.verdict is Verdict.CANNOT_INSPECT
    assert {Reason.OUT_OF_VIEW, Reason.SEED_CONTRADICTED} & set(result.reasons)


def tf_items(stamps_ns: list[int]) -> list[Item]:
    items = items_of([picture(bracket(), pose())] * 3)
    items += [Item("/tf", ns, transform(ns, CAMERA_FRAME, "part_nominal", pose())) for ns in stamps_ns]
    return sorted(items, key=lambda item: item.log_ns)


@pytest.mark.parametrize(("stamps_ns", "frame", "reasons"), [
    ([START_NS, START_NS + PERIOD_NS], "part_nominal", [(), (), (Reason.TF_STALE,)]),
    ([START_NS, START_NS + PERIOD_NS], "elsewhere", [(Reason.TF_MISSING,)] * 3),
    ([], "part_nominal", [(Reason.TF_MISSING,)] * 3),
])
def test_missing_and_stale_TF(tmp_path: Path, cad: Path, stamps_ns: list[int], frame: str,
                              reasons: list[tuple[Reason, ...]]) -> None:
    summary, records = run(tmp_path, tf_items(stamps_ns), config(cad, tf={"part_frame": frame}))
    assert [record.reasons for record in records] == reasons
    assert [record.verdict is Verdict.PASS for record in records] == [not r for r in reasons]
    assert summary.exit_code == 2


def test_truncated_bag(tmp_path: Path, cad: Path) -> None:
    pictures = [picture(bracket(), pose(turn), seed=turn) for turn in range(12)]
    bag = write_bag(tmp_path / "bag", items_of(pictures))
    whole = replay(bag, config(cad), tmp_path / "whole")
    file = bag / "bag.mcap"
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    half = replay(bag, config(cad), tmp_path / "half")
    assert whole.frames == 12 and whole.loss == "" and whole.exit_code == 0
    assert 4 <= half.frames <= 6 and half.expected == 12
    assert f"{12 - half.frames} lost" in half.loss
    assert half.exit_code == 2, "frames that are lost were not inspected"
    lines = (tmp_path / "whole" / "results.jsonl").read_text().splitlines()
    assert (tmp_path / "half" / "results.jsonl").read_text().splitlines() == lines[:half.frames]
    assert half.loss.split(";")[0] in (tmp_path / "half" / "report.html").read_text()


def test_a_bag_without_images(tmp_path: Path, cad: Path) -> None:
    items = [item for item in items_of([empty_table()]) if item.topic == "/camera_info"]
    with pytest.raises(BagError, match="expected one topic with image messages"):
        replay(write_bag(tmp_path / "bag", items), config(cad), tmp_path / "out")


@pytest.mark.parametrize("seeded", [False, True])
def test_a_CAD_that_is_not_in_the_bag_never_passes(tmp_path: Path, seeded: bool) -> None:
    other = config(save(wheel(), tmp_path / "wheel.stl"), tf={"part_frame": "part_nominal" if seeded else ""})
    items = [*tf_items([START_NS, START_NS + 2 * PERIOD_NS]),
             Item("/image_raw", START_NS + 3 * PERIOD_NS, raw_image(START_NS + 3 * PERIOD_NS, empty_table(), "bgr8"))]
    summary, records = run(tmp_path, items, other)
    assert len(records) == 4
    assert Verdict.PASS not in summary.verdicts
    assert summary.exit_code in (1, 2)
