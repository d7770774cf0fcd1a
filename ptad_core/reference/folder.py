"""The parts that a cell may load: one settings file for each in one folder, and nothing outside it.

``<part_id>.yaml`` holds what the part needs besides the cell's own settings, in the same layout: its CAD file (relative
to the folder), unit and symmetry, and whatever else differs for it, such as its tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptad_core.config import InspectorConfig, PartConfig, TfConfig, from_dict, load_yaml, to_dict
from ptad_core.errors import ConfigError

SECTIONS = ("part", "segmentation", "pose", "detection", "tf")
"""What may differ from part to part; the rest belongs to the cell."""
FILES = (("segmentation", "background"), ("detection", "network"), ("detection", "calibration"))
"""Settings that name a file, besides the CAD."""
NO_FILE = ("", "auto", "none")
MAX_SETTINGS_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class PartEntry:
    """A part of the folder.

    Attributes:
        part_id: its name.
        cad: its CAD file as its settings say, relative to the folder.
        unit: of the CAD file.
        problem: why it cannot be loaded, in words; '' where its settings are in order.
    """

    part_id: str
    cad: str = ""
    unit: str = ""
    problem: str = ""


class ReferenceFolder:
    """Looks parts up by name. Links are followed before it is decided what lies inside."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    def parts(self) -> list[PartEntry]:
        """Return all parts, sorted by name; those that cannot be loaded say why.

        Raises:
            ConfigError: if the folder cannot be read.
        """
        try:
            names = sorted(file.stem for file in self.path.iterdir() if file.suffix == ".yaml")
        except OSError as error:
            raise ConfigError(f"reference.folder: expected a folder that can be read: {error}") from error
        return [self._entry(name) for name in names]

    def _entry(self, part_id: str) -> PartEntry:
        try:
            part = self.settings(part_id)["part"]
        except ConfigError as error:
            return PartEntry(part_id, problem=str(error))
        cad = Path(part["cad"]).relative_to(self.path.resolve())
        return PartEntry(part_id, str(cad), part["unit"])

    def settings(self, part_id: str) -> dict[str, Any]:
        """Return a part's settings, checked, as nested plain values; those of the section ``part`` are complete.

        Raises:
            ConfigError: if there is no such part, its settings are no good, or a file of it lies outside the folder.
        """
        if not _NAME.fullmatch(part_id):
            raise ConfigError(f"part_id: expected the name of a part (letters, digits, '.', '_', '-'), got {part_id!r}")
        file = self.inside(f"{part_id}.yaml", f"part {part_id!r}")
        if file.stat().st_size > MAX_SETTINGS_BYTES:
            raise ConfigError(f"{file.name}: expected at most {MAX_SETTINGS_BYTES} bytes of settings, "
                              f"got {file.stat().st_size}")
        values = load_yaml(file)
        strange = sorted(map(str, set(values) - set(SECTIONS)))
        if strange:
            raise ConfigError(f"{file.name}: a part may set {', '.join(SECTIONS)}, got {strange[0]}")
        from_dict(InspectorConfig, {name: section for name, section in values.items() if name != "tf"})
        from_dict(TfConfig, _section(values, "tf"), "tf.")
        part = from_dict(PartConfig, _section(values, "part"), "part.")
        if part.id not in ("", part_id):
            raise ConfigError(f"{file.name}: expected part.id to be the file's name {part_id!r}, got {part.id!r}")
        if not part.cad or not part.unit:
            raise ConfigError(f"{file.name}: expected part.cad and part.unit, got {part.cad!r} and {part.unit!r}")
        cad = self.inside(part.cad, "part.cad")
        found = {**values, "part": {**to_dict(part), "id": part_id, "cad": str(cad)}}
        for section, name in FILES:
            path = _section(values, section).get(name)
            if path not in (None, *NO_FILE):
                found[section] = {**found[section], name: str(self.inside(path, f"{section}.{name}"))}
        return found

    def inside(self, path: str, what: str) -> Path:
        """Return a file of the folder, links resolved.

        Args:
            path: relative to the folder, or absolute.
            what: names it in the error.

        Raises:
            ConfigError: if it lies outside the folder, or is no file.
        """
        try:
            folder = self.path.resolve(strict=True)
            file = (folder / Path(path).expanduser()).resolve()
            outside, missing = not file.is_relative_to(folder), not file.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # no folder, a loop of links, a NUL in the name
            raise ConfigError(f"{what}: expected a file of reference.folder {self.path}: {error}") from error
        if outside:
            raise ConfigError(f"{what}: expected a file inside reference.folder {self.path}, got {path!r} outside it")
        if missing:
            raise ConfigError(f"{what}: expected a file of reference.folder {self.path}, got {path!r}, "
                              "which is not there")
        return file


def require_confined(config: InspectorConfig) -> None:
    """Raise ConfigError where ``reference.folder`` is set and a file of the part lies outside it."""
    if not config.reference.folder:
        return
    folder = ReferenceFolder(config.reference.folder)
    for section, name in (("part", "cad"), *FILES):
        path = getattr(getattr(config, section), name)
        if path not in NO_FILE:
            folder.inside(str(Path(path).expanduser().absolute()), f"{section}.{name}")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return values.get(name) or {}
