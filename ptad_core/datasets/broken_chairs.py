"""BrokenChairs-180K's layout: rendered queries, annotations of the anomalous ones, twenty views of each intact shape.

    split.json                            {"train" | "val" | "test": [shape ids]}
    images/<subdir>/render_<shape>_<texture>_<radius>_<azimuth>_<elevation>_<light>_<normal | ...anomaly...>.png
    annotations/<subdir>/info_*.json, mask_new_*.png, mask_old_*.png      of anomalous pictures only
    shapes/shape_<id>/mv_images/<id>_<distance>_<azimuth>_<elevation>.{png, json}
    truth/<number>.json                   added by `ptad synth`: camera, pose, kind and size of the defect

The label is in the file name. Meshes are not shipped with the original: they are looked for as
``shapes/shape_<id>/<id>.obj`` and in a folder that the user names. Its ``.npy`` views are pickles and never opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.datasets.record import FLIP_YZ, GOOD, Dataset, Record, Reference, View, matrix, read_json, read_picture
from ptad_core.errors import DatasetError
from ptad_core.frames import is_rigid
from ptad_core.types import Box

BOX_UNITS_PX = 512
"""Side of the pictures that ``2d_bbox`` counts in."""
SPLITS = {"train": "train", "val": "validation", "test": "test"}
KINDS = {1: "positional", 2: "rotational", 3: "missing", 4: "broken", 5: "swapped"}
"""Types of the older layout."""
TOKENS = 8
"""``render``, shape, texture, radius, azimuth, elevation, light, label; the label may hold more underscores."""


def is_broken_chairs(root: Path) -> bool:
    """Tell whether a folder has this layout, or holds a folder ``BrokenChairs`` that has."""
    return (_inner(root) / "split.json").is_file()


def _inner(root: Path) -> Path:
    inner = root / "BrokenChairs"
    return inner if inner.is_dir() else root


def read_broken_chairs(root: Path, meshes: Path | None = None) -> Dataset:
    """Read the data set, or what `ptad synth` wrote in its layout; ``meshes`` holds ``<shape id>.obj``.

    Raises:
        DatasetError: if something that the layout promises is missing or cannot be read.
    """
    root = _inner(root)
    split_of = _splits(root / "split.json")
    pictures = sorted((root / "images").rglob("render_*.png"))
    if not pictures:
        raise DatasetError(f"{root / 'images'}: expected pictures render_*.png, found none")
    truths = {str(truth.get("image")): truth for truth in map(read_json, sorted((root / "truth").glob("*.json")))}
    references: dict[str, Reference] = {}
    records = []
    for path in pictures:
        tokens = path.stem.split("_")
        if len(tokens) < TOKENS:
            raise DatasetError(f"{path}: expected a name like render_<shape>_<texture>_<radius>_<azimuth>_<elevation>_"
                               f"<light>_<normal or anomaly>.png, got {len(tokens)} of {TOKENS} tokens")
        shape = tokens[1]
        if shape not in split_of:
            raise DatasetError(f"{path}: expected a shape of split.json, got {shape!r}")
        if shape not in references:
            references[shape] = _reference(root, shape, meshes)
        name = path.relative_to(root).as_posix()
        records.append(_record(root, path, name, split_of[shape], references[shape], truths.get(name, {})))
    return Dataset("BrokenChairs-180K", records)


def _splits(path: Path) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for name, shapes in read_json(path).items():
        if name not in SPLITS or not isinstance(shapes, list):
            raise DatasetError(f"{path}: expected lists of shapes under {', '.join(SPLITS)}, got {name!r}")
        for shape in map(str, shapes):
            if split_of.setdefault(shape, SPLITS[name]) != SPLITS[name]:
                raise DatasetError(f"{path}: expected each shape in one split, got {shape} in two")
    return split_of


def _record(root: Path, path: Path, name: str, split: str, reference: Reference, truth: dict[str, Any]) -> Record:
    anomalous = "anomaly" in path.name
    kind, box = GOOD, None
    masks: tuple[Path, ...] = ()
    if anomalous:
        marks = root / "annotations" / path.parent.relative_to(root / "images")
        rest = path.name.removeprefix("render_")
        info = read_json(marks / f"info_{Path(rest).stem}.json")
        kind = _kind(info, truth)
        box = _box(info, path)
        masks = tuple(m for m in (marks / f"mask_{age}_{rest}" for age in ("new", "old")) if m.is_file())
    camera = T_camera_part = None
    if truth:
        where = f"truth of {name}"
        K = matrix(truth.get("K"), (3, 3), where)
        try:
            height, width = (int(n) for n in truth["resolution"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{where}: expected resolution (height, width): {type(error).__name__}") from error
        camera = Camera.from_K(K, width, height)
        T_camera_part = matrix(truth.get("T_camera_part"), (4, 4), where)
    return Record(name, split, path, anomalous, kind, reference, masks, box, camera, T_camera_part)


def _kind(info: dict[str, Any], truth: dict[str, Any]) -> str:
    kind = truth.get("kind", info.get("kind", info.get("type", "anomaly")))
    return KINDS.get(kind, str(kind)) if isinstance(kind, int) else str(kind)


def _box(info: dict[str, Any], path: Path) -> Box | None:
    """Return the box in pixels of the picture; it is stored as x, y, width, height in units of 512 pixels."""
    if info.get("2d_bbox") is None:
        return None
    x, y, width, height = matrix(info["2d_bbox"], (1, 4), f"annotation of {path.name}, 2d_bbox")[0]
    scale = read_picture(path, cv2.IMREAD_GRAYSCALE).shape[1] / BOX_UNITS_PX
    return Box(round(x * scale), round(y * scale), max(round(width * scale), 1), max(round(height * scale), 1))


def _reference(root: Path, shape: str, meshes: Path | None) -> Reference:
    folder = root / "shapes" / f"shape_{shape}"
    places = [folder / f"{shape}.obj", *([meshes / f"{shape}.obj"] if meshes else [])]
    views = []
    for path in sorted((folder / "mv_images").glob("*.json")):
        picture = path.with_suffix(".png")
        if picture.stem.split("_")[-2:-1] == ["360"]:
            continue  # the view at 0 degrees once more
        if not picture.is_file():
            raise DatasetError(f"{picture}: expected the picture of {path.name}, but there is none")
        values = read_json(path)
        T_camera_part = FLIP_YZ @ matrix(values.get("RT"), (4, 4), f"{path}, RT")
        if not is_rigid(T_camera_part, tolerance=1e-3):
            raise DatasetError(f"{path}: expected a rigid transform RT, got {values['RT']}")
        height, width = read_picture(picture, cv2.IMREAD_GRAYSCALE).shape[:2]
        K = matrix(values.get("K"), (3, 3), f"{path}, K")
        K[:2, 2] -= 0.5  # (128, 128) is the middle of 256 pixels counted from the corner of the first
        views.append(View(picture, Camera.from_K(K, width, height), T_camera_part))
    return Reference(shape, next((p for p in places if p.is_file()), None), "m", tuple(views))


def view_json(camera: Camera, T_camera_part: np.ndarray) -> dict[str, Any]:
    """Return what the JSON file beside a view holds, the inverse of how it is read."""
    K = np.array([[camera.fx, 0, camera.cx + 0.5], [0, camera.fy, camera.cy + 0.5], [0, 0, 1]])
    RT = FLIP_YZ @ T_camera_part
    return {"K": K.tolist(), "RT": RT.tolist(), "RT_": np.linalg.inv(RT).tolist()}
