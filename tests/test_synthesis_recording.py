"""The recording of a cell: its bag, its truth and its configuration belong together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict, load_yaml
from ptad_core.errors import BagError
from ptad_core.frames import from_quaternion, invert, rotation_angle_deg
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.defects import FIVE_KINDS, Visibility
from ptad_core.synthesis.recording import CAMERA, EXPECTED, PERIOD_NS, VISITS, Recording, generate_demo, plan_recording
from ptad_core.synthesis.viewpoints import share_outside

SMALL = Camera(154.0, 154.0, 79.5, 59.5, 160, 120)
VISIBILITY = Visibility(min_pixels=25, min_outline_pixels=8)
FRAMES = len(VISITS) + 2


def generate(out: Path, seed: int = 3) -> Recording:
    return generate_demo(out, frames=FRAMES, seed=seed, camera=SMALL, visibility=VISIBILITY)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Recording]:
    out = tmp_path_factory.mktemp("demo")
    return out, generate(out)


@pytest.fixture(scope="module")
def messages(made) -> dict[str, list[tuple[int, object]]]:
    types = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, list[tuple[int, object]]] = {}
    with Reader(made[0] / "bag") as reader:
        for connection, time_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((time_ns, types.deserialize_cdr(raw, connection.msgtype)))
    return found


@pytest.fixture(scope="module")
def truth(made) -> list[dict]:
    return [json.loads(line) for line in (made[0] / "truth.jsonl").read_text().splitlines()]


def stamp_ns(header) -> int:
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def transform(message) -> np.ndarray:
    t = message.transforms[0].transform
    return from_quaternion(np.array([t.translation.x, t.translation.y, t.translation.z]),
                           np.array([t.rotation.x, t.rotation.y, t.rotation.z, t.rotation.w]))


def test_bag_has_the_topics_of_a_cell(messages, truth) -> None:
    assert {topic: len(m) for topic, m in messages.items()} == {
        "/camera/image_raw": FRAMES, "/camera/camera_info": FRAMES, "/tf": FRAMES, "/tf_static": 1}
    for k, (time_ns, image) in enumerate(messages["/camera/image_raw"]):
        assert (image.encoding, image.height, image.width, image.step) == ("bgr8", 120, 160, 480)
        assert stamp_ns(image.header) == truth[k]["stamp_ns"] == truth[0]["stamp_ns"] + k * PERIOD_NS <= time_ns
        info, tf = messages["/camera/camera_info"][k][1], messages["/tf"][k][1]
        assert stamp_ns(info.header) == stamp_ns(image.header) == stamp_ns(tf.transforms[0].header)
        assert info.header.frame_id == image.header.frame_id == tf.transforms[0].child_frame_id
        assert np.array_equal(info.k.reshape(3, 3), SMALL.K) and (info.width, info.height) == (160, 120)
    static = messages["/tf_static"][0][1].transforms[0]
    assert (static.header.frame_id, static.child_frame_id) == ("cell", "part_nominal")


def test_truth_covers_every_kind_and_says_what_is_right(truth) -> None:
    kinds = [line["truth"] for line in truth]
    assert set(kinds) == {"intact", "empty", "cut", *(kind.value for kind in FIVE_KINDS)}
    assert all(line["expected"] == EXPECTED[line["truth"]].name for line in truth)
    for line in truth:
        assert (line["T_camera_part"] is None) == (line["truth"] == "empty")
        assert (line["box_px"] is not None) == (line["expected"] == "FAIL")
        if line["box_px"] is not None:
            x, y, width, height = line["box_px"]
            assert x >= 0 and x + width <= 160 and y >= 0 and y + height <= 120
            assert width * height >= line["visible_px"] >= VISIBILITY.min_pixels
            assert line["outline_px"] >= VISIBILITY.min_outline_pixels


def test_in_full_length_about_half_is_intact() -> None:
    frames = {truth: sum(n for kind, n in VISITS if kind == truth) for truth in EXPECTED}
    assert sum(frames.values()) >= 64
    assert 0.4 <= frames["intact"] / sum(frames.values()) <= 0.65
    assert min(frames.values()) >= 3
    assert (CAMERA.width, CAMERA.height) == (640, 480)


def test_seed_from_tf_is_near_the_truth_but_not_it(messages, truth) -> None:
    nominal = transform(messages["/tf_static"][0][1])
    angles, distances = [], []
    for line, (_, tf) in zip(truth, messages["/tf"], strict=True):
        if line["T_camera_part"] is None:
            continue
        seed = invert(transform(tf)) @ nominal
        T = np.array(line["T_camera_part"]).reshape(4, 4)
        angles.append(rotation_angle_deg(seed[:3, :3], T[:3, :3]))
        distances.append(float(np.linalg.norm(seed[:3, 3] - T[:3, 3])))
    assert 0.5 < np.max(angles) < 6.0 and 0.001 < np.max(distances) < 0.01
    assert np.min(angles) > 0.01


def test_pictures_show_the_part_where_the_truth_has_it(made, messages, truth) -> None:
    _, recording = made
    renderer = ExactRenderer(recording.reference.solid.vertices, recording.reference.solid.faces)
    for line, (_, image) in zip(truth, messages["/camera/image_raw"], strict=True):
        pixels = image.data.reshape(120, 160, 3).astype(int)
        coloured = np.ptp(pixels, axis=2) > 25
        if line["T_camera_part"] is None:
            assert coloured.mean() < 0.01
            continue
        T = np.array(line["T_camera_part"]).reshape(4, 4)
        outside = share_outside(renderer, SMALL, T)
        assert (0.25 <= outside <= 0.5) if line["truth"] == "cut" else outside == 0.0
        mask = renderer.mask(SMALL, T) > 0.5
        if line["truth"] in ("intact", "cut"):
            assert coloured[mask].mean() > 0.6 and coloured[~mask].mean() < 0.03


def test_camera_moves_smoothly_around_all_sides(made) -> None:
    _, recording = made
    centre = recording.T_cell_nominal[:3, 3] + [0, 0, 0.45 * recording.reference.solid.extent[2]]
    eyes = np.array([invert(T)[:3, 3] for T in recording.T_camera_cell]) - centre
    elevation = np.degrees(np.arcsin(eyes[:, 2] / np.linalg.norm(eyes, axis=1)))
    assert 22 < elevation.min() < 32 and 53 < elevation.max() < 63
    azimuth = np.unwrap(np.arctan2(eyes[:, 1], eyes[:, 0]))
    steps = np.degrees(np.diff(azimuth))
    assert (steps > 0).all() and steps.max() < 2 * 360 / FRAMES
    assert np.degrees(np.ptp(azimuth)) > 360 * (1 - 2 / FRAMES)


def test_configuration_names_the_part_its_unit_and_its_frame(made) -> None:
    out, recording = made
    config = from_dict(CellConfig, load_yaml(out / "cell.yaml"))
    assert (config.part.unit, config.tf.part_frame) == ("mm", "part_nominal")
    assert Path(config.part.cad).samefile(out / "part.obj")
    lines = (out / "part.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    assert np.ptp(vertices, axis=0) / 1000 == pytest.approx(recording.reference.solid.extent, rel=1e-4)


def test_same_seed_same_bytes_other_seed_other_recording(made, tmp_path) -> None:
    out, recording = made
    generate(tmp_path / "again")
    for name in ("part.obj", "truth.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    (bag,), (bag_again,) = (sorted((folder / "bag").glob("*.mcap")) for folder in (out, tmp_path / "again"))
    assert bag.read_bytes() == bag_again.read_bytes()
    other = plan_recording(FRAMES, seed=4, camera=SMALL, visibility=VISIBILITY)
    assert not np.array_equal(other.reference.solid.extent, recording.reference.solid.extent)
    assert not np.array_equal(other.T_camera_cell[0], recording.T_camera_cell[0])


@pytest.mark.parametrize("family", ["chair", "flanged_pipe", "housing"])
def test_every_family_can_be_recorded_with_every_defect_in_each_frame_of_it(family: str) -> None:
    recording = plan_recording(len(VISITS), seed=0, family=family, camera=SMALL, visibility=VISIBILITY)
    shown = {visit.truth: visit for visit in recording.visits if visit.defect is not None}
    assert set(shown) == {kind.value for kind in FIVE_KINDS}
    assert all(len(v.seen) == len(v.frames) and all(map(VISIBILITY.shows, v.seen)) for v in shown.values())


def test_refuses_too_few_frames_and_a_folder_with_a_bag(made, tmp_path) -> None:
    with pytest.raises(ValueError, match="at least"):
        generate_demo(tmp_path, frames=3)
    with pytest.raises(BagError, match="without a bag"):
        generate(made[0])
