"""Settings: defaults, ranges, and errors that name the setting, what was expected and what came."""

from __future__ import annotations

from array import array
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ptad_core.config import (
    CellConfig,
    InspectorConfig,
    Limits,
    PoseConfig,
    SegmentationConfig,
    check,
    default_of,
    from_dict,
    limits_of,
    load_yaml,
    merge,
    to_dict,
)
from ptad_core.errors import ConfigError


def settings_of(cls: Any, where: str = "") -> list[tuple[str, Any, Limits | None]]:
    found = []
    for f in fields(cls):
        value = default_of(f)
        if is_dataclass(value):
            found += settings_of(type(value), f"{where}{f.name}.")
        else:
            found.append((where + f.name, value, limits_of(f)))
    return found


def nested(name: str, value: Any) -> dict[str, Any]:
    head, _, rest = name.partition(".")
    return {head: nested(rest, value) if rest else value}


ALL = settings_of(CellConfig)
DEFAULTS = {name: default for name, default, _ in ALL}


def test_every_setting_is_described_and_its_default_is_within_its_limits() -> None:
    assert len(ALL) > 40
    for name, default, limits in ALL:
        assert limits is not None and len(limits.description) > 15, name
        plain = list(default) if isinstance(default, tuple) else default
        assert from_dict(CellConfig, nested(name, plain)) == CellConfig(), name


@pytest.mark.parametrize(("name", "limits"), [(n, m) for n, _, m in ALL if m and m.minimum is not None])
def test_below_the_minimum(name: str, limits: Limits) -> None:
    assert limits.minimum is not None
    kind: Any = type(DEFAULTS[name])
    value = [int(limits.minimum) - 1] * 3 if kind is tuple else kind(limits.minimum - 1)
    with pytest.raises(ConfigError, match=f"^{name}.*: expected at least {limits.minimum:g}, got"):
        from_dict(CellConfig, nested(name, value))


@pytest.mark.parametrize(("name", "limits"), [(n, m) for n, _, m in ALL if m and m.maximum is not None])
def test_above_the_maximum(name: str, limits: Limits) -> None:
    assert limits.maximum is not None
    kind: Any = type(DEFAULTS[name])
    value = [int(limits.maximum) + 1] * 3 if kind is tuple else kind(limits.maximum + 1)
    with pytest.raises(ConfigError, match=f"^{name}.*: expected at most {limits.maximum:g}, got"):
        from_dict(CellConfig, nested(name, value))


@pytest.mark.parametrize("name", [n for n, _, m in ALL if m and m.choices])
def test_not_one_of_the_choices(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected one of .*, got 'mnm'"):
        from_dict(CellConfig, nested(name, "mnm"))


@pytest.mark.parametrize(("values", "message"), [
    ({"poze": {}}, "unknown setting poze; known here: detection, part, pose"),
    ({"pose": {"work_size": 256}}, "unknown setting pose.work_size; known here: .*work_size_px"),
    ({"pose": 3}, r"pose\.: expected a section of settings, got 3"),
    ({"pose": [1]}, r"pose\.: expected a section of settings, got \[1\]"),
    ({"pose": {"work_size_px": "256"}}, r"pose.work_size_px: expected int, got '256' \(str\)"),
    ({"pose": {"work_size_px": 256.0}}, r"pose.work_size_px: expected int, got 256.0 \(float\)"),
    ({"pose": {"work_size_px": True}}, r"pose.work_size_px: expected int, got True \(bool\)"),
    ({"pose": {"min_margin": True}}, r"pose.min_margin: expected float, got True \(bool\)"),
    ({"pose": {"min_margin": "small"}}, r"pose.min_margin: expected float, got 'small' \(str\)"),
    ({"pose": {"min_margin": float("nan")}}, "pose.min_margin: expected a finite number, got nan"),
    ({"pose": {"min_margin": float("inf")}}, "pose.min_margin: expected a finite number, got inf"),
    ({"pose": {"min_margin": float("-inf")}}, "pose.min_margin: expected at least 0, got -inf"),
    ({"pose": {"track": 1}}, r"pose.track: expected bool, got 1 \(int\)"),
    ({"pose": {"preset": None}}, r"pose.preset: expected str, got None \(NoneType\)"),
    ({"segmentation": {"hsv_low": 3}}, "segmentation.hsv_low: expected a list, got 3"),
    ({"segmentation": {"hsv_low": "0,0,0"}}, "segmentation.hsv_low: expected a list, got '0,0,0'"),
    ({"segmentation": {"hsv_low": [0, "a", 0]}}, r"segmentation.hsv_low\[1\]: expected int, got 'a' \(str\)"),
])
def test_errors_name_the_setting(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(InspectorConfig, values)


@pytest.mark.parametrize("values", [{"hsv_low": [0, 80]}, {"hsv_high": [179, 255, 255, 255]}, {"hsv_low": []}])
def test_a_colour_has_three_channels(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"segmentation.hsv_\w+: expected 3 values, got"):
        from_dict(InspectorConfig, {"segmentation": values})


@pytest.mark.parametrize("nothing", [0, False, "", []])
def test_a_section_is_no_plain_value(nothing: Any) -> None:
    """Only a section that is there and empty (null in YAML) means its defaults."""
    assert from_dict(InspectorConfig, {"pose": None}) == InspectorConfig()
    with pytest.raises(ConfigError, match="pose"):
        from_dict(InspectorConfig, {"pose": nothing})


def test_whole_numbers_are_good_floats_and_lists_become_tuples() -> None:
    assert from_dict(PoseConfig, {"min_margin": 1}).min_margin == 1.0
    assert type(from_dict(PoseConfig, {"min_margin": 1}).min_margin) is float
    for given in ([170, 1, 2], (170, 1, 2), array("q", [170, 1, 2])):  # rclpy hands over arrays
        assert from_dict(SegmentationConfig, {"hsv_low": given}).hsv_low == (170, 1, 2)


def test_a_value_without_limits_is_only_coerced() -> None:
    assert check("x", 3, float, None) == 3.0


def test_there_and_back() -> None:
    config = from_dict(CellConfig, {"part": {"cad": "a.stl", "unit": "mm"}, "segmentation": {"hsv_low": [1, 2, 3]},
                                    "tf": {"part_frame": "nominal"}})
    assert from_dict(CellConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config
    assert to_dict(config)["segmentation"]["hsv_low"] == [1, 2, 3]


def test_merge_lays_deep_values_over() -> None:
    base = {"part": {"cad": "a.stl", "unit": "mm"}, "pose": {"track": True}}
    over = {"part": {"unit": "m"}, "tf": {"required": False}}
    assert merge(base, over) == {"part": {"cad": "a.stl", "unit": "m"}, "pose": {"track": True},
                                 "tf": {"required": False}}
    assert merge({"pose": {"track": True}}, {"pose": None}) == {"pose": None}
    assert base["part"]["unit"] == "mm"


def test_yaml_plain_and_in_the_layout_of_ros(tmp_path: Path) -> None:
    plain, ros = tmp_path / "plain.yaml", tmp_path / "ros.yaml"
    plain.write_text("part: {cad: a.stl, unit: mm}\n")
    ros.write_text("/**:\n  ros__parameters:\n    part: {cad: a.stl, unit: mm}\n")
    assert load_yaml(plain) == load_yaml(ros) == {"part": {"cad": "a.stl", "unit": "mm"}}
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")
    assert load_yaml(empty) == {}


@pytest.mark.parametrize("content", [b"part: [1, 2", b"- a\n- b\n", b"just words", b"\xff\xfe\x00broken"])
def test_yaml_that_is_no_settings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml: expected a YAML"):
        load_yaml(path)
    with pytest.raises(ConfigError, match=r"none\.yaml: expected a YAML file"):
        load_yaml(tmp_path / "none.yaml")


TWO_CAMERAS = """
/**: {ros__parameters: {part: {unit: mm}, detection: {tolerance_mm: 3.0}}}
/left/inspection: {ros__parameters: {detection: {tolerance_mm: 1.0}}}
right:
  inspection: {ros__parameters: {part: {unit: m}}}
/*/inspection: {ros__parameters: {tf: {required: false}}}
/cell/**: {ros__parameters: {part: {unit: in}}}
"""


def test_a_ros_file_of_several_nodes_is_read_for_one(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(TWO_CAMERAS)
    assert load_yaml(path, "/left/inspection") == {
        "part": {"unit": "mm"}, "detection": {"tolerance_mm": 1.0}, "tf": {"required": False}}
    assert load_yaml(path, "right/inspection") == {
        "part": {"unit": "m"}, "detection": {"tolerance_mm": 3.0}, "tf": {"required": False}}
    with pytest.raises(ConfigError, match=r"holds the settings of /left/inspection, /right/inspection; name one"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="expected settings of /middle/inspection, got those of"):
        load_yaml(path, "/middle/inspection")


def test_ros_parameters_that_are_no_section(tmp_path: Path) -> None:
    path = tmp_path / "ros.yaml"
    path.write_text("/**:\n  ros__parameters: 3\n")
    with pytest.raises(ConfigError, match=r"expected a (YAML mapping|section)"):
        from_dict(CellConfig, load_yaml(path))
