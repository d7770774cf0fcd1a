"""The network that a configuration names, loaded when an inspector is made; torch is not imported before."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ptad_core.detection.learned import Examiner
from ptad_core.errors import DependencyError
from ptad_core.reference.mesh import PartMesh
from ptad_core.rendering.exact import ExactRenderer

if TYPE_CHECKING:
    from ptad_core.detection.network.judge import Judge

PACKAGED = Path(__file__).resolve().parent / "weights" / "comparer.safetensors"

logger = logging.getLogger(__name__)


@cache
def load_judge(network: str) -> Judge | None:
    """Return the network named by ``detection.network``; None where it is none, or ``auto`` cannot run it here.

    Raises:
        NetworkError: if the weights are not usable.
        DependencyError: if weights are named and torch, safetensors or embreex is not installed.
    """
    if network == "none" or (network == "auto" and not PACKAGED.exists()):
        return None
    try:
        import embreex.mesh_construction  # noqa: F401 - what the network compares a picture with is ray-cast

        from ptad_core.detection.network.judge import Judge
    except ImportError as error:
        if network == "auto":
            logger.warning("no detection network, geometry alone decides: %s; see requirements-learning.txt", error)
            return None
        raise DependencyError(f"detection.network: expected torch, safetensors and embreex to be installed: "
                              f"{error}") from error
    return Judge(PACKAGED if network == "auto" else Path(network).expanduser())


def examiner_of(judge: Judge | None, mesh: PartMesh) -> Examiner | None:
    """Return a network with a part's mesh; None where there is no network."""
    return None if judge is None else Examiner(judge, ExactRenderer(mesh.vertices, mesh.faces))
