"""Writes a generated data set in the layout of BrokenChairs-180K, shape by shape, in several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptad_core.camera import Camera
from ptad_core.datasets.broken_chairs import BOX_UNITS_PX, view_json
from ptad_core.datasets.record import GOOD, read_json
from ptad_core.errors import DatasetError, MeshError
from ptad_core.frames import invert
from ptad_core.reference.views import look_at, ring_directions
from ptad_core.rendering.exact import ExactRenderer, ExactRendering
from ptad_core.synthesis.appearance import Look
from ptad_core.synthesis.assembly import Assembly, write_obj
from ptad_core.synthesis.families import SPLIT
from ptad_core.synthesis.parts import load_parts
from ptad_core.synthesis.samples import Sample, Samples
from ptad_core.types import ColorImage, FloatArray, MaskImage

VIEW_CAMERA = Camera(355.0, 355.0, 127.5, 127.5, 256, 256)
VIEWS = 20
SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
SETTINGS = "synth.json"


@dataclass(frozen=True, slots=True)
class SynthPlan:
    """What is to be written.

    Attributes:
        count: pictures.
        seed: everything random comes from it.
        families: whose shapes take turns.
        cad: folder of CAD files that take turns with them; '' for none.
        unit: of these files.
        size_px: side of the pictures.
        pictures_per_shape: how often a shape is seen.
    """

    count: int
    seed: int = 0
    families: tuple[str, ...] = ()
    cad: str = ""
    unit: str = ""
    size_px: int = 512
    pictures_per_shape: int = 8

    def samples(self) -> Samples:
        """Return the samples of the plan.

        Raises:
            DatasetError: if there is neither a family nor CAD, or nothing to draw.
            MeshError: if there is no readable CAD file in the folder.
        """
        if self.count < 1 or self.size_px < 32:
            raise DatasetError(f"expected at least one picture of at least 32 pixels, got {self.count} of "
                               f"{self.size_px}")
        parts = tuple(load_parts(Path(self.cad), self.unit)) if self.cad else ()
        if not parts and not self.families:
            raise DatasetError("expected families of shapes or a folder of CAD files to draw from, got neither")
        return Samples(self.count, self.seed, self.families, parts, self.size_px,
                       pictures_per_shape=self.pictures_per_shape)


def write_dataset(out: Path, plan: SynthPlan, workers: int, say: Callable[[str], None]) -> int:
    """Write the pictures of a plan; those that are there already are kept. Return how many could not be drawn.

    Interrupted or asked for more, it goes on where it stopped; the same plan makes the same files, however many
    processes share the work.

    Raises:
        DatasetError: if the folder holds another plan's pictures.
        MeshError: if there is no readable CAD file in the plan's folder.
    """
    samples = plan.samples()
    _check_settings(out / SETTINGS, plan)
    shapes = range(-(-plan.count // plan.pictures_per_shape))
    out.mkdir(parents=True, exist_ok=True)
    (out / "split.json").write_text(json.dumps(_split(samples, shapes)), encoding="utf-8")
    done = failed = 0
    write = partial(_write_shape, out)
    with ExitStack() as stack:
        if workers == 1:
            _set_up(samples)
            results: Iterable[tuple[int, int]] = map(write, shapes)
        else:
            pool = multiprocessing.get_context("spawn").Pool(min(workers, len(shapes)), _set_up, (samples,))
            results = stack.enter_context(pool).imap_unordered(write, shapes)
        for made, lost in results:
            done, failed = done + made, failed + lost
            say(f"{done + failed} of {plan.count} pictures")
    return failed


def _check_settings(path: Path, plan: SynthPlan) -> None:
    """Keep what a folder was made with; only the number of pictures may change."""
    wanted = json.loads(json.dumps({key: value for key, value in asdict(plan).items() if key != "count"}))
    if path.exists():
        there = read_json(path)
        differing = sorted(key for key in wanted if wanted[key] != there.get(key))
        if differing:
            raise DatasetError(f"{path}: expected a folder of the same settings to go on with, got another "
                               f"{', '.join(f'{k} ({there.get(k)})' for k in differing)}; choose another folder")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


def _shape_id(samples: Samples, shape: int) -> str:
    """Return a name without underscores; a CAD file keeps its own, however often its turn comes."""
    turn = shape % (len(samples.families) + len(samples.parts))
    return f"{shape:06d}" if turn < len(samples.families) else f"cad{turn - len(samples.families):04d}"


def _split_of(samples: Samples, shape: int) -> str:
    """Return the split of a shape: by its family, or by the CAD file's number, a tenth each to validation and test."""
    turn = shape % (len(samples.families) + len(samples.parts))
    if turn < len(samples.families):
        return next(split for split, names in SPLIT.items() if samples.families[turn] in names)
    return {8: "validation", 9: "test"}.get((turn - len(samples.families)) % 10, "train")


def _split(samples: Samples, shapes: range) -> dict[str, list[str]]:
    split: dict[str, list[str]] = {name: [] for name in SPLIT_NAMES.values()}
    for shape in shapes:
        name = _shape_id(samples, shape)
        ids = split[SPLIT_NAMES[_split_of(samples, shape)]]
        if name not in ids:
            ids.append(name)
    return split


_samples: list[Samples] = []
"""Of this process; parts may be large, so they are handed over once."""


def _set_up(samples: Samples) -> None:
    _samples[:] = [samples]


def _write_shape(out: Path, shape: int) -> tuple[int, int]:
    """Write the views and the pictures of a shape; return how many pictures are there, and how many are not."""
    samples = _samples[0]
    name = _shape_id(samples, shape)
    if _split_of(samples, shape) == "test":
        samples = replace(samples, look=Look.TEST)
    start = shape * samples.pictures_per_shape
    made = failed = 0
    for index in range(start, min(start + samples.pictures_per_shape, samples.count)):
        truth = out / "truth" / f"{index:07d}.json"
        if not truth.exists():
            try:
                sample = samples[index]
            except MeshError:
                failed += 1
                continue
            _write_views(out, name, sample.reference)
            _write_sample(out, name, index, sample, truth)
        made += 1
    return made, failed


def _write_views(out: Path, name: str, reference: Assembly) -> None:
    """Write the CAD file in metres, and views of it without texture from a ring."""
    folder = out / "shapes" / f"shape_{name}"
    if (folder / f"{name}.obj").exists():
        return
    (folder / "mv_images").mkdir(parents=True, exist_ok=True)
    renderer = ExactRenderer(reference.solid.vertices, reference.solid.faces)
    distance = 1.6 * reference.diameter_m
    for direction in ring_directions(VIEWS):
        R = look_at(direction)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, np.array([0, 0, distance]) - R @ reference.solid.centre
        azimuth, elevation = np.degrees([np.arctan2(direction[1], direction[0]), np.arcsin(direction[2])])
        stem = f"{name}_{distance:.3f}_{round(azimuth) % 360}_{round(elevation)}"
        _save(folder / "mv_images" / f"{stem}.png", _matt(renderer.render(VIEW_CAMERA, T)))
        (folder / "mv_images" / f"{stem}.json").write_text(json.dumps(view_json(VIEW_CAMERA, T)), encoding="utf-8")
    part = folder / f"{name}.{os.getpid()}"  # last and in one go: a CAD file that is there says that all is there
    write_obj(reference, part, "m")
    part.replace(folder / f"{name}.obj")


def _matt(rendering: ExactRendering) -> ColorImage:
    """Return a grey picture lit from the camera, on white."""
    shade = np.clip(-rendering.normals[..., 2], 0, 1)
    grey = np.where(rendering.mask, 40 + 190 * np.nan_to_num(shade), 255)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _write_sample(out: Path, name: str, index: int, sample: Sample, truth: Path) -> None:
    """Write a picture, its annotation if something is wrong, and last its truth, which says that all is there."""
    kind = GOOD if sample.defect is None else sample.defect.kind.value
    eye = invert(sample.T_camera_part)[:3, 3] - sample.reference.solid.centre
    distance = float(np.linalg.norm(eye))
    azimuth, elevation = np.degrees([np.arctan2(eye[1], eye[0]), np.arcsin(eye[2] / distance)])
    label = "normal" if sample.defect is None else f"anomaly-{kind}"
    rest = f"{name}_{index}_{distance:.3f}_{round(azimuth) % 360}_{round(elevation)}_0_{label}"
    image = out / "images" / name / f"render_{rest}.png"
    _save(image, sample.image_bgr)
    K = [[sample.camera.fx, 0, sample.camera.cx], [0, sample.camera.fy, sample.camera.cy], [0, 0, 1]]
    known: dict[str, Any] = {
        "image": image.relative_to(out).as_posix(), "family": sample.reference.family, "label": int(kind != GOOD),
        "kind": kind, "K": K, "resolution": [sample.camera.height, sample.camera.width],
        "T_camera_part": sample.T_camera_part.tolist()}
    if sample.defect is not None:
        assert sample.difference is not None
        assert sample.difference.box_px is not None
        box = sample.difference.box_px
        units = BOX_UNITS_PX / sample.camera.width
        known |= {"component": sample.defect.component, "size": sample.defect.size,
                  "box_px": [box.x, box.y, box.width, box.height]}
        marks = out / "annotations" / name
        for age, mask in zip(("new", "old"), _masks(sample), strict=True):
            _save(marks / f"mask_{age}_{rest}.png", 255 * mask.astype(np.uint8))
        (marks / f"info_{rest}.json").write_text(
            json.dumps({"2d_bbox": [v * units for v in known["box_px"]], "kind": kind}), encoding="utf-8")
    truth.parent.mkdir(parents=True, exist_ok=True)
    part = truth.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(known), encoding="utf-8")
    part.replace(truth)


def _masks(sample: Sample) -> tuple[MaskImage, MaskImage]:
    """Return where the difference shows the part as it is, and where it would show the part as it should be."""
    assert sample.difference is not None
    solid = sample.reference.solid
    intact = ExactRenderer(solid.vertices, solid.faces).render(sample.camera, sample.T_camera_part).mask
    return sample.difference.mask & sample.mask, sample.difference.mask & intact


def _save(path: Path, picture: ColorImage | FloatArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise DatasetError(f"{path}: expected a file that can be written")


__all__ = ["SynthPlan", "write_dataset"]
