"""What pip, colcon and a reader of the repository rely on: versions, messages, layout, installed files."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ptad_core.types import Reason, RegionKind, Verdict
from ptad_core.version import __version__

ROOT = Path(__file__).resolve().parent.parent
INTERFACES = sorted(p for kind in ("msg", "srv", "action") for p in (ROOT / "ptad_msgs" / kind).glob(f"*.{kind}"))
COLCON = shutil.which("colcon", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
needs_colcon = pytest.mark.skipif(COLCON is None, reason="colcon is not installed; run make env")


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_version():
    assert run(sys.executable, "setup.py", "--version").split()[-1] == __version__
    for manifest in ("package.xml", "ptad_msgs/package.xml"):
        assert re.findall(r"<version>(.*)</version>", (ROOT / manifest).read_text()) == [__version__], manifest
    citation = re.search(r"^version: \"?([\w.]+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation is not None
    assert citation[1] == __version__
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "project" not in pyproject, "metadata has one place, setup.py, which takes the version from the core"


@needs_colcon
def test_colcon_finds_both_packages():
    listed = {tuple(line.split("\t")) for line in
              run(str(COLCON), "list", "--base-paths", ".", "ptad_msgs").splitlines()}
    assert listed == {("ptad_ros", ".", "(ros.ament_python)"), ("ptad_msgs", "ptad_msgs", "(ros.ament_cmake)")}


@needs_colcon
def test_colcon_installs_the_root_package(tmp_path):
    run(str(COLCON), "--log-base", str(tmp_path / "log"), "build", "--base-paths", ".",
        "--packages-select", "ptad_ros", "--build-base", str(tmp_path / "build"),
        "--install-base", str(tmp_path / "install"), "--event-handlers", "console_direct-")
    prefix = tmp_path / "install" / "ptad_ros"
    for folder in ("launch", "config", "security"):
        wanted = {p.name for p in (ROOT / folder).glob("*.*")}
        assert wanted, f"{folder} is empty"
        assert {p.name for p in (prefix / "share" / "ptad_ros" / folder).iterdir()} == wanted
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "ptad_ros").is_file()
    executables = {p.name: p for p in (prefix / "lib" / "ptad_ros").iterdir()}
    assert executables.keys() == {"segmentation_node", "alignment_node", "detection_node", "inspection_node", "player",
                                  "recorder", "re_look", "ptad"}
    for path in executables.values():
        assert path.read_text().startswith("#!/usr/bin/env python3\n"), "a virtual environment must be honoured"


def test_executables_lead_to_functions():
    text = (ROOT / "setup.py").read_text()
    targets = re.findall(r'"\w+ = ([\w.]+):(\w+)"', text)
    assert len(targets) == 8
    for module, function in targets:
        file = ROOT / module.replace(".", "/")
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        assert function in {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


PIP_NAMES = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "backports": "backports.zstd"}
ROS_NAMES = {"tf2_ros": "tf2_ros_py"}


def imported_by(*folders: str) -> set[str]:
    """Return the packages, neither ours nor Python's own, that are imported anywhere below the folders."""
    found: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"ptad_core", "ptad_ros"}


LEARNING = {"torch", "safetensors", "sklearn"}
"""Imported where a network is used, see requirements-learning.txt."""
GPU = {"triton"}
"""Imported on a machine with a GPU, see requirements-gpu.txt."""


def test_what_is_imported_is_declared():
    required = set((ROOT / "requirements.txt").read_text().split())
    core = {PIP_NAMES.get(name, name) for name in imported_by("ptad_core")}
    core -= {PIP_NAMES.get(name, name) for name in LEARNING}
    assert core - GPU - required == set(), "missing in requirements.txt"
    assert set((ROOT / "requirements-gpu.txt").read_text().split()) >= GPU
    manifest = set(re.findall(r"<(?:exec_)?depend>(.*)</", (ROOT / "package.xml").read_text()))
    nodes = {ROS_NAMES.get(name, name) for name in imported_by("ptad_ros", "launch")}
    of_pip = {name for name in nodes if PIP_NAMES.get(name, name) in required}
    assert nodes - of_pip - manifest == set(), "missing in package.xml"


ROSDEP_KEYS = {"numpy": "python3-numpy", "opencv-python-headless": "python3-opencv", "pyyaml": "python3-yaml",
               "scipy": "python3-scipy"}


@pytest.mark.parametrize("document", ["README.md", "docs/integrator.md", "docs/decisions/0002-substitutes.md"])
def test_a_ROS_workspace_gets_every_package_from_rosdep_or_from_pip(document):
    """Embreex is of the recordings that are made here, and has no wheels for arm64."""
    text = (ROOT / document).read_text()
    (line,) = re.findall(r'(?m)^ *pip install "numpy<2" (.*)$', text)
    manifest = set(re.findall(r"<exec_depend>(.*)</", (ROOT / "package.xml").read_text()))
    assert set(ROSDEP_KEYS.values()) <= manifest
    assert [key for key in manifest if key.endswith("-pip")] == [], "rosdep would write into the system's Python"
    required = set((ROOT / "requirements.txt").read_text().partition("\n")[2].split())
    assert set(line.split()) == required - set(ROSDEP_KEYS) - {"embreex", "setuptools", "wheel"}
    steps = ["-m venv --system-site-packages", 'pip install "numpy<2"', "colcon build --base-paths . ptad_msgs",
             "source install/setup.bash"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def constants_of(message: str, prefix: str = "") -> dict[str, int]:
    text = (ROOT / "ptad_msgs" / "msg" / f"{message}.msg").read_text()
    return {name: int(value) for name, value in re.findall(rf"(?m)^u?int\d+ {prefix}([A-Z_]+)\s*=\s*(\d+)", text)}


def test_message_constants_are_the_core_enums():
    assert constants_of("InspectionResult", "REASON_") == {r.name: r.value for r in Reason}
    assert constants_of("AnomalyRegion", "KIND_") == {k.name: k.value for k in RegionKind}
    everything = constants_of("InspectionResult")
    assert {n: v for n, v in everything.items() if not n.startswith("REASON_")} == {v.name: v.value for v in Verdict}


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.stem)
def test_every_message_field_is_commented(path):
    fields = [line for line in path.read_text().splitlines()
              if line and line != "---" and not line.lstrip().startswith("#")]
    assert fields
    assert [line for line in fields if not re.search(r"# +\S+", line)] == []


def test_all_messages_services_and_actions_are_built():
    """Both by colcon and in an environment of wheels, which builds by colcon as well."""
    listed = re.findall(r'"(\w+/\w+\.\w+)"', (ROOT / "ptad_msgs" / "CMakeLists.txt").read_text())
    assert listed == sorted(listed) == sorted(f"{p.parent.name}/{p.name}" for p in INTERFACES)
    module = pytest.importorskip("ptad_msgs", reason="ptad_msgs is not built; run make env").__name__
    for path in INTERFACES:
        interface = getattr(importlib.import_module(f"{module}.{path.parent.name}"), path.stem)
        interface.__class__.__import_type_support__()


def test_every_package_that_the_messages_use_is_declared():
    manifest = (ROOT / "ptad_msgs" / "package.xml").read_text()
    cmake = (ROOT / "ptad_msgs" / "CMakeLists.txt").read_text()
    used = set(re.findall(r"(?m)^(\w+)/\w+", "\n".join(p.read_text() for p in INTERFACES))) - {"ptad_msgs"}
    used |= {"action_msgs"}  # every action does
    (linked,) = re.findall(r"DEPENDENCIES ([\w ]+)", cmake)
    assert set(linked.split()) == used == set(re.findall(r"<depend>(.*)</depend>", manifest))
    assert {f"find_package({name} REQUIRED)" for name in used} <= set(cmake.splitlines())


CORE_WITHOUT_ROS = """
import importlib, importlib.abc, pkgutil, re, sys

ROS = re.compile(r"(rclpy|rcl_interfaces|builtin_interfaces|\\w+_msgs|tf2_\\w+|rosidl\\w*|ament_\\w+|launch\\w*"
                 r"|cv_bridge|rosbag2_py|message_filters|std_srvs)(\\.|$)")

class NoRos(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if ROS.match(name):
            raise ModuleNotFoundError(f"{name} is of ROS, and the core asked for it", name=name)

assert not [name for name in sys.modules if ROS.match(name)]
sys.meta_path.insert(0, NoRos())
import ptad_core
names = [m.name for m in pkgutil.walk_packages(ptad_core.__path__, "ptad_core.") if not m.name.endswith("__main__")]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "triton":  # only a machine with a GPU has it
            raise
print(len(names))
"""


def test_an_inspection_does_without_torch():
    """It is not part of what `make demo` installs."""
    program = ("import sys; sys.modules['torch'] = None\n"
               "import ptad_core.cli, ptad_core.inspector, ptad_core.synthesis, ptad_core.evaluation.real")
    run(sys.executable, "-c", program)


def test_an_inspection_by_geometry_does_without_embree():
    """It has no wheels for arm64 Linux: there the network is left out, with a word."""
    program = ("import sys; sys.modules['embreex'] = sys.modules['embreex.mesh_construction'] = None\n"
               "import ptad_core.cli, ptad_core.inspector\n"
               "from ptad_core.detection import load_judge\n"
               "assert load_judge('auto') is None")
    run(sys.executable, "-c", program)


def test_the_core_never_imports_ros():
    assert int(run(sys.executable, "-c", CORE_WITHOUT_ROS)) > 20


def test_every_package_of_the_environment_is_pinned():
    """What the direct requirements draw in must stand in constraints.txt: an unpinned ROS wheel mixes distributions."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    wanted = [line for name in ("requirements.txt", "requirements-dev.txt", "requirements-learning.txt",
                                   "requirements-ros.txt")
              for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    seen: dict[str, str] = {}
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        distribution = importlib.metadata.distribution(name)
        seen[name] = distribution.version.partition("+")[0]
        extras = requirement.extras or {""}
        for text in distribution.requires or []:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(text)
    assert len(seen) > 100
    assert {n: v for n, v in seen.items() if pins.get(n) != v} == {}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return [ROOT / name for name in run("git", "ls-files", "-z").split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_of_one_machine():
    private = re.compile(rf"{re.escape(str(ROOT))}\b|(?<![\w.}}])/(?:root|home|tmp|work)/\w".encode())
    found = [f"{path.relative_to(ROOT)}: {hit[0].decode(errors='replace')}"
             for path in tracked_files() for hit in private.finditer(path.read_bytes())]
    assert found == []


@pytest.mark.parametrize("name", ["Makefile", "constraints.txt", "requirements.txt", "requirements-dev.txt",
                                  "requirements-gpu.txt", "requirements-learning.txt", "requirements-ros.txt"])
def test_no_registry_is_prescribed(name):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


def test_hand_written_files_stay_readable():
    sources = [p for p in tracked_files() if p.suffix in (".py", ".sh", ".msg") or p.name == "Makefile"]
    assert len(sources) > 20
    assert {str(p.relative_to(ROOT)): n for p in sources if (n := len(p.read_text().splitlines())) > 400} == {}
