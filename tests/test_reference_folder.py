"""Parts come from the configured folder, and no path leads outside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trimesh

from ptad_core.config import InspectorConfig, PartConfig, ReferenceConfig, SegmentationConfig
from ptad_core.errors import ConfigError
from ptad_core.reference.folder import MAX_SETTINGS_BYTES, ReferenceFolder, require_confined

PART = "part: {cad: %s, unit: mm}\n"


@pytest.fixture
def folder(tmp_path: Path) -> ReferenceFolder:
    inside = tmp_path / "parts"
    inside.mkdir()
    for where in (inside / "block.stl", tmp_path / "secret.stl"):
        trimesh.creation.box((10, 20, 30)).export(where)
    (inside / "block.yaml").write_text(PART % "block.stl")
    return ReferenceFolder(str(inside))


def test_a_part_is_its_settings_file(folder: ReferenceFolder) -> None:
    (folder.path / "meshes").mkdir()
    (folder.path / "block.stl").rename(folder.path / "meshes" / "b-1.stl")
    (folder.path / "empty.png").write_bytes(b"")
    (folder.path / "block.yaml").write_text(
        "/**:\n  ros__parameters:\n    part: {cad: meshes/b-1.stl, unit: mm, symmetry: axis=z order=4}\n"
        "    detection: {tolerance_mm: 1.5}\n    segmentation: {method: background, background: empty.png}\n"
        "    tf: {part_frame: fixture_2}\n")
    settings = folder.settings("block")
    assert settings["part"] == {"id": "block", "cad": str(folder.path / "meshes" / "b-1.stl"), "unit": "mm",
                                "symmetry": "axis=z order=4"}
    assert settings["detection"] == {"tolerance_mm": 1.5} and settings["tf"] == {"part_frame": "fixture_2"}
    assert settings["segmentation"]["background"] == str(folder.path / "empty.png")
    (entry,) = folder.parts()
    assert (entry.part_id, entry.cad, entry.unit, entry.problem) == ("block", "meshes/b-1.stl", "mm", "")


@pytest.mark.parametrize("name", ["../secret", "..", ".", "", "/etc/passwd", "a/b", "block\0", "block\n", "a" * 200,
                                  "~root", "-rf", "block.yaml/../../x", "..\\secret"])
def test_a_name_is_no_path(folder: ReferenceFolder, name: str) -> None:
    with pytest.raises(ConfigError, match="part_id: expected the name of a part"):
        folder.settings(name)


@pytest.mark.parametrize("cad", ["../secret.stl", "{outside}/secret.stl", "meshes/../../secret.stl", "link.stl",
                                 "deep/secret.stl", "~/secret.stl", "../parts_twin/x.stl"])
def test_no_cad_leads_outside(folder: ReferenceFolder, cad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = folder.path.parent
    monkeypatch.setenv("HOME", str(outside))
    (folder.path / "meshes").mkdir()
    (folder.path / "link.stl").symlink_to(outside / "secret.stl")
    (folder.path / "deep").symlink_to(outside)
    (outside / "parts_twin").mkdir()
    os.link(outside / "secret.stl", outside / "parts_twin" / "x.stl")
    (folder.path / "block.yaml").write_text(PART % cad.format(outside=outside))
    with pytest.raises(ConfigError, match=r"expected a file inside reference\.folder"):
        folder.settings("block")
    (entry,) = folder.parts()
    assert "inside reference.folder" in entry.problem


def test_neither_do_settings_files_nor_backgrounds(folder: ReferenceFolder) -> None:
    outside = folder.path.parent
    (outside / "evil.yaml").write_text(PART % "block.stl")
    (folder.path / "evil.yaml").symlink_to(outside / "evil.yaml")
    with pytest.raises(ConfigError, match="inside"):
        folder.settings("evil")
    (folder.path / "block.yaml").write_text(PART % "block.stl" + "segmentation: {background: ../secret.stl}\n")
    with pytest.raises(ConfigError, match=r"segmentation\.background: expected a file inside"):
        folder.settings("block")
    for name in ("network", "calibration"):
        (folder.path / "block.yaml").write_text(PART % "block.stl" + f"detection: {{{name}: ../secret.stl}}\n")
        with pytest.raises(ConfigError, match=rf"detection\.{name}: expected a file inside"):
            folder.settings("block")
        (folder.path / "block.yaml").write_text(PART % "block.stl" + f"detection: {{{name}: none}}\n")
        assert folder.settings("block")["detection"] == {name: "none"}


def test_links_within_the_folder_and_the_folder_itself_may_be_links(folder: ReferenceFolder, tmp_path: Path) -> None:
    (folder.path / "same.stl").symlink_to("block.stl")
    (folder.path / "block.yaml").write_text(PART % "same.stl")
    (tmp_path / "shelf").symlink_to(folder.path)
    assert ReferenceFolder(str(tmp_path / "shelf")).settings("block")["part"]["cad"].endswith("parts/block.stl")


@pytest.mark.parametrize(("text", "words"), [
    ("part: {cad: gone.stl, unit: mm}", "is not there"),
    ("part: {cad: block.stl}", "expected part.cad and part.unit"),
    ("part: {unit: mm}", "expected part.cad and part.unit"),
    ("part: {cad: block.stl, unit: mm, id: other}", "expected part.id to be the file's name"),
    ("part: {cad: block.stl, unit: mm, color: red}", "unknown setting part.color"),
    ("part: {cad: block.stl, unit: mm}\ndetection: {tolerance_mm: -1}", "detection.tolerance_mm: expected at least"),
    ("part: {cad: block.stl, unit: mm}\noutput: {overlay: false}", "a part may set"),
    ("part: {cad: block.stl, unit: mm}\nreference: {cache_dir: /etc}", "a part may set"),
    ("part: [1]", "expected a section"), ("tf: 7\npart: {cad: block.stl, unit: mm}", "expected a section"),
    ("- 1", "expected a YAML mapping"), ("", "expected part.cad and part.unit"), ("a: [", "expected a YAML file"),
    ("part: !!python/object/apply:os.system [true]", "expected a YAML file"),
    ("part: {cad: ., unit: mm}", "is not there"), ("part: {cad: loop, unit: mm}", "loop"),
    ("# " + "x" * MAX_SETTINGS_BYTES, "bytes of settings"),
])
def test_what_is_wrong_with_a_part_is_said(folder: ReferenceFolder, text: str, words: str) -> None:
    (folder.path / "loop").symlink_to("loop")
    (folder.path / "block.yaml").write_text(text)
    (entry,) = folder.parts()
    assert words in entry.problem
    with pytest.raises(ConfigError):
        folder.settings("block")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder that can be read"):
        ReferenceFolder(str(tmp_path / "gone")).parts()
    with pytest.raises(ConfigError, match=r"reference\.folder"):
        ReferenceFolder(str(tmp_path / "gone")).settings("block")


def test_a_cell_with_a_folder_takes_its_files_from_nowhere_else(folder: ReferenceFolder) -> None:
    inside, outside = folder.path / "block.stl", folder.path.parent / "secret.stl"
    reference = ReferenceConfig(folder=str(folder.path))
    require_confined(InspectorConfig(PartConfig(cad=str(inside)), reference))
    require_confined(InspectorConfig(PartConfig(cad=str(outside))))
    for config in (InspectorConfig(PartConfig(cad=str(outside)), reference),
                   InspectorConfig(PartConfig(cad=f"{inside}/../../secret.stl"), reference),
                   InspectorConfig(PartConfig(), reference, SegmentationConfig(background=str(outside)))):
        with pytest.raises(ConfigError, match="inside reference"):
            require_confined(config)
