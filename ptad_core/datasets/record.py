"""What all data sets come down to: pictures with their label, and what they are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.errors import DatasetError
from ptad_core.types import Box, ColorImage, FloatArray, MaskImage

GOOD = "good"


@dataclass(frozen=True, slots=True)
class View:
    """A picture of the intact part from a known place.

    Attributes:
        image: file of a picture, textured or not.
        camera: of the picture.
        T_camera_part: (4, 4), OpenCV axes.
    """

    image: Path
    camera: Camera
    T_camera_part: FloatArray


@dataclass(frozen=True, slots=True)
class Reference:
    """What a part should be, as far as its data set tells.

    Attributes:
        part_id: unique within the data set: a shape or a class.
        cad: its CAD file, None where none is there.
        unit: of the CAD file; poses of the data set are in metres of it.
        views: pictures of the intact part.
    """

    part_id: str
    cad: Path | None
    unit: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One picture to be judged.

    Attributes:
        name: unique within the data set.
        split: ``train``, ``validation`` or ``test``.
        image: file of the picture.
        anomalous: the label.
        kind: of the defect, in the data set's words; ``good`` where there is none.
        reference: of the part in the picture.
        masks: files whose nonzero pixels, taken together, are the defect; empty where nobody marked it.
        box_px: of the defect; None where there is none, or none is given (``read_mask`` may tell it).
        camera: None where it is not known.
        T_camera_part: (4, 4) true pose, None where it is not known.
    """

    name: str
    split: str
    image: Path
    anomalous: bool
    kind: str
    reference: Reference
    masks: tuple[Path, ...] = ()
    box_px: Box | None = None
    camera: Camera | None = None
    T_camera_part: FloatArray | None = None

    def read_image(self) -> ColorImage:
        """Return the picture, (H, W, 3) BGR; what is transparent becomes white.

        Raises:
            DatasetError: if it cannot be read.
        """
        image = read_picture(self.image, cv2.IMREAD_UNCHANGED)
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        if image.shape[2] == 4:
            alpha = image[..., 3:].astype(np.float32) / 255
            image = np.asarray(np.rint(image[..., :3] * alpha + 255 * (1 - alpha)), dtype=np.uint8)
        return np.ascontiguousarray(image)

    def read_mask(self) -> MaskImage | None:
        """Return where the defect is, (H, W) bool; None where it is not marked.

        Raises:
            DatasetError: if a file cannot be read, or has another size than the others.
        """
        found: MaskImage | None = None
        for path in self.masks:
            mask = read_picture(path, cv2.IMREAD_GRAYSCALE) > 0
            if found is not None and found.shape != mask.shape:
                raise DatasetError(f"{path}: expected a mask of {found.shape[1]}x{found.shape[0]}, got "
                                   f"{mask.shape[1]}x{mask.shape[0]}")
            found = mask if found is None else found | mask
        return found


@dataclass(frozen=True, slots=True)
class Dataset:
    """All records of a folder.

    Attributes:
        layout: ``BrokenChairs-180K``, ``MAD`` or ``RAD``.
        records: in a fixed order.
    """

    layout: str
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def split(self, name: str) -> Dataset:
        """Return the records of one split.

        Raises:
            DatasetError: if there is none.
        """
        chosen = [record for record in self.records if record.split == name]
        if not chosen:
            there = sorted({record.split for record in self.records})
            raise DatasetError(f"expected pictures in the split {name!r} of {self.layout}, got only {', '.join(there)}")
        return Dataset(self.layout, chosen)


def read_picture(path: Path, flags: int) -> ColorImage:
    """Return a picture of 8 bits as OpenCV decodes it.

    Raises:
        DatasetError: if it cannot be read, or is not of 8 bits.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DatasetError(f"{path}: expected a picture, cannot read it: {error.strerror}") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None or image.dtype != np.uint8:
        got = f"{data.size} bytes of something else" if image is None else f"values of type {image.dtype}"
        raise DatasetError(f"{path}: expected a picture of 8 bits, got {got}")
    return np.asarray(image, dtype=np.uint8)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DatasetError: if it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: expected a JSON file: {error}") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def matrix(value: Any, shape: tuple[int, int], where: str) -> FloatArray:
    """Return numbers of a JSON file as a matrix.

    Raises:
        DatasetError: if they are none, or not finite.
    """
    try:
        numbers = np.array(value, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: expected {shape[0]}x{shape[1]} numbers, got {str(value)[:80]}") from error
    if not np.isfinite(numbers).all():
        raise DatasetError(f"{where}: expected finite numbers, got {numbers.tolist()}")
    return numbers


FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
"""Between the camera axes of OpenGL (y up, looks along -z) and OpenCV (y down, looks along z)."""
