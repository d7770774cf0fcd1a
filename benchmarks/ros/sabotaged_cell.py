"""The cell with a worker that can be sabotaged from outside: ``python -m benchmarks.ros.sabotaged_cell``.

The file that the environment variable ``PTAD_SABOTAGE`` names holds what the next image meets; it is used up by that.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from ptad_core.inspector import Inspector
from ptad_core.types import Segmentation
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.run import exit_with

HANG_S = 14.0


class ThreadKilled(BaseException):
    """Ends the worker's thread, which no error of an inspection does."""


class SabotagedInspector(Inspector):
    """An inspector that fails on demand."""

    def segment(self, *args: Any, **kwargs: Any) -> Segmentation:
        file = Path(os.environ["PTAD_SABOTAGE"])
        if file.exists():
            how = file.read_text(encoding="utf-8")
            file.unlink()
            if how == "kill":
                raise ThreadKilled("the worker was killed")
            if how == "memory":
                raise MemoryError("no memory left")
            if how == "error":
                raise ZeroDivisionError("a fault of our own")
            time.sleep(HANG_S)
        return super().segment(*args, **kwargs)


if __name__ == "__main__":
    exit_with(partial(InspectionNode, inspector=SabotagedInspector))
