"""What a kind of fault is: its name, how it is injected, and what the cell must say to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.ros.rig import Rig

Injection = Callable[[Rig], None]
"""Injects a fault into a running cell and checks what the cell says; raises NotAnsweredError where it says it not."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind.

    Attributes:
        family: what it happens to.
        name: what happens.
        inject: does it, and checks what the cell says.
        own_cell: it starts a cell that is set up unlike the others.
    """

    family: str
    name: str
    inject: Injection
    own_cell: bool = False


FAULTS: list[Fault] = []


def fault(family: str, name: str, own_cell: bool = False) -> Callable[[Injection], Injection]:
    """Register a kind of fault."""
    def register(inject: Injection) -> Injection:
        FAULTS.append(Fault(family, name, inject, own_cell))
        return inject
    return register
