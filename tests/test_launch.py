"""The launch files against what the package installs. They run for real where launch_ros is; here their names are read.

launch_ros is not on pip, so a recorder stands in for it that takes down what the files describe.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import setuptools
import yaml

from ptad_core.config import CellConfig, from_dict, load_yaml

ROOT = Path(__file__).resolve().parent.parent
EXPECTED_ARGUMENTS = {"namespace", "params_file", "use_sim_time", "rviz", "device", "autostart"}


class Context:
    """What a launch file is told on the command line."""

    def __init__(self, **values: str) -> None:
        self.values = {"cameras": "left, right", **values}
        self.asked: list[Described] = []


class Described:
    """Any action or substitution: its class, and what it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kind, self.args, self.kwargs = type(self).__name__, args, kwargs

    def perform(self, context: Context) -> str:
        """Of a LaunchConfiguration: its value."""
        context.asked.append(self)
        return context.values[self.args[0]]

    def walk(self) -> Iterator[Described]:
        yield self
        if self.kind == "OpaqueFunction":
            context = Context()
            for item in [*self.kwargs["function"](context), *context.asked]:
                yield from item.walk()
            return
        stack = [*self.args, *self.kwargs.values()]
        while stack:
            item = stack.pop()
            if isinstance(item, Described):
                yield from item.walk()
            elif isinstance(item, list | tuple | set):
                stack += item
            elif isinstance(item, dict):
                stack += [*item.keys(), *item.values()]


FAKED = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument", "GroupAction", "IncludeLaunchDescription", "OpaqueFunction"],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["EnvironmentVariable", "LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, classes in FAKED.items():
        module = ModuleType(name)
        for each in classes:
            setattr(module, each, type(each, (Described,), {}))
        monkeypatch.setitem(sys.modules, name, module)

    def load(file: Path) -> list[Described]:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return list(module.generate_launch_description().walk())

    return load


@pytest.fixture(scope="module")
def installed() -> dict[str, Any]:
    """What setup.py would install."""
    given: dict[str, Any] = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(setuptools, "setup", lambda **kwargs: given.update(kwargs))
    patch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("root_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    patch.undo()
    return given


LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


def of(kind: str, items: list[Described]) -> list[Described]:
    return [item for item in items if item.kind == kind]


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda f: f.name)
def test_launch_files_only_describe(file: Path) -> None:
    """Nothing is installed, downloaded or run by reading one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Import), ast.unparse(node)
        assert not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] in ("launch", "launch_ros")


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda f: f.name)
def test_every_executable_is_installed(file: Path, describe: Any, installed: dict[str, Any]) -> None:
    scripts = dict(map(str.strip, line.split("=")) for line in installed["entry_points"]["console_scripts"])
    nodes = [n for n in of("Node", describe(file)) if n.kwargs["package"] == installed["name"]]
    assert nodes or of("IncludeLaunchDescription", describe(file))
    for node in nodes:
        module, function = scripts[node.kwargs["executable"]].split(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", source, re.MULTILINE)


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda f: f.name)
def test_every_file_is_installed(file: Path, describe: Any, installed: dict[str, Any]) -> None:
    shared = {f"{target}/{Path(f).name}" for target, files in installed["data_files"] for f in files}
    assert f"share/ptad_ros/launch/{file.name}" in shared
    for path in of("PathJoinSubstitution", describe(file)):
        package, *parts = path.args[0]
        assert package.kind == "FindPackageShare" and package.args == ("ptad_ros",)
        assert f"share/ptad_ros/{'/'.join(parts)}" in shared


def test_whoever_sends_images_has_room_for_them(describe: Any) -> None:
    """Fast DDS's default discards the transform before a large image; what the user set stays."""
    senders = [node for file in LAUNCH_FILES for node in of("Node", describe(file))
               if node.kwargs["executable"] in {"inspection_node", "player"}]
    assert len(senders) == 2
    for node in senders:
        ((name, value),) = node.kwargs["additional_env"].items()
        assert value.kind == "EnvironmentVariable" and value.args == (name,) == ("FASTRTPS_DEFAULT_PROFILES_FILE",)
        assert value.kwargs["default_value"].args[0][1:] == ["config", "fastdds.xml"]


@pytest.mark.ros
def test_fast_dds_understands_its_profile() -> None:
    """It goes on without a profile that it cannot read, and says so."""
    pytest.importorskip("rclpy")
    code = ("import rclpy; from std_msgs.msg import String; rclpy.init(); node = rclpy.create_node('sender'); "
            "node.create_publisher(String, 'topic', 1); rclpy.shutdown()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env={
        **os.environ, "FASTRTPS_DEFAULT_PROFILES_FILE": str(ROOT / "config" / "fastdds.xml")})
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda f: f.name)
def test_every_argument_is_declared_described_and_used(file: Path, describe: Any) -> None:
    items = describe(file)
    declared = {a.args[0]: a.kwargs for a in of("DeclareLaunchArgument", items)}
    assert set(declared) >= EXPECTED_ARGUMENTS
    assert all(kwargs["description"] for kwargs in declared.values())
    assert {c.args[0] for c in of("LaunchConfiguration", items)} == set(declared)
    for include in of("IncludeLaunchDescription", items):
        (path,) = of("PathJoinSubstitution", list(include.args[0].walk()))
        inner = describe(ROOT.joinpath(*path.args[0][1:]))
        assert {name for name, _ in include.kwargs["launch_arguments"]} == {
            a.args[0] for a in of("DeclareLaunchArgument", inner)}


def test_every_camera_has_a_cell_in_a_namespace_and_arguments_of_its_own(describe: Any) -> None:
    items = describe(ROOT / "launch" / "cameras.launch.py")
    groups = of("GroupAction", items)  # scoped: a group's launch configurations end with it
    assert len(groups) == 2 and all("scoped" not in group.kwargs for group in groups)
    namespaces = []
    for group in groups:
        (include,) = of("IncludeLaunchDescription", list(group.walk()))
        given = dict(include.kwargs["launch_arguments"])
        cell, *rest = given.pop("namespace")
        assert cell.args == ("namespace",)
        namespaces.append("".join(rest))
        assert {name: value.args[0] for name, value in given.items()} == {name: name for name in given}
    assert namespaces == ["/left", "/right"]


@pytest.mark.parametrize("cameras", ["", "left,", "left,left", ",", " "])
def test_camera_names_that_cannot_be_meant(describe: Any, cameras: str) -> None:
    (later,) = of("OpaqueFunction", describe(ROOT / "launch" / "cameras.launch.py"))
    with pytest.raises(ValueError, match="cameras: expected different names"):
        later.kwargs["function"](Context(cameras=cameras))


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda f: f.name)
def test_the_real_launch_understands_it(file: Path) -> None:
    pytest.importorskip("launch_ros", reason="launch_ros is not on pip")
    from launch import LaunchContext
    from launch.actions import GroupAction, OpaqueFunction
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    context = LaunchContext()
    context.launch_configurations.update({"cameras": "left,right", "namespace": ""})
    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(context)
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert set(arguments) >= EXPECTED_ARGUMENTS and all(argument.description for argument in arguments.values())
    for entity in description.entities:
        if isinstance(entity, OpaqueFunction):
            assert [type(each) for each in entity.execute(context)] == [GroupAction, GroupAction]


def test_parameters_set_by_launch_are_declared_by_the_node(describe: Any) -> None:
    pytest.importorskip("rclpy")
    from ptad_ros.settings import NodeConfig, settings

    known = {s.name for s in settings(NodeConfig)} | {"use_sim_time"}
    items = describe(ROOT / "launch" / "inspection.launch.py")
    (cell,) = [n for n in of("Node", items) if n.kwargs["executable"] == "inspection_node"]
    given = [p for p in cell.kwargs["parameters"] if isinstance(p, dict)]
    assert given and set().union(*given) <= known
    choices = {s.name: s.limits.choices for s in settings(NodeConfig)}
    device = next(a for a in of("DeclareLaunchArgument", items) if a.args[0] == "device")
    assert tuple(device.kwargs["choices"]) == choices["device"]


def test_player_options_used_by_launch_exist(describe: Any) -> None:
    items = describe(ROOT / "launch" / "replay.launch.py")
    (player,) = [n for n in of("Node", items) if n.kwargs["executable"] == "player"]
    source = (ROOT / "ptad_ros" / "player.py").read_text(encoding="utf-8")
    options = [a for a in player.kwargs["arguments"] if isinstance(a, str) and a.startswith("--")]
    assert options and all(f'"{option}"' in source for option in options)


def test_parameter_files_are_valid_and_the_documented_one_is_up_to_date() -> None:
    from ptad_ros.settings import documented_yaml

    for file in sorted((ROOT / "config").glob("*.yaml")):
        from_dict(CellConfig, load_yaml(file))
    shown = (ROOT / "config" / "inspection.yaml").read_text(encoding="utf-8")
    assert shown == documented_yaml(), "run: python -m ptad_ros.settings config/inspection.yaml"
    assert from_dict(CellConfig, load_yaml(ROOT / "config" / "inspection.yaml")) == CellConfig()


def test_the_table_of_parameters_is_up_to_date_and_complete() -> None:
    from ptad_ros.settings import NodeConfig, documented_table, settings

    shown = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert shown == documented_table(), "run: python -m ptad_ros.settings"
    rows = {row.split("|")[1].strip(" `"): row for row in shown.splitlines() if row.startswith("| `")}
    assert list(rows) == [s.name for s in settings(NodeConfig)]
    assert all(row.count(" | ") == 5 for row in rows.values()), "a bar within a cell ends the cell"
    assert "| start |" in rows["reference.folder"] and "| any time |" in rows["detection.tolerance_mm"]
    assert "| unconfigured |" in rows["part.cad"] and "| one of auto, cpu, cuda |" in rows["device"]


def test_rviz_shows_topics_that_are_published() -> None:
    rviz = yaml.safe_load((ROOT / "config" / "ptad.rviz").read_text(encoding="utf-8"))
    displays = rviz["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"] for d in displays if "Topic" in d}
    sources = "".join(f.read_text(encoding="utf-8") for f in (ROOT / "ptad_ros").glob("*.py"))
    assert {"image_raw", "overlay", "reference_marker", "region_markers"} <= topics
    assert all(f'"{topic}"' in sources for topic in topics)
    assert any(d["Class"].endswith("/TF") for d in displays)
