"""The root package: an ordinary Python project for pip, and an ``ament_python`` package for colcon."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "ptad_ros"
ROOT = Path(__file__).resolve().parent

VERSION = runpy.run_path(str(ROOT / "ptad_core" / "version.py"))["__version__"]


def requirements(file: str) -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def share(folder: str) -> tuple[str, list[str]]:
    """Return the files of a folder, to be installed below the package's share folder."""
    files = sorted(p.relative_to(ROOT) for p in (ROOT / folder).glob("*.*"))
    return f"share/{PACKAGE}/{folder}", [str(p) for p in files]


setup(
    name=PACKAGE,
    version=VERSION,
    description="Pose- and texture-agnostic visual inspection against CAD, with ROS 2 nodes",
    maintainer="PTAD developers",
    maintainer_email="ptad@example.org",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["ptad_core", "ptad_core.*", "ptad_ros", "ptad_ros.*"]),
    package_data={"ptad_core": ["py.typed", "training/*.json", "detection/weights/*"], "ptad_ros": ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        share("launch"),
        share("config"),
        share("security"),
    ],
    install_requires=requirements("requirements.txt"),
    extras_require={"dev": requirements("requirements-dev.txt"),
                    "learning": requirements("requirements-learning.txt"), "gpu": requirements("requirements-gpu.txt")},
    entry_points={
        "console_scripts": [
            "segmentation_node = ptad_ros.segmentation_node:main",
            "alignment_node = ptad_ros.alignment_node:main",
            "detection_node = ptad_ros.detection_node:main",
            "inspection_node = ptad_ros.inspection_node:main",
            "player = ptad_ros.player:main",
            "recorder = ptad_ros.recorder:main",
            "re_look = ptad_ros.examples.re_look:main",
            "ptad = ptad_core.cli:main",
        ],
    },
    # Where `ros2 run` looks for executables. Their first line asks the environment for python3, so that a virtual
    # environment is honoured: the interpreter that ran colcon is usually the system's.
    options={
        "develop": {"script_dir": f"$base/lib/{PACKAGE}"},
        "install": {"install_scripts": f"$base/lib/{PACKAGE}"},
        "build_scripts": {"executable": "/usr/bin/env python3"},
    },
    zip_safe=True,
)
