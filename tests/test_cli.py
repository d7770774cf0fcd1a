"""The command line: exit codes, one line per error, files where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from part_making import CAMERA, bracket, config, empty_table, picture, pose, save

from ptad_core.cli import main
from ptad_core.cli.options import read_camera, read_seed
from ptad_core.config import CellConfig, to_dict
from ptad_core.doctor import Finding, Severity
from ptad_core.errors import CameraError, ConfigError
from ptad_core.evaluation.results import read_results
from ptad_core.frames import to_quaternion
from ptad_core.types import Verdict

NUMBERS = f"{CAMERA.fx},{CAMERA.fy},{CAMERA.cx},{CAMERA.cy}"


@pytest.fixture(scope="module")
def cad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(bracket(), tmp_path_factory.mktemp("cad") / "bracket.stl")


@pytest.fixture(scope="module")
def quick(cad: Path) -> Path:
    """Settings for quick runs, without the part."""
    values = to_dict(config(cad))
    del values["part"]
    file = cad.parent / "quick.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return file


def image(tmp_path: Path, pixels: np.ndarray) -> str:
    cv2.imwrite(str(tmp_path / "image.png"), pixels)
    return str(tmp_path / "image.png")


@pytest.mark.parametrize(("pixels", "code", "word"), [
    (picture(bracket(), pose()), 0, "PASS"),
    (picture(bracket(peg=False), pose()), 1, "FAIL  material missing"),
    (empty_table(), 2, "CANNOT INSPECT  no object"),
])
def test_inspect(tmp_path: Path, cad: Path, quick: Path, capsys: pytest.CaptureFixture[str], pixels: np.ndarray,
                 code: int, word: str) -> None:
    out = tmp_path / "out"
    assert main(["inspect", image(tmp_path, pixels), "--cad", str(cad), "--unit", "mm", "--camera", NUMBERS,
                 "--config", str(quick), "--out", str(out)]) == code
    assert capsys.readouterr().out.startswith(word)
    (record,) = read_results(out / "results.jsonl")
    assert record.verdict is {0: Verdict.PASS, 1: Verdict.FAIL, 2: Verdict.CANNOT_INSPECT}[code]
    assert {path.name for path in out.iterdir()} == {
        "results.jsonl", "times.jsonl", "config.yaml", "report.html", "overlay.png"}


def test_inspect_from_a_seed(tmp_path: Path, cad: Path, quick: Path) -> None:
    T = pose()
    seed = ",".join(map(repr, map(float, [*T[:3, 3], *to_quaternion(T)])))
    arguments = ["inspect", image(tmp_path, picture(bracket(), T)), "--cad", str(cad), "--unit", "mm", "--config",
                 str(quick), "--camera", NUMBERS, "--out", str(tmp_path / "out"), f"--seed={seed}"]
    assert main(arguments) == 0
    (record,) = read_results(tmp_path / "out" / "results.jsonl")
    assert record.pose is not None and record.pose.seed_source.value == "tf"


@pytest.mark.parametrize(("arguments", "words"), [
    (["--cad", "CAD", "--camera", NUMBERS], "expected the unit of the CAD file"),
    (["--cad", "CAD", "--unit", "parsec", "--camera", NUMBERS], "part.unit"),
    (["--unit", "mm", "--camera", NUMBERS], "expected a CAD file, got none"),
    (["--cad", "absent.stl", "--unit", "mm", "--camera", NUMBERS], "absent.stl"),
    (["--cad", "CAD", "--unit", "mm", "--camera", "0,0,0,0"], "positive focal lengths"),
    (["--cad", "CAD", "--unit", "mm", "--camera", "600,600"], "expected fx,fy,cx,cy"),
    (["--cad", "CAD", "--unit", "mm", "--camera", "absent.json"], "absent.json"),
    (["--cad", "CAD", "--unit", "mm", "--camera", NUMBERS, "--set", "pose.trak=true"], "pose.trak"),
    (["--cad", "CAD", "--unit", "mm", "--camera", NUMBERS, "--set", "pose.min_mask_iou=3"], "pose.min_mask_iou"),
    (["--cad", "CAD", "--unit", "mm", "--camera", NUMBERS, "--set", "nonsense"], "expected KEY=VALUE"),
    (["--cad", "CAD", "--unit", "mm", "--camera", NUMBERS, "--seed=1,2,3"], "expected x,y,z,qx,qy,qz,qw"),
    (["--cad", "CAD", "--unit", "mm", "--camera", NUMBERS, "--config", "absent.yaml"], "absent.yaml"),
])
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, cad: Path, capsys: pytest.CaptureFixture[str],
                                               arguments: list[str], words: str) -> None:
    arguments = [str(cad) if argument == "CAD" else argument for argument in arguments]
    assert main(["inspect", image(tmp_path, empty_table()), *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("ptad inspect: ") and "Traceback" not in captured.err
    assert captured.out == ""


def test_unreadable_image(tmp_path: Path, cad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name, words in (("text.png", "expected a picture such as PNG"), ("absent.png", "cannot read it")):
        assert main(["inspect", str(tmp_path / name), "--cad", str(cad), "--unit", "mm", "--camera", NUMBERS]) == 2
        assert words in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_code_2(tmp_path: Path, cad: Path, quick: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    part = ["--unit", "mm", "--config", str(quick), "--out", str(tmp_path / "file" / "part.ply")]
    photo = image(tmp_path, picture(bracket(), pose()))
    for command, *arguments in (["inspect", photo, "--cad", str(cad), "--camera", NUMBERS], ["convert", str(cad)]):
        assert main([command, *arguments, *part]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "CAD file:" not in line]
        assert line.startswith(f"ptad {command}: [Errno ")


def test_what_nobody_foresaw_is_no_failed_part(monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    def stumble(*_given: object) -> list[Finding]:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("ptad_core.cli.doctor.run_doctor", stumble)
    assert main(["doctor"]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "ptad doctor: unexpected ZeroDivisionError: division by zero"
    assert rest[0].startswith("Traceback") and any("stumble" in line for line in rest)


def test_wrong_usage_is_bad_input_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["inspect"])
    assert exit_info.value.code == 2
    assert "usage" in capsys.readouterr().err


K = [[600.0, 0, 320.0], [0, 610.0, 240.0], [0, 0, 1.0]]
INFO = {"image_width": 640, "image_height": 480, "distortion_model": "plumb_bob",
        "camera_matrix": {"rows": 3, "cols": 3, "data": [value for row in K for value in row]},
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.1, 0, 0, 0, 0]}}


def test_camera_files(tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text(json.dumps({"K": K, "resolution": [480, 640]}))
    (tmp_path / "camera.yaml").write_text(yaml.safe_dump(INFO))
    from_json = read_camera(str(tmp_path / "camera.json"), 640, 480)
    assert (from_json.fx, from_json.fy, from_json.cx, from_json.cy) == (600, 610, 320, 240)
    from_yaml = read_camera(str(tmp_path / "camera.yaml"), 640, 480)
    assert from_yaml.distortion[0] == 0.1 and from_yaml.fy == 610 and not from_yaml.fisheye
    assert read_camera("600,610,320,240", 640, 480) == from_json
    with pytest.raises(CameraError, match="320x240"):
        read_camera(str(tmp_path / "camera.json"), 320, 240)
    (tmp_path / "camera.json").write_text(json.dumps({"K": np.zeros((3, 3)).tolist(), "resolution": [480, 640]}))
    with pytest.raises(CameraError, match="never calibrated"):
        read_camera(str(tmp_path / "camera.json"), 640, 480)
    in_json = {"K": K, "resolution": [480, 640]}
    for content in ('{"L": 1}', "[1, 2]", "just text", "{", "", json.dumps({**in_json, "distortion": [0.1] * 3}),
                    json.dumps({**in_json, "distortion": [float("nan")] * 5}),
                    json.dumps({**in_json, "distortion": 0.1}), json.dumps({**in_json, "distortion": "barrel"}),
                    json.dumps({**in_json, "resolution": [480, float("inf")]}),
                    json.dumps({**INFO, "distortion_coefficients": [0.1] * 5}),
                    json.dumps({**INFO, "distortion_model": "equidistant"})):
        (tmp_path / "camera.json").write_text(content)
        with pytest.raises(CameraError):
            read_camera(str(tmp_path / "camera.json"), 640, 480)


def test_seeds() -> None:
    T = pose()
    for text in (",".join(repr(float(v)) for v in T.ravel()),
                 ",".join(repr(float(v)) for v in [*T[:3, 3], *to_quaternion(T)])):
        np.testing.assert_allclose(read_seed(text, CellConfig()).T_camera_part, T, atol=1e-12)
    for text in ("", "x", "0,0,0,0,0,0,0", ",".join(["2"] * 16)):
        with pytest.raises(ConfigError):
            read_seed(text, CellConfig())


def test_convert(tmp_path: Path, cad: Path, quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "models" / "bracket.ply"
    assert main(["convert", str(cad), "--unit", "mm", "--config", str(quick), "--out", str(out)]) == 0
    header = out.read_bytes()[:2000].decode("latin-1")
    assert header.startswith("ply") and "property float opacity" in header and "property float rot_3" in header
    assert "80 x 50 x 40 mm" in capsys.readouterr().out
    assert main(["convert", str(cad), "--unit", "m", "--config", str(quick), "--out", str(out)]) == 0
    assert "say unit mm" in capsys.readouterr().err
    assert main(["convert", str(cad), "--config", str(quick), "--out", str(out)]) == 2
    assert main(["convert", str(cad), "--unit", "mm", "--out", "model.stl"]) == 2


def test_replay_of_no_bag(tmp_path: Path, cad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "nothing"), "--cad", str(cad), "--unit", "mm"]) == 2
    assert "no such bag" in capsys.readouterr().err


def test_real_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["real", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "expected the real recordings" in capsys.readouterr().err


@pytest.mark.parametrize(("severity", "code"), [(Severity.OK, 0), (Severity.WARNING, 0), (Severity.ERROR, 2)])
def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, severity: Severity,
                code: int) -> None:
    findings = [Finding("python", Severity.OK, "3.11"), Finding("cad", severity, "absent.stl", "set part.cad")]
    monkeypatch.setattr("ptad_core.cli.doctor.run_doctor", lambda *_given: findings)
    assert main(["doctor"]) == code
    out = capsys.readouterr().out
    assert "absent.stl" in out and "-> set part.cad" in out and severity.value in out.lower()
