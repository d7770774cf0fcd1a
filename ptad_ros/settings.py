"""The settings of a cell as a flat list, and as the documented files ``config/inspection.yaml`` and
``docs/parameters.md``, which ``python -m ptad_ros.settings`` writes anew after a setting has changed.
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

from ptad_core.config import CellConfig, Limits, default_of, limits_of, setting
from ptad_core.gpu.device import DEVICES

_HEAD = """\
# Settings of an inspection cell: every one with its default, its meaning and its range. What is left out of a file
# keeps its default; names that are not here are refused. `ros2 param describe` shows the same.
# The least that has to be set is part.cad and part.unit. Written by `python -m ptad_ros.settings`.
/**:
  ros__parameters:
"""


@dataclass(frozen=True, slots=True)
class NodeConfig(CellConfig):
    """A cell's configuration, and how the node that runs it behaves."""

    autostart: bool = setting(True, "configure and activate at start; false leaves that to a lifecycle manager",
                              fixed=True)
    device: str = setting("auto", "where pose, rendering and network run: auto takes a GPU where one can be used, "
                          "and says what it chose and why; cuda is an error at start where there is none",
                          choices=DEVICES, mutable=False)


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


_TABLE_HEAD = """\
# Parameters

Every parameter of the nodes; all nodes have the same. Changes: *any time* holds from the next image on;
*unconfigured* only while the node is unconfigured (the service `~/load_reference` changes the part while it runs);
*start* only where the node is started, by file, launch or command line. A value of the wrong type or out of its range
is refused, and so is an unknown name, each time by name. `ros2 param describe` shows the same.
[config/inspection.yaml](../config/inspection.yaml) holds them all, as a file to start from. `use_sim_time` and
`qos_overrides` are as in every ROS node. Written by `python -m ptad_ros.settings`.
"""


def documented_table() -> str:
    """Return a page with a table of all settings for each section, those of the nodes alone last."""
    sections: dict[str, list[str]] = {}
    for s in settings(NodeConfig):
        section, _, _ = s.name.rpartition(".")
        sections.setdefault(section, []).append(
            f"| `{s.name}` | {_type_words(s)} | `{_flow(s.default)}` | {_range(s.limits)} | {_changes(s.limits)} | "
            f"{s.limits.description} |")
    node_alone = sections.pop("")
    pages = [_TABLE_HEAD]
    for section, rows in [*sections.items(), ("of the node itself", node_alone)]:
        pages.append("\n".join([f"## {section}", "", "| parameter | type | default | range | changes | meaning |",
                                "|---|---|---|---|---|---|", *rows, ""]))
    return "\n".join(pages)


def _type_words(s: Setting) -> str:
    if typing.get_origin(s.hint) is tuple:
        return f"{len(s.default)} {typing.get_args(s.hint)[0].__name__}"
    return str(s.hint.__name__)


def _changes(limits: Limits) -> str:
    if limits.fixed:
        return "start"
    return "any time" if limits.mutable else "unconfigured"


def range_words(limits: Limits) -> str:
    """Return in words what a setting may be, and when; '' where everything of its type is allowed at any time."""
    words = [_range(limits)] if _range(limits) else []
    if limits.fixed:
        words.append("given at start, never changed")
    elif not limits.mutable:
        words.append("changes only while the node is unconfigured")
    return "; ".join(words)


def _range(limits: Limits) -> str:
    words = []
    if limits.choices:
        words.append("one of " + ", ".join(choice or "''" for choice in limits.choices))
    if limits.minimum is not None and limits.maximum is not None:
        words.append(f"{limits.minimum:g} to {limits.maximum:g}")
    elif limits.minimum is not None:
        words.append(f"from {limits.minimum:g}")
    elif limits.maximum is not None:
        words.append(f"up to {limits.maximum:g}")
    return "; ".join(words)


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    plain = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(plain, default_flow_style=True)).split("\n", maxsplit=1)[0]


if __name__ == "__main__":
    for name in sys.argv[1:] or ("config/inspection.yaml", "docs/parameters.md"):
        text = documented_table() if name.endswith(".md") else documented_yaml()
        Path(name).write_text(text, encoding="utf-8")
