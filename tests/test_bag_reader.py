"""The bag reader: frames as they were recorded, and every fault of a recording with its reason."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from bag_making import (
    CAMERA_FRAME,
    PERIOD_NS,
    START_NS,
    Item,
    camera_info,
    camera_items,
    compressed_image,
    noise_pictures,
    raw_image,
    transform,
    write_bag,
)

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict
from ptad_core.errors import BagError
from ptad_core.evaluation import messages
from ptad_core.evaluation.bag_reader import BagReader, FrameOptions, read_frames
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.types import Reason, SeedSource
from ptad_ros.join import FrameJoin

CAMERA = Camera(300.0, 310.0, 79.5, 59.5, 160, 120)


def test_frames_are_what_was_recorded(tmp_path: Path) -> None:
    pictures = noise_pictures(3, CAMERA)
    frames = list(read_frames(write_bag(tmp_path / "bag", camera_items(pictures, CAMERA))))
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.stamp_ns for frame in frames] == [START_NS + i * PERIOD_NS for i in range(3)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.failure is None and frame.seed is None
        assert frame.frame_id == CAMERA_FRAME
        assert frame.camera == CAMERA
        np.testing.assert_array_equal(frame.image_bgr, picture)


@pytest.mark.parametrize("sqlite", [False, True])
@pytest.mark.parametrize("zstd_messages", [False, True])
def test_storage_and_compression_make_no_difference(tmp_path: Path, sqlite: bool, zstd_messages: bool) -> None:
    pictures = noise_pictures(2, CAMERA)
    bag = write_bag(tmp_path / "bag", camera_items(pictures, CAMERA), sqlite, zstd_messages)
    reader = BagReader(bag)
    for frame, picture in zip(reader, pictures, strict=True):
        np.testing.assert_array_equal(frame.image_bgr, picture)
    assert reader.loss == "" and reader.expected_frames == 2


def test_a_single_file_is_a_bag_too(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", camera_items(noise_pictures(2, CAMERA), CAMERA))
    assert len(list(BagReader(bag / "bag.mcap"))) == 2


GREY = np.arange(120 * 160, dtype=np.uint32).reshape(120, 160) * 3 % 65536


@pytest.mark.parametrize(("encoding", "pixels", "bgr"), [
    ("rgb8", np.full((120, 160, 3), (1, 2, 3), np.uint8), (3, 2, 1)),
    ("bgra8", np.full((120, 160, 4), (1, 2, 3, 200), np.uint8), (1, 2, 3)),
    ("rgba8", np.full((120, 160, 4), (1, 2, 3, 200), np.uint8), (3, 2, 1)),
    ("mono8", np.full((120, 160), 9, np.uint8), (9, 9, 9)),
    ("8UC1", np.full((120, 160), 9, np.uint8), (9, 9, 9)),
    ("mono16", np.full((120, 160), 65535, np.uint16), (255, 255, 255)),
    ("16UC1", np.full((120, 160), 257 * 100, np.uint16), (100, 100, 100)),
])
@pytest.mark.parametrize("padding", [0, 8])
def test_encodings(tmp_path: Path, encoding: str, pixels: np.ndarray, bgr: tuple[int, ...], padding: int) -> None:
    items = [Item("/camera_info", START_NS, camera_info(START_NS, CAMERA)),
             Item("/image_raw", START_NS, raw_image(START_NS, pixels, encoding, padding))]
    (frame,) = read_frames(write_bag(tmp_path / "bag", items))
    assert frame.failure is None
    assert frame.image_bgr is not None and frame.image_bgr.shape == (120, 160, 3)
    assert (frame.image_bgr == np.array(bgr)).all()


def test_compressed_images(tmp_path: Path) -> None:
    (picture,) = noise_pictures(1, CAMERA)
    items = [Item("/image_raw/compressed", START_NS, compressed_image(START_NS, picture)),
             Item("/camera_info", START_NS, camera_info(START_NS, CAMERA))]
    (frame,) = read_frames(write_bag(tmp_path / "bag", items))
    np.testing.assert_array_equal(frame.image_bgr, picture)


def _one_frame(tmp_path: Path, image: object, info: object) -> tuple[Reason, str] | None:
    items = [Item("/camera_info", START_NS, info), Item("/image_raw", START_NS, image)]
    (frame,) = read_frames(write_bag(tmp_path / "bag", items))
    return frame.failure


def test_unknown_encoding(tmp_path: Path) -> None:
    pixels = np.zeros((120, 160), np.uint8)
    failure = _one_frame(tmp_path, raw_image(START_NS, pixels, "thermal_x"), camera_info(START_NS, CAMERA))
    assert failure is not None and failure[0] is Reason.BAD_ENCODING
    assert "thermal_x" in failure[1] and "bgr8" in failure[1]


def test_depth_is_no_picture(tmp_path: Path) -> None:
    pixels = np.zeros((120, 160), np.float32)
    failure = _one_frame(tmp_path, raw_image(START_NS, pixels, "32FC1"), camera_info(START_NS, CAMERA))
    assert failure is not None and failure[0] is Reason.BAD_ENCODING


def test_image_with_too_few_bytes(tmp_path: Path) -> None:
    image = raw_image(START_NS, np.zeros((120, 160, 3), np.uint8), "bgr8")
    image = dataclasses.replace(image, data=image.data[:1000])
    failure = _one_frame(tmp_path, image, camera_info(START_NS, CAMERA))
    assert failure is not None and failure[0] is Reason.IMAGE_CORRUPT
    assert "1000 bytes" in failure[1]


def test_undecodable_jpeg(tmp_path: Path) -> None:
    image = compressed_image(START_NS, np.zeros((120, 160, 3), np.uint8))
    failure = _one_frame(tmp_path, dataclasses.replace(image, data=image.data[:20]), camera_info(START_NS, CAMERA))
    assert failure is not None and failure[0] is Reason.IMAGE_CORRUPT


def test_image_size_against_camera_info(tmp_path: Path) -> None:
    image = raw_image(START_NS, np.zeros((60, 80, 3), np.uint8), "bgr8")
    failure = _one_frame(tmp_path, image, camera_info(START_NS, CAMERA))
    assert failure is not None and failure[0] is Reason.SIZE_MISMATCH
    assert "160x120" in failure[1] and "80x60" in failure[1]


def test_K_of_zeros(tmp_path: Path) -> None:
    image = raw_image(START_NS, np.zeros((120, 160, 3), np.uint8), "bgr8")
    failure = _one_frame(tmp_path, image, camera_info(START_NS, CAMERA, K=np.zeros((3, 3))))
    assert failure is not None and failure[0] is Reason.BAD_INTRINSICS
    assert "never calibrated" in failure[1]


FIRST, SECOND = dataclasses.replace(CAMERA, fx=333.0), dataclasses.replace(CAMERA, fx=344.0)


def info_item(log_ns: int, stamp_ns: int, camera: Camera, frame_id: str = CAMERA_FRAME) -> Item:
    info = camera_info(stamp_ns, camera)
    info.header.frame_id = frame_id
    return Item("/camera_info", log_ns, info)


def nodes_choice(items: list[Item], stamp_ns: int) -> Camera | None:
    """What the nodes take for an image once the messages of a bag have come, in their order."""
    join = FrameJoin()
    for item in sorted(items, key=lambda item: item.log_ns):
        if item.topic == "/camera_info":
            header = item.content.header
            join.add_info(messages.stamp_ns(header), header.frame_id, item.content)
    join.add("image", stamp_ns, CAMERA_FRAME, None, now_s=0.0)
    (joined,) = join.take(now_s=60.0, info_timeout_s=0.2, stage_timeout_s=10.0)
    return None if joined.info is None else messages.decode_camera(joined.info)


@pytest.mark.parametrize(("infos", "expected"), [
    pytest.param([info_item(START_NS, START_NS, FIRST), info_item(START_NS + 10, START_NS + 10, SECOND)], FIRST,
                 id="the one of the same stamp, though a newer one has come"),
    pytest.param([info_item(START_NS - 20, START_NS - 20, FIRST), info_item(START_NS - 10, START_NS - 10, SECOND)],
                 SECOND, id="else the last one"),
    pytest.param([info_item(START_NS - 10, START_NS - 10, FIRST)], FIRST, id="published once before"),
    pytest.param([info_item(START_NS + 10, START_NS + 10, FIRST)], FIRST, id="published once and late"),
    pytest.param([info_item(START_NS, 10**18, FIRST)], FIRST, id="published once by another clock"),
    pytest.param([info_item(START_NS, START_NS, FIRST, "camera_depth")], None, id="of another camera"),
    pytest.param([info_item(START_NS - 10, START_NS - 10, FIRST), info_item(START_NS, START_NS, SECOND, "depth")],
                 FIRST, id="of this camera though another one fits better"),
])
def test_the_camera_info_is_the_one_that_the_nodes_take(tmp_path: Path, infos: list[Item],
                                                        expected: Camera | None) -> None:
    image = Item("/image_raw", START_NS, raw_image(START_NS, np.zeros((120, 160, 3), np.uint8), "bgr8"))
    items = sorted([*infos, image], key=lambda item: item.log_ns)
    (frame,) = read_frames(write_bag(tmp_path / "bag", items))
    assert frame.camera == expected == nodes_choice(items, START_NS)
    if expected is None:
        assert frame.failure is not None and frame.failure[0] is Reason.CAMERA_INFO_MISSING
        assert CAMERA_FRAME in frame.failure[1] and "'camera_depth'" in frame.failure[1]
    else:
        assert frame.failure is None


T_CELL_CAMERA = make_transform(rotation_exp(np.array([0.2, -0.1, 0.3])), np.array([0.1, 0.2, -0.5]))
T_CELL_PART = make_transform(rotation_exp(np.array([0.0, 0.5, 0.0])), np.array([0.0, 0.3, 0.4]))


def _tf_bag(tmp_path: Path, camera_stamps_ns: tuple[int, ...]) -> Path:
    items = camera_items(noise_pictures(3, CAMERA), CAMERA)
    items.append(Item("/tf_static", START_NS, transform(START_NS, "cell", "part_nominal", T_CELL_PART)))
    for stamp_ns in camera_stamps_ns:
        items.append(Item("/tf", stamp_ns, transform(stamp_ns, "cell", CAMERA_FRAME, T_CELL_CAMERA)))
    return write_bag(tmp_path / "bag", sorted(items, key=lambda item: item.log_ns))


def test_seed_comes_from_TF_at_the_stamp(tmp_path: Path) -> None:
    bag = _tf_bag(tmp_path, (START_NS, START_NS + 5 * PERIOD_NS))
    expected = np.linalg.inv(T_CELL_CAMERA) @ T_CELL_PART
    config = from_dict(CellConfig, {"tf": {"part_frame": "part_nominal"}, "pose": {"seed_sigma_deg": 3.0}})
    for frame in read_frames(bag, FrameOptions.from_config(config)):
        assert frame.failure is None
        assert frame.seed is not None and frame.seed.source is SeedSource.TF
        assert frame.seed.sigma_rotation_deg == 3.0
        np.testing.assert_allclose(frame.seed.T_camera_part, expected, atol=1e-9)


def test_missing_and_stale_TF(tmp_path: Path) -> None:
    bag = _tf_bag(tmp_path, (START_NS - PERIOD_NS, START_NS + PERIOD_NS // 2))
    missing = next(read_frames(bag, FrameOptions(part_frame="elsewhere"))).failure
    assert missing is not None and missing[0] is Reason.TF_MISSING
    assert "elsewhere" in missing[1]
    first, *later = read_frames(bag, FrameOptions(part_frame="part_nominal"))
    assert first.failure is None and first.seed is not None
    for frame in later:
        assert frame.failure is not None and frame.failure[0] is Reason.TF_STALE
        assert frame.seed is None
    lenient = list(read_frames(bag, FrameOptions(part_frame="part_nominal", seed_required=False)))
    assert [frame.failure for frame in lenient] == [None, None, None]
    assert [frame.seed is None for frame in lenient] == [False, True, True]


def test_a_gap_in_TF_is_not_bridged(tmp_path: Path) -> None:
    bag = _tf_bag(tmp_path, (START_NS, START_NS + 12 * PERIOD_NS))
    for max_gap_s, reasons in ((1.0, [None, Reason.TF_STALE, Reason.TF_STALE]), (1.5, [None] * 3), (0.0, [None] * 3)):
        config = from_dict(CellConfig, {"tf": {"part_frame": "part_nominal", "max_gap_s": max_gap_s}})
        frames = list(read_frames(bag, FrameOptions.from_config(config)))
        assert [frame.failure and frame.failure[0] for frame in frames] == reasons
        assert all("gap of 1.200 s" in frame.failure[1] for frame in frames if frame.failure is not None)


def test_of_several_faults_the_one_that_the_nodes_say_is_said(tmp_path: Path) -> None:
    """The nodes look up transforms before they decode, and decode before they look at the CameraInfo."""
    pixels = np.zeros((120, 160), np.uint8)
    items = [info_item(START_NS, START_NS, CAMERA, "elsewhere"),
             Item("/image_raw", START_NS, raw_image(START_NS, pixels, "thermal_x")),
             Item("/image_raw", START_NS + 1, raw_image(START_NS + 1, pixels, "mono8"))]
    bag = write_bag(tmp_path / "bag", items)

    def reasons(options: FrameOptions) -> list[Reason]:
        return [frame.failure[0] for frame in read_frames(bag, options) if frame.failure is not None]

    assert reasons(FrameOptions(part_frame="part_nominal")) == [Reason.TF_MISSING, Reason.TF_MISSING]
    assert reasons(FrameOptions()) == [Reason.BAD_ENCODING, Reason.CAMERA_INFO_MISSING]
    optional = FrameOptions(part_frame="part_nominal", seed_required=False)
    assert reasons(optional) == [Reason.BAD_ENCODING, Reason.CAMERA_INFO_MISSING]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("sqlite", [False, True])
@pytest.mark.parametrize("zstd_messages", [False, True])
def test_truncated_bag_yields_what_is_readable_and_states_the_loss(
        tmp_path: Path, share: float, sqlite: bool, zstd_messages: bool) -> None:
    pictures = noise_pictures(40, CAMERA)
    bag = write_bag(tmp_path / "bag", camera_items(pictures, CAMERA), sqlite, zstd_messages)
    file = bag / ("bag.db3" if sqlite else "bag.mcap")
    content = file.read_bytes()
    file.write_bytes(content[:int(share * len(content))])
    reader = BagReader(bag)
    frames = list(reader)
    assert 40 * share - 3 <= len(frames) <= 40 * share + 1
    for frame, picture in zip(frames, pictures, strict=False):
        np.testing.assert_array_equal(frame.image_bgr, picture)
        assert frame.camera == CAMERA
    assert reader.expected_frames == 40
    assert f"{len(frames)} of 40 recorded images read, {40 - len(frames)} lost" in reader.loss
    assert file.name in reader.loss


def test_recorder_that_was_killed_left_no_metadata(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", camera_items(noise_pictures(30, CAMERA), CAMERA))
    (bag / "metadata.yaml").unlink()
    file = bag / "bag.mcap"
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    reader = BagReader(bag)
    assert 12 <= len(list(reader)) <= 16
    assert reader.expected_frames is None
    assert "how many were recorded is not known" in reader.loss


def test_damaged_chunk_costs_only_its_own_frames(tmp_path: Path) -> None:
    pictures = noise_pictures(60, CAMERA)  # 57 kB each, in chunks of 1 MiB
    bag = write_bag(tmp_path / "bag", camera_items(pictures, CAMERA))
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    content[1_500_000:1_560_000] = bytes(60_000)
    file.write_bytes(content)
    reader = BagReader(bag)
    frames = {frame.stamp_ns: frame for frame in reader}
    assert 40 < len(frames) < 60
    assert f"{60 - len(frames)} lost" in reader.loss and "damaged" in reader.loss
    for index in (0, 59):
        np.testing.assert_array_equal(frames[START_NS + index * PERIOD_NS].image_bgr, pictures[index])


def test_rubbish_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such bag"):
        BagReader(tmp_path / "nothing")
    (tmp_path / "text.mcap").write_text("not a bag")
    with pytest.raises(BagError, match="expected an MCAP file"):
        BagReader(tmp_path / "text.mcap")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BagError, match=r"\.mcap or \.db3"):
        BagReader(tmp_path / "empty")
    (tmp_path / "old.bag").write_text("#ROSBAG V2.0")
    with pytest.raises(BagError, match="rosbags-convert"):
        BagReader(tmp_path / "old.bag")


def test_choice_of_topics(tmp_path: Path) -> None:
    pictures = noise_pictures(2, CAMERA)
    other = [dataclasses.replace(item, topic=item.topic.replace("/camera/", "/second/"))
             for item in camera_items(pictures, CAMERA)]
    bag = write_bag(tmp_path / "bag", camera_items(pictures, CAMERA) + other)
    with pytest.raises(BagError, match="/camera/image_raw, /second/image_raw"):
        BagReader(bag)
    with pytest.raises(BagError, match="topics that have them: /camera/image_raw"):
        BagReader(bag, FrameOptions("/third/image_raw"))
    reader = BagReader(bag, FrameOptions("/second/image_raw"))
    assert reader.info_topic == "/second/camera_info"
    shutil.rmtree(bag)
    bag = write_bag(bag, [item for item in camera_items(pictures, CAMERA) if "info" not in item.topic])
    with pytest.raises(BagError, match="camera_info"):
        BagReader(bag)


def test_raw_or_compressed_as_configured(tmp_path: Path) -> None:
    (picture,) = noise_pictures(1, CAMERA)
    items = [*camera_items([picture], CAMERA),
             Item("/camera/image_raw/compressed", START_NS, compressed_image(START_NS, picture))]
    bag = write_bag(tmp_path / "bag", items)
    assert BagReader(bag).image_topic == "/camera/image_raw"
    assert BagReader(bag, FrameOptions(compressed=True)).image_topic == "/camera/image_raw/compressed"
