"""What is left to the CPU where a device fails: one image when it is out of memory, all of them when it broke."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

OUT_OF_MEMORY = ("ALLOC_FAILED", "unable to find an engine")
"""In the words of the CUDA libraries that torch calls, which have no error of their own for it."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Fallback:
    """Asks a device as long as it works; one for all that runs on it, since it breaks as a whole."""

    def __init__(self) -> None:
        self._broken = False

    def tried(self, compute: Callable[[], Result]) -> Result | None:
        """Return what is computed; None, with the reason logged, where the CPU is to do it."""
        if self._broken:
            return None
        try:
            return compute()
        except torch.AcceleratorError as error:
            # A CUDA context does not recover from it.
            self._broken = True
            logger.error("device: failed, the CPU takes over from now on: %s", _first_line(error))  # noqa: TRY400 - the words suffice
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and not any(w in str(error) for w in OUT_OF_MEMORY):
                raise
            logger.warning("device: out of memory, the CPU takes over for this image: %s", _first_line(error))
        return None


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0]
