"""Files that come from outside: meshes, bags, settings, cameras, results, calibrations, cached references."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import trimesh
import yaml

from benchmarks.fuzz.family import Family
from benchmarks.fuzz.mutate import FLOATS, NUMBERS, WORDS, mutated
from ptad_core.calibration import Calibration, threshold_of
from ptad_core.camera import Camera
from ptad_core.cli.inspect import read_image
from ptad_core.cli.options import read_camera, read_seed
from ptad_core.config import CellConfig, from_dict, load_yaml, to_dict
from ptad_core.evaluation.bag_reader import BagReader
from ptad_core.evaluation.results import read_results, record_of, to_line
from ptad_core.evaluation.truth import read_truth
from ptad_core.reference import load_mesh
from ptad_core.reference.symmetry import parse_symmetry
from ptad_core.synthesis.bag_writer import BagWriter
from ptad_core.synthesis.recording import START_NS
from ptad_core.types import (
    AlignedPose,
    Alignment,
    AnomalyRegion,
    Box,
    Detection,
    InspectionResult,
    Reason,
    RegionKind,
    SeedSource,
    Verdict,
)

CAMERA = Camera(40.0, 40.0, 15.5, 11.5, 32, 24)


@cache
def mesh_file(kind: str) -> bytes:
    """Return a small part as a file of some kind."""
    mesh = trimesh.creation.box([40.0, 30.0, 20.0])
    if kind == "stl_ascii":
        return str(mesh.export(file_type="stl_ascii")).encode()
    if kind == "ply_ascii":
        return bytes(mesh.export(file_type="ply", encoding="ascii"))
    data = mesh.export(file_type=kind)
    return data.encode() if isinstance(data, str) else bytes(data)


def _mesh(rng: random.Random) -> tuple[str, bytes, str]:
    kind = rng.choice(("stl", "stl_ascii", "obj", "ply", "ply_ascii", "glb"))
    suffix = rng.choice(("stl", "obj", "ply", "glb")) if rng.random() < 0.05 else kind.removesuffix("_ascii")
    return suffix, mutated(mesh_file(kind), rng), rng.choice(("mm", "m", "in"))


def _feed_mesh(given: tuple[str, bytes, str], folder: Path) -> None:
    suffix, data, unit = given
    path = folder / f"part.{suffix}"
    path.write_bytes(data)
    mesh = load_mesh(path, unit)
    assert np.isfinite(mesh.vertices).all() and len(mesh.faces) > 0 and mesh.diameter_m > 0


@cache
def bag_files() -> dict[str, bytes]:
    """Return the files of a small bag."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        with BagWriter(Path(folder) / "bag", "cam", "cell", CAMERA) as bag:
            bag.write_static(START_NS, "part_nominal", np.eye(4))
            for i in range(4):
                picture = rng.integers(0, 255, (24, 32, 3), np.uint8)
                bag.write_frame(START_NS + i * 100_000_000, picture, np.eye(4))
        return {file.name: file.read_bytes() for file in (Path(folder) / "bag").iterdir()}


def _bag(rng: random.Random) -> dict[str, bytes]:
    files = dict(bag_files())
    spoilt = rng.choice(sorted(files) + [name for name in files if name.endswith(".mcap")] * 3)
    files[spoilt] = mutated(files[spoilt], rng)
    if rng.random() < 0.05:
        del files["metadata.yaml"]
    return files


def _feed_bag(given: dict[str, bytes], folder: Path) -> None:
    for name, data in given.items():
        (folder / name).write_bytes(data)
    for frame in BagReader(folder):
        assert frame.image_bgr is not None or frame.failure is not None


@cache
def settings_text() -> str:
    """Return all settings at their defaults."""
    return yaml.safe_dump({"/**": {"ros__parameters": to_dict(CellConfig())}}, sort_keys=False)


def _settings(rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return mutated(settings_text().encode(), rng)
    values = to_dict(CellConfig())
    for _ in range(rng.randrange(1, 4)):
        section = rng.choice(sorted(values))
        if isinstance(values[section], dict) and rng.random() < 0.9:
            values[section][rng.choice([*sorted(values[section]), "unknown"])] = _anything(rng)
        else:
            values[section] = _anything(rng)
    return yaml.safe_dump(values).encode()


def _anything(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind >= 5:
        items = [_anything(rng, depth + 1) for _ in range(rng.randrange(4))]
        return items if kind < 7 else {str(rng.choice(WORDS[:6])): item for item in items}
    return (rng.choice(NUMBERS), rng.choice(FLOATS), rng.choice(WORDS[:20]), rng.random() < 0.5, None)[kind]


def _feed_settings(given: bytes, folder: Path) -> None:
    (folder / "cell.yaml").write_bytes(given)
    from_dict(CellConfig, load_yaml(folder / "cell.yaml"))


_CAMERAS = (
    json.dumps({"K": [[600, 0, 320], [0, 600, 240], [0, 0, 1]], "resolution": [480, 640],
                "distortion": [0.1, 0, 0, 0]}),
    yaml.safe_dump({"image_width": 640, "image_height": 480, "distortion_model": "plumb_bob",
                    "camera_matrix": {"rows": 3, "cols": 3, "data": [600.0, 0, 320, 0, 600, 240, 0, 0, 1]},
                    "distortion_coefficients": {"data": [0.1, 0.0, 0.0, 0.0, 0.0]}}))


def _camera(rng: random.Random) -> bytes:
    text = rng.choice(_CAMERAS)
    if rng.random() < 0.6:
        return mutated(text.encode(), rng)
    values = yaml.safe_load(text)
    values[rng.choice(sorted(values))] = _anything(rng)
    return json.dumps(values).encode()


def _feed_camera(given: bytes, folder: Path) -> None:
    (folder / "camera.yaml").write_bytes(given)
    camera = read_camera(str(folder / "camera.yaml"), 640, 480)
    camera.rectify(np.zeros((480, 640, 3), np.uint8))


def _words(rng: random.Random) -> str:
    parts = ("axis", "=", "x", "z", " ", ";", "order", "4", "inf", "0.1,0.2,0.3", ",", "1e308", "-7", "nan", "0",
             "9999999")
    return "".join(rng.choice((*parts, *WORDS[:8])) for _ in range(rng.randrange(1, 14)))


def _feed_words(given: str, _folder: Path) -> None:
    refused: list[Exception] = []
    for read in (parse_symmetry, lambda text: read_seed(text, CellConfig())):
        try:
            read(given)
        except Exception as error:  # noqa: BLE001 - told apart below, when both have had their turn
            refused.append(error)
    for error in refused:
        raise error


@cache
def result_line() -> dict[str, Any]:
    """Return a line of results.jsonl with a pose and a region."""
    pose = AlignedPose(np.eye(4), np.eye(6), 0.9, 0.5, SeedSource.TF, 2.0, np.eye(4), False, True, 1.0, 0.01)
    region = AnomalyRegion(Box(1, 2, 3, 4), RegionKind.MISSING, 2.0, 5.0, 9, np.zeros(3), np.ones(3), np.eye(3)[2])
    detection = Detection(np.zeros((2, 2), np.float32), 2.0, 1.0, (region,))
    result = InspectionResult(Verdict.FAIL, (Reason.MATERIAL_MISSING,), "words", "part", "cafe",
                              alignment=Alignment(pose), detection=detection)
    return dict(json.loads(to_line(record_of(0, 1, "cam", result))))


_TRUTH = {"index": 0, "stamp_ns": 1, "truth": "intact", "expected": "PASS"}


def _lines(right: Callable[[], dict[str, Any]]) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        line = right()
        spoilt = dict(line)
        if rng.random() < 0.5:
            spoilt[rng.choice(sorted(spoilt))] = _anything(rng)
        text = "\n".join(json.dumps(each) for each in (line, spoilt)).encode()
        return mutated(text, rng) if rng.random() < 0.6 else text
    return make


def _feed_lines(read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    def feed(given: bytes, folder: Path) -> None:
        (folder / "lines.jsonl").write_bytes(given)
        read(folder / "lines.jsonl")
    return feed


@cache
def picture_files() -> tuple[bytes, ...]:
    """Return a picture as PNG and JPEG."""
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    return tuple(cv2.imencode(kind, picture)[1].tobytes() for kind in (".png", ".jpg"))


def _feed_picture(given: bytes, folder: Path) -> None:
    (folder / "picture.png").write_bytes(given)
    assert read_image(folder / "picture.png").ndim == 3


@cache
def calibration_file() -> bytes:
    """Return a calibration as it is saved."""
    with tempfile.TemporaryDirectory() as folder:
        scores = tuple(0.1 * i for i in range(30))
        calibration = Calibration("part", "cafe", "detector", 0.05, scores, threshold_of(scores, 0.05))
        calibration.save(Path(folder) / "calibration.json")
        return (Path(folder) / "calibration.json").read_bytes()


def _feed_calibration(given: bytes, folder: Path) -> None:
    (folder / "calibration.json").write_bytes(given)
    calibration = Calibration.load(folder / "calibration.json")
    assert np.isfinite(calibration.threshold) and 0 < calibration.p_value(1.0) <= 1


FAMILIES = (
    Family("mesh", _mesh, _feed_mesh, weight=2.0),
    Family("bag", _bag, _feed_bag, weight=1.5),
    Family("settings", _settings, _feed_settings, weight=1.0),
    Family("camera file", _camera, _feed_camera, weight=1.0),
    Family("symmetry and seed", _words, _feed_words, weight=0.5),
    Family("results file", _lines(result_line), _feed_lines(read_results), weight=0.7),
    Family("truth file", _lines(lambda: _TRUTH), _feed_lines(read_truth), weight=0.3),
    Family("calibration file", lambda rng: mutated(calibration_file(), rng), _feed_calibration, weight=0.5),
    Family("picture file", lambda rng: mutated(rng.choice(picture_files()), rng), _feed_picture, weight=0.5),
)
