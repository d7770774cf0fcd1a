"""A machine that lacks something is told what, and which line installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "prerequisites.sh"
TOOLS = ("cut", "getconf", "sort", "tail", "uname")
COMPLETE = ("cmake", "make", "g++")


@pytest.fixture
def machine(tmp_path):
    """Return a function that runs the script on a machine that has only the named programs and the stated Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shell = shutil.which("sh")
    assert shell

    def program(name: str, body: str) -> None:
        (folder / name).unlink(missing_ok=True)  # it may be a link to the real one
        (folder / name).write_text(f"#!{shell}\n{body}\n")
        (folder / name).chmod(0o755)

    def run(*arguments: str, programs: tuple[str, ...] = COMPLETE, uname: str = "Linux x86_64",
            libc: str = "glibc 2.36", python: str = "python3", version: str = "3.11 cpython", lacks: str = "",
            ) -> subprocess.CompletedProcess[str]:
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool))
        for name in programs:
            program(name, "exit 0")
        system, processor = uname.split()
        program("uname", f'test "$1" = -s && echo {system} || echo {processor}')
        program("getconf", f"echo {libc}" if libc else "exit 1")
        if python:  # asked for its version it says it; asked for what it lacks it fails
            lacking = f'*"{lacks}"*) exit 1;;' if lacks else ""
            program(python, f'case "$2" in *version_info*) echo "{version}";; {lacking} esac; exit 0')
        environment = {k: v for k, v in os.environ.items() if k not in ("PATH", "CXX")}
        return subprocess.run([shell, str(SCRIPT), *arguments], env={**environment, "PATH": str(folder)},
                              capture_output=True, text=True, check=False)

    return run


def test_a_complete_machine_names_its_python(machine):
    done = machine()
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3\n", "")


def test_a_newer_python_is_preferred(machine):
    assert machine(python="python3.12", version="3.12 cpython").stdout == "python3.12\n"


def test_the_chosen_python_is_taken(machine):
    assert machine("python3", python="python3").stdout == "python3\n"
    assert subprocess.run([str(SCRIPT), sys.executable], capture_output=True, text=True, check=False
                          ).stdout == f"{sys.executable}\n"


@pytest.mark.parametrize(("lacking", "apt"), [("cmake", "cmake"), ("make", "make"), ("g++", "g++")])
def test_a_missing_program_is_named_with_the_line_that_installs_it(machine, lacking, apt):
    done = machine(programs=tuple(p for p in COMPLETE if p != lacking))
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"sudo apt install {apt}\n" in done.stderr


def test_everything_missing_is_one_line(machine):
    done = machine(programs=(), python="")
    assert "sudo apt install python3 python3-venv python3-dev cmake make g++" in done.stderr


@pytest.mark.parametrize(("lacks", "apt"), [("ensurepip", "python3.11-venv"), ("Python.h", "python3.11-dev")])
def test_an_incomplete_python(machine, lacks, apt):
    done = machine(lacks=lacks)
    assert done.returncode == 1
    assert f"sudo apt install {apt}\n" in done.stderr


@pytest.mark.parametrize("fault", [{"uname": "Linux aarch64"}, {"uname": "Darwin arm64"}, {"libc": "glibc 2.27"},
                                   {"libc": ""}, {"version": "3.10 cpython"}, {"version": "3.12 pypy"}])
def test_where_there_are_no_wheels_the_ros_installation_is_shown(machine, fault):
    done = machine(**fault)
    assert done.returncode == 1
    assert "colcon build --base-paths . ptad_msgs" in done.stderr
    section = re.search(r'the README, "([^"]+)"', done.stderr)
    assert section is not None and f"## {section[1]}\n" in (SCRIPT.parent.parent / "README.md").read_text()
