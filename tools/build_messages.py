"""Build ptad_msgs where ROS 2 comes from pip wheels, into the virtual environment that runs this file.

Messages, services and actions are installed where the wheels keep theirs (``lib``, ``share``, ``site-packages`` of the
environment), so that its Python finds modules and shared libraries without anything being sourced. Where a ROS
installation provides ``colcon build`` none of this is needed.

    .venv/bin/python tools/build_messages.py [--force]
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path(sys.prefix)
WORK = PREFIX / "ros"  # build tree, log and stamp: they go when the environment goes
STAMP = WORK / "messages.sha256"
STANDIN = ROOT / "tools" / "tf2_msgs_standin"

# Where the wheels were built; their exported CMake targets still point there.
FOREIGN_INCLUDES = re.compile(r'INTERFACE_INCLUDE_DIRECTORIES "(/[^"$]*/include/python3[^"$]*)"')


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the ROS messages into this virtual environment.")
    parser.add_argument("--force", action="store_true", help="build even where nothing changed")
    arguments = parser.parse_args()

    if sys.prefix == sys.base_prefix:
        return fail("this Python is no virtual environment; messages are built into one",
                    "make env, or on a ROS installation: colcon build --base-paths . ptad_msgs")
    with (PREFIX / "messages.lock").open("w") as lock:  # two builds at a time would take each other's files away
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_where_needed(arguments.force)


def build_where_needed(force: bool) -> int:
    packages = [ROOT / "ptad_msgs", *([] if has_wheel("ros-tf2-msgs") else [STANDIN])]
    digest = content_hash(packages)
    if not force and STAMP.is_file() and STAMP.read_text() == digest and importable(packages):
        return 0
    before = installed_files()
    shutil.rmtree(WORK, ignore_errors=True)
    patch_exported_targets()
    if (code := build(packages)) != 0:
        return fail(f"colcon stopped with exit code {code}", f"read {WORK / 'log' / 'latest_build'}")
    for stale in before - installed_files():  # a message that was renamed must not stay importable
        if stale.is_relative_to(PREFIX):
            stale.unlink(missing_ok=True)
    if not importable(packages):
        return fail("the messages were built, and cannot be imported", "rm -rf .venv && make env")
    STAMP.write_text(digest)
    return 0


def fail(what: str, next_step: str) -> int:
    sys.stderr.write(f"build_messages: {what}\n  next: {next_step}\n")
    return 1


def has_wheel(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def content_hash(packages: list[Path]) -> str:
    """Hash everything that the result depends on: sources, this file, interpreter and the wheels' versions."""
    digest = hashlib.sha256(f"{sys.version} {PREFIX}".encode())
    wheels = sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions()
                    if d.name.startswith(("ros-", "numpy")))
    digest.update("\n".join(wheels).encode())
    for folder in packages:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def installed_files() -> set[Path]:
    """Return what the last build installed."""
    manifests = (WORK / "build").glob("*/install_manifest.txt")
    return {Path(line) for manifest in manifests for line in manifest.read_text().splitlines()}


def patch_exported_targets() -> None:
    """Point the wheels' exported CMake targets at this interpreter's and this NumPy's include folders."""
    import numpy as np

    here = f"{sysconfig.get_path('include')};{np.get_include()}"
    for path in (PREFIX / "share").glob("*/cmake/*Export.cmake"):
        text = path.read_text()
        patched = FOREIGN_INCLUDES.sub(lambda _: f'INTERFACE_INCLUDE_DIRECTORIES "{here}"', text)
        if patched != text:
            path.unlink()  # pip may have hard-linked the file from a cache that others use
            path.write_text(patched)


def build(packages: list[Path]) -> int:
    """Run colcon, quietly; return its exit code, and show its output where it failed."""
    environment = {
        **os.environ,
        "AMENT_PREFIX_PATH": str(PREFIX),
        "CMAKE_PREFIX_PATH": str(PREFIX),
        "PATH": f"{PREFIX / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    environment.pop("COLCON_PREFIX_PATH", None)
    environment.pop("PYTHONPATH", None)
    command = [
        sys.executable, "-m", "colcon", "--log-base", str(WORK / "log"), "build", "--merge-install",
        "--build-base", str(WORK / "build"), "--install-base", str(PREFIX), "--base-paths", *map(str, packages),
        "--event-handlers", "console_direct-", "console_cohesion-", "desktop_notification-",
        "--cmake-args", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release", f"-DPython3_EXECUTABLE={sys.executable}",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode


def importable(packages: list[Path]) -> bool:
    """Load every package's type support in a fresh interpreter, which is where a missing library shows."""
    names = ["tf2_msgs" if folder == STANDIN else folder.name for folder in packages]
    modules = [f"{name}.{folder.name}" for package, name in zip(packages, names, strict=True)
               for folder in sorted(package.iterdir()) if folder.name in ("msg", "srv", "action")]
    checks = "; ".join(f"import {module} as m; [getattr(m, t).__class__.__import_type_support__() for t in dir(m) "
                       f"if t[0].isupper()]" for module in modules)
    return subprocess.run([sys.executable, "-c", checks], cwd=PREFIX, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
