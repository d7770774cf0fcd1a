"""What stands before the rig's camera: pictures of the demonstration's part, with what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, PartConfig, TfConfig, to_dict
from ptad_core.synthesis.assembly import write_obj
from ptad_core.synthesis.recording import CAMERA, INTACT, PART_FRAME, VISITS, plan_recording
from ptad_core.types import ColorImage, FloatArray

FAMILY = "gear_motor"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: (H, W, 3) BGR, where the camera stood, and what lies there (a key of ``recording.EXPECTED``)."""

    image: ColorImage
    T_cell_camera: FloatArray
    truth: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures by what is true of them, the part's CAD file, and where the fixture holds the part."""

    camera: Camera
    cad: Path
    T_cell_part: FloatArray
    shots: dict[str, list[Shot]]

    @property
    def good(self) -> Shot:
        """An intact part, clearly seen."""
        return self.shots[INTACT][0]

    def settings(self, **sections: dict[str, Any]) -> dict[str, Any]:
        """Return a cell's settings for this part as nested plain values; what is given is laid on top."""
        values = to_dict(CellConfig(part=PartConfig(id=FAMILY, cad=str(self.cad), unit="mm"),
                                    tf=TfConfig(part_frame=PART_FRAME)))
        for section, given in sections.items():
            values[section] |= given
        return values


def make_scene(out: Path, camera: Camera = CAMERA, truths: frozenset[str] | None = None, seed: int = 0) -> Scene:
    """Take the pictures.

    Args:
        out: where the CAD file goes.
        camera: whose pictures.
        truths: take only pictures of these; None takes all kinds.
        seed: everything random comes from it.
    """
    recording = plan_recording(len(VISITS), seed, FAMILY, camera)
    wanted = {visit.truth for visit in recording.visits} if truths is None else set(truths)
    shots: dict[str, list[Shot]] = {}
    pictures = recording.pictures()
    for visit, index in recording.frames():
        picture = next(pictures)
        T_cell_camera = np.linalg.inv(recording.T_camera_cell[index])
        shots.setdefault(visit.truth, []).append(Shot(picture.image_bgr, T_cell_camera, visit.truth))
        if wanted <= shots.keys():
            break
    out.mkdir(parents=True, exist_ok=True)
    cad = (out / "part.obj").resolve()
    write_obj(recording.reference, cad, "mm")
    return Scene(camera, cad, recording.T_cell_nominal, shots)


def write_settings(path: Path, settings: dict[str, Any]) -> Path:
    """Write settings as a node's parameter file."""
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": settings}}, sort_keys=False), encoding="utf-8")
    return path

