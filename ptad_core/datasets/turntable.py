"""MAD and RAD: a folder per class, training pictures with poses, test pictures by defect, masks.

    <class>/train/good/<n>.png   test/{good,<defect>}/<n>.png   ground_truth/<defect>/<n>_mask.png   transforms.json

Poses are camera to world in OpenGL axes; they belong to the pictures that ``file_path`` names, not to a position in the
list. RAD's are estimates. The data sets bring no CAD: the training pictures are the reference. A CAD file in a class's
folder (``model.obj`` and the like, in units of the poses) is taken up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.datasets.record import FLIP_YZ, GOOD, Dataset, Record, Reference, View, matrix, read_json, read_picture
from ptad_core.errors import DatasetError
from ptad_core.frames import invert, is_rigid
from ptad_core.reference.mesh import SUFFIXES
from ptad_core.types import FloatArray

RAD_DEFECTS = {"missing", "scratched", "squeezed", "stained"}
PICTURES = {".png", ".jpg", ".jpeg"}

Poses = dict[str, FloatArray]


def class_folders(root: Path) -> list[Path]:
    """Return the folders of classes: those below the root that have training pictures, or the root itself."""
    found = [p for p in (root, *sorted(root.iterdir())) if (p / "train" / GOOD).is_dir()]
    return found[:1] if found and found[0] == root else found


def read_turntable(root: Path) -> Dataset:
    """Read MAD or RAD: the folder of all classes, or of one.

    Raises:
        DatasetError: if something that the layout promises is missing.
    """
    classes = class_folders(root)
    if not classes:
        raise DatasetError(f"{root}: expected folders of classes with train/{GOOD}, or one such folder; found none")
    records = [record for folder in classes for record in _class_records(folder)]
    kinds = {record.kind for record in records if record.anomalous}
    return Dataset("RAD" if kinds and kinds <= RAD_DEFECTS else "MAD", records)


def _class_records(folder: Path) -> list[Record]:
    train, test = _pictures(folder / "train" / GOOD), folder / "test"
    if not train:
        raise DatasetError(f"{folder / 'train' / GOOD}: expected pictures, found none")
    if not test.is_dir():
        raise DatasetError(f"{test}: expected a folder of test pictures, but there is none")
    camera, poses = _cameras(folder, train[0])
    views = tuple(View(path, camera, poses[key]) for path in train if (key := _key(folder, path)) in poses)
    cad = next((p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES), None)
    reference = Reference(folder.name, cad, "m", views)
    records = [_record(folder, path, "train", GOOD, (), reference, camera, poses) for path in train]
    for kind in sorted(p for p in test.iterdir() if p.is_dir()):
        good = kind.name == GOOD or kind.name.startswith("good_")
        for path in _pictures(kind):
            masks = () if good else (_mask_of(folder, kind.name, path),)
            records.append(_record(folder, path, "test", GOOD if good else kind.name, masks, reference, camera, poses))
    return records


def _record(folder: Path, path: Path, split: str, kind: str, masks: tuple[Path, ...], reference: Reference,
            camera: Camera, poses: Poses) -> Record:
    return Record(f"{folder.name}/{path.relative_to(folder).as_posix()}", split, path, kind != GOOD, kind, reference,
                  masks, None, camera, poses.get(_key(folder, path)))


def _pictures(folder: Path) -> list[Path]:
    """Return pictures in the order of their numbers, which are not padded."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.suffix.lower() in PICTURES),
                  key=lambda p: (int(p.stem) if p.stem.isdigit() else -1, p.name))


def _mask_of(folder: Path, kind: str, picture: Path) -> Path:
    marked = folder / "ground_truth" / kind
    for name in (f"{picture.stem}_mask.png", f"{picture.stem}.png"):
        if (marked / name).is_file():
            return marked / name
    raise DatasetError(f"{marked / (picture.stem + '_mask.png')}: expected the mask of {picture}, but there is none")


def _key(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _cameras(folder: Path, first: Path) -> tuple[Camera, Poses]:
    """Return the camera that a class's pictures share, and T_camera_part by path without suffix."""
    path = folder / "transforms.json"
    values = read_json(path)
    height, width = read_picture(first, cv2.IMREAD_GRAYSCALE).shape[:2]
    try:
        fx = _focal(values, "fl_x", "camera_angle_x", width)
        fy = _focal(values, "fl_y", "camera_angle_y", height) or fx
        if not fx or not fy:
            raise DatasetError(f"{path}: expected camera_angle_x or fl_x, got keys {', '.join(sorted(values))}")
        # instant-ngp counts pixels from the corner of the first one, OpenCV from its centre
        cx, cy = float(values.get("cx", width / 2)) - 0.5, float(values.get("cy", height / 2)) - 0.5
        frames = [(str(frame["file_path"]), frame["transform_matrix"]) for frame in values["frames"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected camera_angle_x and frames with file_path and transform_matrix: "
                           f"{type(error).__name__} {error}") from error
    poses = {}
    for name, numbers in frames:
        T_part_camera = matrix(numbers, (4, 4), f"{path}, {name}") @ FLIP_YZ
        if not is_rigid(T_part_camera, tolerance=1e-3):
            raise DatasetError(f"{path}, {name}: expected a rigid transform, got {T_part_camera.tolist()}")
        poses[_named(name)] = invert(T_part_camera)
    return Camera(fx, fy, cx, cy, width, height), poses


def _named(file_path: str) -> str:
    path = Path(file_path)
    return (path.with_suffix("") if path.suffix.lower() in PICTURES else path).as_posix().removeprefix("./")


def _focal(values: dict[str, Any], focal: str, angle: str, size: int) -> float:
    if focal in values:
        return float(values[focal])
    return 0.5 * size / float(np.tan(0.5 * float(values[angle]))) if angle in values else 0.0
