"""The doctor finds what is wrong, and says what to do about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh

from ptad_core import doctor
from ptad_core.config import ReferenceConfig
from ptad_core.doctor import Finding, Severity


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A box of 60 x 40 x 20 in a file that, as always, does not say its unit."""
    path = tmp_path / "box.stl"
    trimesh.creation.box((60, 40, 20)).export(path)
    return path


def write_config(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_this_environment_has_no_errors():
    findings = doctor.run_doctor()
    assert [f for f in findings if f.severity is Severity.ERROR] == []
    assert {"python", "processor", "numpy", "cv2", "numba", "embreex", "numba compiles", "gpu", "rclpy",
            "ROS_DOMAIN_ID", "discovery", "cache"} <= by_name(findings).keys()
    assert "cad" not in by_name(findings), "no configuration was named"


def test_whatever_is_not_ok_comes_with_a_next_step(tmp_path, part, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "robot")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    _, of_config = doctor.check_config(write_config(tmp_path / "c.yaml", f"part: {{cad: {part}, unit: m}}"))
    findings = [*doctor.check_ros_environment(), *of_config]
    found = {f.severity for f in findings}
    assert found == {Severity.OK, Severity.WARNING, Severity.ERROR}
    assert all(f.next_step for f in findings if f.severity is not Severity.OK)


def test_a_good_configuration(tmp_path, part):
    cell, findings = doctor.check_config(write_config(tmp_path / "c.yaml", f"part: {{cad: {part}, unit: mm}}"))
    assert cell.part.unit == "mm"
    assert [f.severity for f in findings] == [Severity.OK] * 3
    assert "60 x 40 x 20 mm" in by_name(findings)["cad"].what


def test_millimetres_taken_for_metres_are_doubted(tmp_path, part):
    _, findings = doctor.check_config(write_config(tmp_path / "c.yaml", f"part: {{cad: {part}, unit: m}}"))
    doubts = [f for f in findings if f.severity is Severity.WARNING]
    assert len(doubts) == 1
    assert "millimetres" in doubts[0].what


@pytest.mark.parametrize(("text", "name", "word"), [
    ("part: {cad: nowhere.stl, unit: mm}", "cad", "nowhere.stl"),
    ("part: {unit: mm}", "cad", "names none"),
    ("part: {cad: BOX}", "cad", "unit"),
    ("part: {cad: BOX, unit: mm}\npose: {iterations: 3}", "config", "pose.iterations"),
    ("part: [", "config", "YAML"),
    ("part: {cad: BOX, unit: mm}\nsegmentation: {method: background}", "background", "no picture"),
])
def test_a_bad_configuration_is_named(tmp_path, part, text, name, word):
    config = write_config(tmp_path / "c.yaml", text.replace("BOX", str(part)))
    findings = [f for f in doctor.check_config(config)[1] if f.severity is Severity.ERROR]
    assert [f.name for f in findings] == [name]
    assert word in findings[0].what


def test_the_parts_of_a_folder_are_looked_at_each(tmp_path, part):
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.copy(part, folder / "good.stl")
    (folder / "good.yaml").write_text("part: {cad: good.stl, unit: mm}")
    (folder / "stray.yaml").write_text(f"part: {{cad: {part}, unit: mm}}")
    (folder / "void.stl").write_bytes(b"")
    (folder / "void.yaml").write_text("part: {cad: void.stl, unit: mm}")
    head = f"reference: {{folder: {folder}}}\n"
    found = by_name(doctor.check_config(write_config(tmp_path / "c.yaml", head + "part: {id: good}"))[1])
    assert {name: f.severity for name, f in found.items()} == {
        "config": Severity.OK, "reference.folder": Severity.OK, "part good": Severity.OK,
        "part good symmetry": Severity.OK,
        "part stray": Severity.WARNING, "part void": Severity.ERROR}
    assert "inside reference.folder" in found["part stray"].what and "stray.yaml" in found["part stray"].next_step
    for wrong in ("part: {id: unheard_of}", f"part: {{cad: {part}, unit: mm}}", ""):
        found = doctor.check_config(write_config(tmp_path / "c.yaml", head + wrong))[1]
        assert [f.name for f in found if f.severity is Severity.ERROR and not f.name.startswith("part ")] == [
            "reference.folder"], wrong


@pytest.mark.parametrize(("variable", "value", "name", "severity"), [
    ("ROS_DOMAIN_ID", "7", "ROS_DOMAIN_ID", Severity.OK),
    ("ROS_DOMAIN_ID", "150", "ROS_DOMAIN_ID", Severity.WARNING),
    ("ROS_DOMAIN_ID", "233", "ROS_DOMAIN_ID", Severity.ERROR),
    ("ROS_DOMAIN_ID", "-1", "ROS_DOMAIN_ID", Severity.ERROR),
    ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST", "discovery", Severity.OK),
    ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", "discovery", Severity.WARNING),
    ("ROS_AUTOMATIC_DISCOVERY_RANGE", "localhost", "discovery", Severity.ERROR),
])
def test_ros_environment(monkeypatch, variable, value, name, severity):
    monkeypatch.setenv(variable, value)
    assert by_name(list(doctor.check_ros_environment()))[name].severity is severity


def test_an_unknown_middleware_is_an_error(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_that_nobody_has")
    finding = by_name(list(doctor.check_ros()))["middleware"]
    assert finding.severity is Severity.ERROR
    assert "RMW_IMPLEMENTATION" in finding.next_step


def test_a_package_that_breaks_at_import_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "trimesh.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = by_name(list(doctor.check_packages()))["trimesh"]
    assert broken.severity is Severity.ERROR
    assert "multiarray" in broken.what


def test_a_broken_cv_bridge_is_told_and_does_not_matter(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    (tmp_path / "cv_bridge.py").write_text("raise ImportError('_ARRAY_API not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    bridge = by_name(list(doctor.check_ros()))["cv_bridge"]
    assert bridge.severity is Severity.WARNING
    assert "_ARRAY_API" in bridge.what
    assert "not needed" in bridge.what


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    finding = doctor.check_cache(ReferenceConfig(cache_dir=str(tmp_path / "file" / "cache")))
    assert finding.severity is Severity.WARNING
    assert doctor.check_cache(ReferenceConfig(cache_dir=str(tmp_path / "new" / "cache"))).severity is Severity.OK


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=1024)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert doctor.check_cache(ReferenceConfig(cache_dir=str(tmp_path))).severity is Severity.WARNING


def test_without_ros_the_doctor_warns_and_goes_on():
    program = ("import sys; sys.modules['rclpy'] = None\n"
               "from ptad_core import doctor\n"
               "print(*(f.severity for f in doctor.check_ros()))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["warning"]
