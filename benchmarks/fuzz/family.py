"""What a family of inputs is, and how one input is fed with a time limit."""

from __future__ import annotations

import random
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptad_core.errors import PtadError

LIMIT_S = 5.0
"""An input that takes longer hangs."""


class HungError(BaseException):
    """An input took too long. Not an Exception, so that nothing under test takes it for its own."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of input.

    Attributes:
        name: of the family.
        make: draws an input from a seeded generator.
        feed: gives it to what reads it, in an empty folder; must come back, or raise one of ``refusals``.
        refusals: how bad input may be refused.
        weight: relative share of the inputs.
    """

    name: str
    make: Callable[[random.Random], Any]
    feed: Callable[[Any, Path], object]
    refusals: tuple[type[Exception], ...] = (PtadError,)
    weight: float = 1.0


def feed(family: Family, number: int, seed: int = 0, limit_s: float = LIMIT_S) -> tuple[str, str]:
    """Feed one input; return ``taken``, ``refused`` or ``failed``, and the words that go with it."""
    rng = random.Random(f"{family.name} {seed} {number}")
    given = family.make(rng)
    try:
        with tempfile.TemporaryDirectory() as folder, _limited(limit_s):
            family.feed(given, Path(folder))
    except family.refusals as error:
        words = str(error)
        return ("refused", words) if words.strip() else ("failed", f"{type(error).__name__} without words")
    except HungError:
        return "failed", f"hung: took longer than {limit_s:g} s"
    except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
        return "failed", traceback.format_exc(limit=-4)
    return "taken", ""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
