"""What of this machine and this configuration would keep a cell from running, each with the operator's next step.

Nothing of ROS is imported here: what concerns ROS is looked up without importing, or tried in a process of its own.
"""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptad_core.config import CellConfig, PartConfig, ReferenceConfig, from_dict, load_yaml
from ptad_core.errors import PtadError
from ptad_core.reference import PartMesh, load_mesh
from ptad_core.reference.build import cache_folder
from ptad_core.reference.folder import ReferenceFolder, require_confined
from ptad_core.reference.symmetry import parse_symmetry
from ptad_core.reference.symmetry_detection import detect_symmetry

MIN_FREE_BYTES = 512 * 1024 * 1024  # a built reference takes some megabytes, a report with its pictures some hundred
PROBE_TIMEOUT_S = 60.0
REINSTALL = "make env"
TESTED_PYTHONS = ((3, 11), (3, 12))


class Severity(enum.StrEnum):
    """How bad it is: an error keeps a cell from running, a warning may surprise."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        severity: ok, warning or error.
        what: what was found.
        next_step: what the operator does about it; empty with ok.
    """

    name: str
    severity: Severity
    what: str
    next_step: str = ""


def run_doctor(config: Path | None = None, node: str = "", live: str = "") -> list[Finding]:
    """Look at machine, packages and ROS, and at a configuration file with its CAD where one is given.

    Args:
        config: the file.
        node: whose settings, where it holds those of several.
        live: namespace of a running camera to look at; '' looks at none.
    """
    findings = [check_python(), check_processor()]
    findings += check_packages()
    findings += [check_numba(), check_gpu()]
    findings += check_ros()
    findings += check_ros_environment()
    cell, of_config = check_config(config, node) if config else (CellConfig(), [])
    of_camera = check_live(live, config, node) if live else []
    return [*findings, check_cache(cell.reference), *of_config, *of_camera]


def ok(name: str, what: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(name, Severity.OK, what)


def warning(name: str, what: str, next_step: str) -> Finding:
    """Return a finding that may surprise."""
    return Finding(name, Severity.WARNING, what, next_step)


def error(name: str, what: str, next_step: str) -> Finding:
    """Return a finding that keeps a cell from running."""
    return Finding(name, Severity.ERROR, what, next_step)


def check_python() -> Finding:
    """Older ones cannot import this; newer ones may work."""
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] not in TESTED_PYTHONS:
        return warning("python", f"{found}; tested are 3.11 and 3.12", "make clean && make env PYTHON=python3.12")
    return ok("python", found)


def check_processor() -> Finding:
    """Processor and cores; ROS 2's wheels exist for x86-64 only."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{platform.system()} {platform.machine()}, {cores} cores"
    if (platform.system(), platform.machine()) == ("Linux", "x86_64") or _is_there("rclpy"):
        return ok("processor", found)
    return warning("processor", f"{found}: ROS 2 has no wheels for it",
                   "for the nodes use a ROS 2 installation; the offline commands work as they are")


REQUIRED = {"numpy": "numpy", "scipy": "scipy", "cv2": "opencv-python-headless", "numba": "numba",
            "trimesh": "trimesh", "rosbags": "rosbags", "yaml": "pyyaml"}
OPTIONAL = {"embreex": ("the detection network, and the exact renderer of demo and tests,", REINSTALL),
            "torch": ("the paper's baseline, a benchmark,", "make dev"),
            "gsplat": ("GPU rendering", "make gpu")}


def check_packages() -> Iterator[Finding]:
    """Python packages: each is imported in a process of its own, for a broken one may take the process with it."""
    for module, distribution in REQUIRED.items():
        version, problem = _probe(module, distribution)
        if problem:
            yield error(module, problem, f"{REINSTALL}, or: pip install {distribution}")
        else:
            yield ok(module, version)
    for module, (purpose, remedy) in OPTIONAL.items():
        if not _is_there(module):
            yield ok(module, f"not installed; only {purpose} needs it ({remedy})")
            continue
        version, problem = _probe(module, module)
        if problem:
            yield warning(module, problem, f"{remedy}; only {purpose} needs it")
        else:
            yield ok(module, version)


def check_numba() -> Finding:
    """Compile and run something small, as the renderer does at its first picture."""
    program = ("import numba, numpy as np\n"
               "@numba.njit\n"
               "def total(values):\n"
               "    s = 0.0\n"
               "    for value in values:\n"
               "        s += value\n"
               "    return s\n"
               "assert total(np.arange(5.0)) == 10.0\n"
               "print(numba.get_num_threads())\n")
    done = _python(program)
    if done.returncode != 0:
        return error("numba compiles", _last_line(done), f"{REINSTALL}; without it nothing is rendered on the CPU")
    return ok("numba compiles", f"{done.stdout.strip()} threads")


def check_gpu() -> Finding:
    """An NVIDIA GPU helps, and nothing needs one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ok("gpu", "none found; everything runs on the CPU")
    done = _run([tool, "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if done.returncode != 0 or not done.stdout.strip():
        return warning("gpu", f"nvidia-smi fails: {_last_line(done)}", "check the driver; everything runs on the CPU")
    return ok("gpu", "; ".join(done.stdout.strip().splitlines()))


def check_ros() -> Iterator[Finding]:
    """The client library, its middleware, our messages, and the image conversion."""
    if not _is_there("rclpy"):
        yield warning("rclpy", "not there: nodes cannot run, offline commands can",
                      f"{REINSTALL}, or source a ROS 2 installation")
        return
    version, problem = _probe("rclpy", "rclpy")
    if problem and (asked := os.environ.get("RMW_IMPLEMENTATION")):
        yield error("middleware", f"RMW_IMPLEMENTATION={asked}: {problem}",
                    "unset RMW_IMPLEMENTATION, or install what it names; then ask the doctor again")
        return
    if problem:
        yield error("rclpy", problem, f"{REINSTALL}; with a sourced ROS installation use its own Python version")
        return
    yield ok("rclpy", f"{version}, ROS 2 {os.environ.get('ROS_DISTRO', 'from pip wheels')}")
    done = _python("import rclpy; print(rclpy.get_rmw_implementation_identifier())")
    if done.returncode != 0:
        yield error("middleware", _last_line(done), REINSTALL)
    else:
        yield ok("middleware", done.stdout.strip())
    built = {"ptad_msgs": "InspectionResult", "tf2_msgs": "TFMessage"}
    for package, message in built.items():
        done = _python(f"from {package}.msg import {message} as m; m.__class__.__import_type_support__()")
        if done.returncode != 0:
            yield error(package, _last_line(done),
                        f"{REINSTALL}; in a ROS workspace: colcon build --base-paths . ptad_msgs, then source it")
        else:
            yield ok(package, "built, its libraries load")
    if not _is_there("cv_bridge"):
        yield ok("cv_bridge", "not installed, not needed: images are converted by rosbags-image")
    elif problem := _probe("cv_bridge", "cv_bridge")[1]:
        yield warning("cv_bridge", f"broken ({problem}), not needed: images are converted by rosbags-image",
                      "nothing to do here; other nodes that import it need a NumPy of the version it was built with")
    else:
        yield ok("cv_bridge", "imports; not used: images are converted by rosbags-image")


def check_ros_environment() -> Iterator[Finding]:
    """Which other participants this machine hears."""
    domain = os.environ.get("ROS_DOMAIN_ID", "0") or "0"
    if not domain.isdecimal() or int(domain) > 232:
        yield error("ROS_DOMAIN_ID", f"{domain!r} is no domain", "export ROS_DOMAIN_ID=0 (0..101; up to 232 with care)")
    elif int(domain) > 101:
        yield warning("ROS_DOMAIN_ID", f"{domain}: its ports lie among those that Linux gives to other programs",
                      "choose one of 0..101")
    else:
        yield ok("ROS_DOMAIN_ID", domain)
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if reach not in ("", "LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT"):
        yield error("discovery", f"ROS_AUTOMATIC_DISCOVERY_RANGE={reach} is unknown",
                    "set it to LOCALHOST, SUBNET, OFF or SYSTEM_DEFAULT")
    elif reach == "OFF":
        yield warning("discovery", "OFF: nodes do not find each other", "unset ROS_AUTOMATIC_DISCOVERY_RANGE")
    elif reach == "LOCALHOST" or os.environ.get("ROS_LOCALHOST_ONLY") == "1":
        yield ok("discovery", "this machine only; cameras of other machines are not heard")
    else:
        yield ok("discovery", "the whole subnet")


def check_cache(config: ReferenceConfig) -> Finding:
    """Whether built references can be kept."""
    folder = cache_folder(config)
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    remedy = "set reference.cache_dir to a folder with space that this user may write"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return warning("cache", f"{folder} cannot be written: references are built anew at every start", remedy)
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        return warning("cache", f"{folder}: {free >> 20} MiB left", f"free some space, or {remedy}")
    return ok("cache", f"{folder}: {free >> 30} GiB left")


def check_config(path: Path, node: str = "") -> tuple[CellConfig, list[Finding]]:
    """Read a configuration with what it names; defaults stand in for one that cannot be read."""
    try:
        cell = from_dict(CellConfig, load_yaml(path, node))
    except PtadError as problem:
        return CellConfig(), [error("config", str(problem), f"correct {path}")]
    folder = cell.reference.folder
    of_parts = check_folder(cell, ReferenceFolder(folder)) if folder else ()
    of_cad = () if folder and not cell.part.cad else check_cad(cell.part)
    return cell, [ok("config", str(path)), *of_cad, *of_parts, *check_background(cell)]


def check_folder(cell: CellConfig, folder: ReferenceFolder) -> Iterator[Finding]:
    """The parts that may be loaded while a node runs, and that nothing lies outside their folder."""
    try:
        require_confined(cell)
        parts = folder.parts()
    except PtadError as problem:
        yield error("reference.folder", str(problem), "put all files of the parts into the folder, or correct its path")
        return
    names = [part.part_id for part in parts]
    yield ok("reference.folder", f"{folder.path}: {', '.join(names) or 'no parts'}")
    if not cell.part.cad and cell.part.id not in names:
        yield error("reference.folder", f"the node starts with part {cell.part.id!r}, which is not there",
                    "set part.id to one of the parts, or part.cad and part.unit")
    for part in parts:
        if part.problem:
            yield warning(f"part {part.part_id}", part.problem, f"correct {folder.path / part.part_id}.yaml")
        else:
            yield from check_cad(from_dict(PartConfig, folder.settings(part.part_id)["part"]), f"part {part.part_id}")


def check_cad(part: PartConfig, name: str = "cad") -> Iterator[Finding]:
    """A CAD file with its preflight."""
    if not part.cad:
        yield error(name, "the configuration names none", "set part.cad and part.unit, or say --cad and --unit")
        return
    try:
        mesh = load_mesh(Path(part.cad).expanduser(), part.unit)
    except PtadError as problem:
        yield error(name, str(problem), "set part.cad to a readable STL, OBJ, PLY or GLB and part.unit to its unit")
        return
    size = " x ".join(f"{1e3 * s:.4g}" for s in mesh.vertices.max(0) - mesh.vertices.min(0))
    yield ok(name, f"{part.cad}: {len(mesh.faces)} triangles, {size} mm")
    for doubt in mesh.warnings:
        yield warning(name, doubt, "compare with the drawing; correct part.unit, or export the CAD file anew")
    yield check_symmetry(part, mesh, name)


def check_symmetry(part: PartConfig, mesh: PartMesh, name: str) -> Finding:
    """Which poses of the part count as equal."""
    name = f"{name} symmetry"
    if part.symmetry.strip() == "auto":
        found = detect_symmetry(mesh)
        return ok(name, f"detected: {found} (set part.symmetry to 'none' if poses that differ by it are not equal)"
                  if found else "none detected")
    try:
        parse_symmetry(part.symmetry)
    except PtadError as problem:
        return error(name, str(problem), "correct part.symmetry, or set it to auto")
    return ok(name, f"declared: {part.symmetry or 'none'}")


def check_background(cell: CellConfig) -> Iterator[Finding]:
    """The picture of the empty scene, where the segmentation asks for one."""
    if cell.segmentation.method != "background":
        return
    path = Path(cell.segmentation.background).expanduser()
    if path.is_file():
        yield ok("background", str(path))
    else:
        yield error("background", f"{cell.segmentation.background or 'no picture'} is not there",
                    "set segmentation.background to a picture of the empty scene")


def check_live(namespace: str, config: Path | None, node: str) -> list[Finding]:
    """Listen to a running camera and to TF for some seconds, as a cell would; done by a process that imports ROS."""
    command = [sys.executable, "-m", "ptad_ros.examine", namespace]
    command += ["--config", str(config), "--node", node] if config else []
    done = _run(command)
    try:
        values = [json.loads(line) for line in done.stdout.splitlines()]
        found = [Finding(**{**value, "severity": Severity(value["severity"])}) for value in values]
    except (ValueError, TypeError, KeyError):
        found = []
    if done.returncode != 0 or not found:
        found.append(error("live", f"the camera could not be looked at: {_last_line(done)}",
                           f"{REINSTALL}, or source a ROS 2 installation; check the namespace"))
    return found


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _probe(module: str, distribution: str) -> tuple[str, str]:
    """Import a module in a process of its own; return its version, and what went wrong, empty where nothing did."""
    done = _python(f"import {module} as m; print(getattr(m, '__version__', ''))")
    if done.returncode != 0:
        return "", _last_line(done)
    version = done.stdout.strip().splitlines()[-1:]
    if version and version[0]:
        return version[0], ""
    try:
        return importlib.metadata.version(distribution), ""
    except importlib.metadata.PackageNotFoundError:
        return "imports", ""


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-c", program])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {PROBE_TIMEOUT_S:.0f} s")
    except OSError as problem:
        return subprocess.CompletedProcess(command, 126, "", str(problem))


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
