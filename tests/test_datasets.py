"""Data sets on disk: what `ptad synth` writes is read back, others' layouts are read as their loaders read them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ptad_core.cli import main
from ptad_core.datasets import read_dataset
from ptad_core.datasets.synth import SynthPlan, write_dataset
from ptad_core.errors import DatasetError, MeshError, PtadError, UnitError
from ptad_core.frames import invert, rotation_exp
from ptad_core.reference import load_mesh
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.appearance import Look
from ptad_core.synthesis.samples import Samples

PLAN = SynthPlan(count=9, seed=4, families=("dispenser", "shelf", "stool"), size_px=96, pictures_per_shape=3)


def quiet(line: str) -> None:
    assert line.endswith("pictures")


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth")
    assert write_dataset(out, PLAN, 1, quiet) == 0
    return out


def test_what_synth_writes_is_read_back_with_its_truth(made: Path) -> None:
    records = {int(record.image.stem.split("_")[2]): record for record in read_dataset(made)}
    assert sorted(records) == list(range(9))
    assert 2 <= sum(record.anomalous for record in records.values()) <= 8
    for index, record in records.items():
        look = Look.TEST if record.split == "test" else Look.TRAIN
        sample = Samples(9, 4, PLAN.families, size_px=96, pictures_per_shape=3, look=look)[index]
        assert record.split == {"dispenser": "train", "shelf": "test", "stool": "validation"}[sample.reference.family]
        assert np.array_equal(record.read_image(), sample.image_bgr)
        assert record.camera == sample.camera
        assert np.array_equal(record.T_camera_part, sample.T_camera_part)
        if sample.defect is None:
            assert not record.anomalous and record.kind == "good" and record.read_mask() is None
        else:
            assert record.anomalous and record.kind == sample.defect.kind.value
            assert record.box_px == sample.difference.box_px
            assert np.array_equal(record.read_mask(), sample.difference.mask)


def test_views_and_cad_belong_together(made: Path) -> None:
    reference = read_dataset(made).records[0].reference
    mesh = load_mesh(reference.cad, reference.unit)
    assert len(reference.views) == 20
    for view in reference.views[::7]:
        picture = cv2.imread(str(view.image), cv2.IMREAD_GRAYSCALE)
        mask = ExactRenderer(mesh.vertices, mesh.faces).render(view.camera, view.T_camera_part).mask
        assert ((picture < 255) != mask).mean() < 2e-3
        assert mask.mean() > 0.02


def test_an_interrupted_run_goes_on_and_makes_the_same_files_with_any_number_of_processes(made: Path, tmp_path) -> None:
    assert write_dataset(tmp_path, SynthPlan(**{**_settings(), "count": 4}), 1, quiet) == 0
    lost = next((tmp_path / "truth").glob("*2.json"))
    lost.unlink()
    for picture in (tmp_path / "images").rglob("*_2_*.png"):
        picture.unlink()
    assert write_dataset(tmp_path, PLAN, 2, quiet) == 0
    assert files_of(tmp_path) == files_of(made)


def _settings() -> dict[str, object]:
    return {name: getattr(PLAN, name) for name in PLAN.__slots__}


def test_a_folder_with_other_settings_is_refused(made: Path) -> None:
    with pytest.raises(DatasetError, match="another seed"):
        write_dataset(made, SynthPlan(**{**_settings(), "seed": 5}), 1, quiet)


def test_nothing_to_draw_from_is_refused(tmp_path) -> None:
    with pytest.raises(DatasetError, match="families"):
        write_dataset(tmp_path, SynthPlan(4), 1, quiet)
    with pytest.raises(MeshError, match="found none"):
        write_dataset(tmp_path, SynthPlan(4, cad=str(tmp_path), unit="mm"), 1, quiet)
    assert not (tmp_path / "synth.json").exists()


def test_synth_on_the_command_line_draws_from_cad(tmp_path, capsys) -> None:
    (tmp_path / "cad").mkdir()
    corners = np.array([[x, y, z] for z in (0, 30) for y in (0, 40) for x in (0, 60)])
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    lines = []
    for k in range(4):  # four blocks side by side, one group each
        lines += [f"g block_{k}", *(f"v {x + 45 * k} {y} {z * (1 + k % 2)}" for x, y, z in corners)]
        lines += ["f " + " ".join(str(1 + 8 * k + c) for c in quad) for quad in quads]
    (tmp_path / "cad" / "blocks.obj").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    arguments = ["synth", str(out), "--count", "3", "--size", "64", "--cad", str(tmp_path / "cad"), "--workers", "1"]
    assert main(arguments) == 2
    assert "unit" in capsys.readouterr().err
    assert main([*arguments, "--unit", "mm"]) == 0
    assert "3 pictures" in capsys.readouterr().out
    records = list(read_dataset(out))
    assert {record.reference.part_id for record in records} == {"cad0000"}
    assert np.ptp(load_mesh(records[0].reference.cad, "m").vertices, axis=0) == pytest.approx([0.195, 0.04, 0.06])
    components = {json.loads(p.read_text()).get("component") for p in (out / "truth").glob("*.json")}
    assert components <= {None, "block_0", "block_1", "block_2", "block_3"}
    assert main(["synth", str(out), "--families", "teapots"]) == 2
    assert "teapots" in capsys.readouterr().err


@pytest.fixture
def chairs(tmp_path) -> Path:
    """Return a folder as the authors describe theirs: older types, a box in 512 pixels, a view too many, no truth."""
    root = tmp_path / "BrokenChairs"
    images, marks = root / "images" / "part0", root / "annotations" / "part0"
    views = root / "shapes" / "shape_17" / "mv_images"
    for folder in (images, marks, views, tmp_path / "meshes"):
        folder.mkdir(parents=True)
    (root / "split.json").write_text(json.dumps({"train": [], "val": [], "test": [17]}))
    white = np.full((256, 256, 3), 255, np.uint8)
    cv2.imwrite(str(images / "render_17_3_1.5_30_20_2_normal.png"), white)
    cv2.imwrite(str(images / "render_17_3_1.5_30_20_2_A17_4_anomaly_0.png"), white)
    (marks / "info_17_3_1.5_30_20_2_A17_4_anomaly_0.json").write_text(
        json.dumps({"2d_bbox": [100, 40, 60, 20], "type": 4}))
    mask = np.zeros((256, 256), np.uint8)
    mask[20:30, 50:80] = 255
    cv2.imwrite(str(marks / "mask_new_17_3_1.5_30_20_2_A17_4_anomaly_0.png"), mask)
    RT_ = np.eye(4)
    RT_[:3, 3] = [0, 0, 2]  # two units in front of the mesh, looking along -z as OpenGL does
    for azimuth in (0, 180, 360):
        cv2.imwrite(str(views / f"17_2.0_{azimuth}_20.png"), white)
        (views / f"17_2.0_{azimuth}_20.json").write_text(json.dumps(
            {"K": [[355, 0, 128], [0, 355, 128], [0, 0, 1]], "RT_": RT_.tolist(), "RT": np.linalg.inv(RT_).tolist()}))
        (views / f"17_2.0_{azimuth}_20.npy").write_bytes(b"a pickle that nobody opens")
    (tmp_path / "meshes" / "17.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    return tmp_path


def test_the_published_layout_is_read(chairs: Path) -> None:
    anomalous, good = sorted(read_dataset(chairs, chairs / "meshes"), key=lambda record: not record.anomalous)
    assert good.kind == "good" and not good.anomalous and good.box_px is None
    assert anomalous.kind == "broken" and anomalous.split == "test"
    box = anomalous.box_px
    assert (box.x, box.y, box.width, box.height) == (50, 20, 30, 10)
    assert anomalous.read_mask().sum() == 300
    assert anomalous.T_camera_part is None and anomalous.camera is None
    assert anomalous.reference.cad == chairs / "meshes" / "17.obj"
    assert len(anomalous.reference.views) == 2
    view = anomalous.reference.views[0]
    assert view.T_camera_part @ [0.1, 0.2, 0.3, 1] == pytest.approx([0.1, -0.2, 1.7, 1])
    assert (view.camera.fx, view.camera.cx) == (355.0, 127.5)
    assert read_dataset(chairs).records[0].reference.cad is None


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda root: (root / "split.json").write_text("{}"), "shape of split.json"),
    (lambda root: (root / "split.json").write_text("[]"), "JSON object"),
    (lambda root: (root / "split.json").write_text('{"train": [17], "test": [17]}'), "in two"),
    (lambda root: next(root.rglob("info_*.json")).unlink(), "info_"),
    (lambda root: next(root.rglob("info_*.json")).write_text('{"2d_bbox": [1, 2]}'), "2d_bbox"),
    (lambda root: next(root.rglob("*_180_20.png")).unlink(), "picture of"),
    (lambda root: next(root.rglob("*_180_20.json")).write_text('{"K": [], "RT": []}'), "RT"),
    (lambda root: (root / "images" / "render_17.png").write_bytes(b""), "tokens"),
])
def test_a_damaged_data_set_is_refused_with_its_file(chairs: Path, spoil, words: str) -> None:
    spoil(chairs / "BrokenChairs")
    with pytest.raises(DatasetError, match=words):
        read_dataset(chairs)


def turntable(root: Path, kinds: tuple[str, ...], angles: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    for name in ("01Gorilla", "02Unicorn"):
        folder = root / name
        for kind in kinds:
            (folder / "test" / kind).mkdir(parents=True)
            (folder / "ground_truth" / kind).mkdir(parents=True)
            for n in range(2):
                cv2.imwrite(str(folder / "test" / kind / f"{n}.png"), np.full((40, 60, 4), n, np.uint8))
                if kind != "good":
                    mask = np.zeros((40, 60), np.uint8)
                    mask[3:7, 5:9] = 255
                    cv2.imwrite(str(folder / "ground_truth" / kind / f"{n}_mask.png"), mask)
        (folder / "train" / "good").mkdir(parents=True)
        frames = []
        for n in range(11):
            cv2.imwrite(str(folder / "train" / "good" / f"{n}.png"), np.full((40, 60, 3), n, np.uint8))
            T = np.eye(4)
            T[:3, :3], T[:3, 3] = rotation_exp(rng.normal(size=3)), [n, 0, 4]
            frames.append({"file_path": f"./train/good/{n}.png", "transform_matrix": T.tolist()})
        (folder / "transforms.json").write_text(json.dumps({**angles, "frames": frames[::-1]}))


def test_mad_is_read_with_poses_by_name(tmp_path) -> None:
    turntable(tmp_path, ("good", "Burrs", "Missing"), {"camera_angle_x": 0.8})
    data = read_dataset(tmp_path)
    assert data.layout == "MAD" and len(data) == 2 * (11 + 6)
    train = data.split("train")
    assert [int(r.image.stem) for r in train][:11] == list(range(11))  # by number, not by name
    for record in train:
        T_world_camera = invert(record.T_camera_part)
        assert T_world_camera[:3, 3] == pytest.approx([int(record.image.stem), 0, 4])
        assert np.linalg.det(T_world_camera[:3, :3]) == pytest.approx(1)
    assert train.records[0].camera.fx == pytest.approx(30 / np.tan(0.4)) == train.records[0].camera.fy
    assert (train.records[0].camera.cx, train.records[0].camera.cy) == (29.5, 19.5)
    assert {(r.kind, r.anomalous) for r in data.split("test")} == {("good", False), ("Burrs", True), ("Missing", True)}
    burr = next(r for r in data if r.kind == "Burrs")
    assert burr.read_mask().sum() == 16 and burr.T_camera_part is None
    assert len(burr.reference.views) == 11 and burr.reference.cad is None
    assert burr.read_image()[0, 0].tolist() == [255, 255, 255]  # transparent is white
    assert len(read_dataset(tmp_path / "01Gorilla")) == 17
    with pytest.raises(DatasetError, match="validation"):
        data.split("validation")


def test_rad_is_told_apart_and_has_two_focal_lengths(tmp_path) -> None:
    turntable(tmp_path, ("good", "missing", "squeezed"), {"camera_angle_x": 0.8, "camera_angle_y": 0.5})
    data = read_dataset(tmp_path)
    assert data.layout == "RAD"
    assert data.records[0].camera.fy == pytest.approx(20 / np.tan(0.25))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda root: (root / "01Gorilla/ground_truth/Burrs/1_mask.png").unlink(), "1_mask"),
    (lambda root: (root / "01Gorilla/transforms.json").unlink(), "transforms.json"),
    (lambda root: (root / "01Gorilla/transforms.json").write_text('{"frames": []}'), "camera_angle_x"),
    (lambda root: (root / "01Gorilla/transforms.json").write_text('{"camera_angle_x": 1, "frames": [0]}'), "file_path"),
    (lambda root: (root / "01Gorilla/train/good/0.png").write_bytes(b"nothing"), "picture"),
])
def test_a_damaged_turntable_is_refused_with_its_file(tmp_path, spoil, words: str) -> None:
    turntable(tmp_path, ("good", "Burrs"), {"camera_angle_x": 0.8})
    spoil(tmp_path)
    with pytest.raises(DatasetError, match=words):
        read_dataset(tmp_path)


def test_other_folders_are_refused(tmp_path) -> None:
    (tmp_path / "holiday").mkdir()
    for folder, words in ((tmp_path, "holiday"), (tmp_path / "nowhere", "there is none")):
        with pytest.raises(DatasetError, match=words):
            read_dataset(folder)
    assert issubclass(DatasetError, PtadError) and issubclass(UnitError, PtadError)
