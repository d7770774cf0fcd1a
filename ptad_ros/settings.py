"""The settings of a cell as a flat list, and as the documented file ``config/inspection.yaml``.

``python -m ptad_ros.settings config/inspection.yaml`` writes that file anew after a setting has changed.
"""

from __future__ import annotations

import sys
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from ptad_core.config import CellConfig, Limits, default_of, limits_of

_HEAD = """\
# Settings of an inspection cell: every one with its default, its meaning and its range. What is left out of a file
# keeps its default; names that are not here are refused. `ros2 param describe` shows the same.
# The least that has to be set is part.cad and part.unit. Written by `python -m ptad_ros.settings`.
/**:
  ros__parameters:
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the configuration tree, by its dotted name."""

    name: str
    hint: Any
    default: Any
    limits: Limits


def settings(cls: type = CellConfig, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a configuration class, sections flattened to dotted names."""
    hints = typing.get_type_hints(cls)
    for f in fields(cls):
        if is_dataclass(hints[f.name]):
            yield from settings(hints[f.name], f"{prefix}{f.name}.")
        else:
            limits = limits_of(f)
            assert limits is not None, f"{prefix}{f.name} has no description"
            yield Setting(f"{prefix}{f.name}", hints[f.name], default_of(f), limits)


def documented_yaml() -> str:
    """Return a parameter file with all settings at their defaults, each with its meaning."""
    lines, section = [], ""
    for s in settings():
        here, leaf = s.name.rsplit(".", 1)
        if here != section:
            lines.append(f"    {here}:")
            section = here
        allowed = range_words(s.limits)
        words = f"{s.limits.description} ({allowed})" if allowed else s.limits.description
        lines += textwrap.wrap(words, 112, initial_indent="      # ", subsequent_indent="      # ")
        lines.append(f"      {leaf}: {_flow(s.default)}")
    return _HEAD + "\n".join(lines) + "\n"


def range_words(limits: Limits) -> str:
    """Return in words what a setting may be; '' where everything of its type is allowed."""
    words = []
    if limits.choices:
        words.append("one of " + ", ".join(choice or "''" for choice in limits.choices))
    if limits.minimum is not None and limits.maximum is not None:
        words.append(f"{limits.minimum:g} to {limits.maximum:g}")
    elif limits.minimum is not None:
        words.append(f"from {limits.minimum:g}")
    elif limits.maximum is not None:
        words.append(f"up to {limits.maximum:g}")
    if not limits.mutable:
        words.append("changes only while the node is unconfigured")
    return "; ".join(words)


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    plain = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(plain, default_flow_style=True)).split("\n", maxsplit=1)[0]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(documented_yaml(), encoding="utf-8")
