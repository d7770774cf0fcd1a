"""Data sets on disk, all read as the same kind of record."""

from __future__ import annotations

from pathlib import Path

from ptad_core.datasets.broken_chairs import is_broken_chairs, read_broken_chairs
from ptad_core.datasets.record import GOOD, Dataset, Record, Reference, View
from ptad_core.datasets.turntable import class_folders, read_turntable
from ptad_core.errors import DatasetError


def read_dataset(root: Path, meshes: Path | None = None) -> Dataset:
    """Read a data set, whichever of the known layouts it has.

    Args:
        root: folder of the data set.
        meshes: folder of ``<shape id>.obj`` for BrokenChairs-180K, which does not ship its meshes.

    Raises:
        DatasetError: if the folder has no known layout, or lacks something that its layout promises.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: expected the folder of a data set, but there is none")
    if is_broken_chairs(root):
        return read_broken_chairs(root, meshes)
    if class_folders(root):
        return read_turntable(root)
    there = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
    raise DatasetError(f"{root}: expected split.json and images/ (BrokenChairs-180K), or folders of classes with "
                       f"train/good (MAD, RAD); got {there}")


__all__ = ["GOOD", "Dataset", "Record", "Reference", "View", "read_broken_chairs", "read_dataset", "read_turntable"]
