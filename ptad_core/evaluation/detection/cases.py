"""Pictures to be judged, with their truth, from generated shapes or from a data set on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ptad_core.camera import Camera
from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.datasets import Dataset, Record
from ptad_core.errors import DatasetError
from ptad_core.reference import Reference, build_reference, check_mesh, reference_from_mesh
from ptad_core.synthesis.samples import Samples
from ptad_core.types import Box, ColorImage, FloatArray, MaskImage

GOOD = "good"
FOCAL_OF_QUERIES = 710 / 512
"""Focal length of BrokenChairs-180K's queries, relative to their side; the data set does not state it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One picture.

    Attributes:
        name: unique.
        family: of the part, to group by.
        reference: what the part should be.
        image_bgr: (H, W, 3).
        camera: of the picture.
        kind: of the defect, ``good`` where there is none.
        mask: (H, W) bool, where the defect is seen; None where it is not known.
        box_px: around the defect; None for good parts, or where it is not known.
        T_camera_part: (4, 4) true pose, only to tell how far the one found is off; None where it is not known.
    """

    name: str
    family: str
    reference: Reference
    image_bgr: ColorImage
    camera: Camera
    kind: str
    mask: MaskImage | None
    box_px: Box | None
    T_camera_part: FloatArray | None


def cases_of_samples(samples: Samples, config: ReferenceConfig, indices: range | None = None) -> Iterator[Case]:
    """Yield generated pictures; of each shape the reference is built once."""
    reference: Reference | None = None
    shape = -1
    for index in indices if indices is not None else range(len(samples)):
        if samples.shape_of(index) != shape:
            shape = samples.shape_of(index)
            solid = samples.reference(shape).solid
            mesh = check_mesh(solid.vertices, solid.faces, f"shape {shape}")
            reference = reference_from_mesh(mesh, f"shape_{shape}", config)
        assert reference is not None
        sample = samples[index]
        shown = sample.difference
        kind = GOOD if sample.defect is None else sample.defect.kind.value
        yield Case(f"{index:05d}", sample.reference.family, reference, sample.image_bgr, sample.camera, kind,
                   np.zeros_like(sample.mask) if shown is None else shown.mask,
                   None if shown is None else shown.box_px, sample.T_camera_part)


def cases_of_dataset(dataset: Dataset, config: ReferenceConfig) -> Iterator[Case]:
    """Yield the pictures of a data set, part by part.

    Raises:
        DatasetError: if a part has no CAD file.
    """
    parts: dict[str, list[Record]] = {}
    for record in dataset:
        parts.setdefault(record.reference.part_id, []).append(record)
    for part_id, records in parts.items():
        cad = records[0].reference.cad
        if cad is None:
            raise DatasetError(f"{dataset.layout}: expected a CAD file of {part_id}, there is none; inspecting is "
                               "against CAD (--meshes names a folder of <part>.obj)")
        reference = build_reference(PartConfig(part_id, str(cad), records[0].reference.unit), config)
        for record in records:
            yield _case_of_record(record, reference)


def _case_of_record(record: Record, reference: Reference) -> Case:
    image = record.read_image()
    height, width = image.shape[:2]
    camera = record.camera
    if camera is None:
        f = FOCAL_OF_QUERIES * max(width, height)
        camera = Camera(f, f, (width - 1) / 2, (height - 1) / 2, width, height)
    mask, box = record.read_mask() if record.anomalous else np.zeros((height, width), bool), record.box_px
    if mask is not None and box is None and mask.any():
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = Box(int(cols[0]), int(rows[0]), int(cols[-1] - cols[0]) + 1, int(rows[-1] - rows[0]) + 1)
    return Case(record.name, record.reference.part_id, reference, image, camera,
                record.kind if record.anomalous else GOOD, mask, box, record.T_camera_part)
