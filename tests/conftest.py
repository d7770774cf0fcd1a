"""Every run of the tests is alone: its own ROS domain on this machine, whatever else is running here.

`make test` sets the same; this holds for a plain `pytest` as well. Domains above 101 reach into the ephemeral ports.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from core_parts import bracket

from ptad_core.config import ReferenceConfig
from ptad_core.reference import Reference, reference_from_mesh

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE",
                      str(Path(__file__).resolve().parent.parent / "config" / "fastdds.xml"))


@pytest.fixture(scope="session")
def reference_config(tmp_path_factory: pytest.TempPathFactory) -> ReferenceConfig:
    """Coarse references, each built once in a run of the tests."""
    return ReferenceConfig(gaussians=4000, views=162, cache_dir=str(tmp_path_factory.mktemp("references")))


@pytest.fixture(scope="session")
def reference(reference_config: ReferenceConfig) -> Reference:
    """A part without symmetry."""
    return reference_from_mesh(bracket(), "bracket", reference_config)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch with one thread: threads that wait for each other on a busy machine take ten times as long."""
    torch = pytest.importorskip("torch", reason="needs torch: make learning")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests over DDS a second try, which the summary counts.

    Discovery and delivery share two busy cores with everything else; a test that fails for the code's sake fails twice.
    """
    for item in items:
        if item.path.stem.startswith("test_ros_"):
            item.add_marker(pytest.mark.flaky(reruns=1))
