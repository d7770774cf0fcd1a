"""A recording of an inspection cell with its truth: what the demonstration and the tests play."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, PartConfig, TfConfig, to_dict
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.assembly import Assembly, write_obj
from ptad_core.synthesis.bag_writer import BagWriter
from ptad_core.synthesis.defects import FIVE_KINDS, Defect, DefectKind, Difference, Visibility, draw_visible_defect
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.scene import Appearance, Picture, Scene, draw_appearance, draw_materials
from ptad_core.synthesis.viewpoints import around, aside_for_share, turned_aside
from ptad_core.types import FloatArray, Verdict

CAMERA = Camera(615.0, 615.0, 319.5, 239.5, 640, 480)
CAMERA_FRAME, CELL_FRAME, PART_FRAME = "camera_color_optical_frame", "cell", "part_nominal"
START_NS = 1_760_000_000_000_000_000
PERIOD_NS = 100_000_000

INTACT, EMPTY, CUT = "intact", "empty", "cut"
VISITS = ((INTACT, 7), ("missing", 4), (INTACT, 5), ("positional", 4), (INTACT, 5), ("rotational", 4), (INTACT, 5),
          ("broken", 4), (INTACT, 5), ("swapped", 4), (EMPTY, 2), (CUT, 4), (EMPTY, 2), (INTACT, 9))
"""What is put into the fixture, one after the other, and for how many of 64 frames."""

CLEARLY_VISIBLE = Visibility(min_pixels=300, min_outline_pixels=150, min_reach_px=9.0)
"""Every defect of the recording moves the outline, by 5 mm or more: well beyond what a cell tolerates by default."""

ATTEMPTS = 20

EXPECTED = {INTACT: Verdict.PASS, EMPTY: Verdict.CANNOT_INSPECT, CUT: Verdict.CANNOT_INSPECT,
            **{kind.value: Verdict.FAIL for kind in FIVE_KINDS}}


@dataclass(frozen=True, slots=True)
class Visit:
    """One part in the fixture (or none), as long as it lies there.

    Attributes:
        truth: what it is, a key of :data:`EXPECTED`.
        frames: indices of the pictures taken of it.
        assembly: the part as it is, None for an empty table.
        T_cell_part: (4, 4) where it lies.
        appearance: how it looks.
        defect: what was done to it, None for an intact part.
        seen: where the defect is seen, for each frame; empty for an intact part.
    """

    truth: str
    frames: range
    assembly: Assembly | None
    T_cell_part: FloatArray
    appearance: Appearance
    defect: Defect | None = None
    seen: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Recording:
    """A whole recording before its pictures are taken: the camera's way, and what lies in the fixture when."""

    reference: Assembly
    camera: Camera
    T_cell_nominal: FloatArray
    T_camera_cell: tuple[FloatArray, ...]
    visits: tuple[Visit, ...]
    seed: int

    def frames(self) -> Iterator[tuple[Visit, int]]:
        """Yield all frames in time order, as visit and index."""
        for visit in self.visits:
            for index in visit.frames:
                yield visit, index

    def pictures(self, threads: int = 2) -> Iterator[Picture]:
        """Take the pictures of all frames, in time order; the same ones each time."""
        with ThreadPoolExecutor(threads) as pool:
            for visit in self.visits:
                scene = Scene(visit.assembly, visit.T_cell_part, self.reference.diameter_m, visit.appearance)
                yield from pool.map(partial(self._picture, scene), visit.frames)

    def _picture(self, scene: Scene, index: int) -> Picture:
        return scene.picture(self.camera, self.T_camera_cell[index], np.random.default_rng([self.seed, 1, index]))

    def truth(self, visit: Visit, index: int) -> dict[str, Any]:
        """Return one line of truth.jsonl."""
        line: dict[str, Any] = {"index": index, "stamp_ns": START_NS + index * PERIOD_NS, "truth": visit.truth,
                                "expected": EXPECTED[visit.truth].name, "T_camera_part": None, "box_px": None}
        if visit.assembly is not None:
            line["T_camera_part"] = (self.T_camera_cell[index] @ visit.T_cell_part).ravel().tolist()
        if visit.defect is not None:
            seen = visit.seen[index - visit.frames.start]
            assert seen.box_px is not None
            line["box_px"] = [seen.box_px.x, seen.box_px.y, seen.box_px.width, seen.box_px.height]
            line |= {"component": visit.defect.component, "size": visit.defect.size, "visible_px": seen.pixels,
                     "outline_px": seen.outline_pixels, "reach_px": round(seen.reach_px, 1)}
        return line


def plan_recording(frames: int = 64, seed: int = 0, family: str = "gear_motor", camera: Camera = CAMERA,
                   visibility: Visibility = CLEARLY_VISIBLE) -> Recording:
    """Draw the part, the camera's way, the visits and their defects; takes no pictures yet.

    Raises:
        ValueError: if there are fewer frames than visits.
        MeshError: if a defect of some kind cannot be made visible.
    """
    reference = FAMILIES[family](np.random.default_rng([seed, 0]))
    lengths = _visit_lengths(frames)
    for attempt in range(ATTEMPTS):
        try:
            rng = np.random.default_rng([seed, 2, attempt])
            return _draw_recording(reference, lengths, camera, visibility, seed, rng)
        except MeshError:
            continue  # the camera passed where a kind of defect cannot be seen: let it start somewhere else
    raise MeshError(f"expected a {family} on which defects of all kinds can be seen, found no such way around it")


def _draw_recording(reference: Assembly, lengths: list[int], camera: Camera, visibility: Visibility, seed: int,
                    rng: np.random.Generator) -> Recording:
    R_cell_nominal = Rotation.from_euler("z", 35, degrees=True).as_matrix()
    T_cell_nominal = make_transform(R_cell_nominal, np.array([0.42, -0.15, 0.0]))
    way = _camera_way(sum(lengths), T_cell_nominal, reference, rng)
    cell = draw_appearance(rng, reference)  # table, lamps and camera stay, the parts' materials change
    visits: list[Visit] = []
    first = 0
    for (truth, _), length in zip(VISITS, lengths, strict=True):
        span = range(first, first + length)
        first += length
        look = replace(cell, materials=draw_materials(rng, reference))
        visit = Visit(truth, span, None if truth == EMPTY else reference, _placed(T_cell_nominal, reference, rng), look)
        if truth in FIVE_KINDS:
            views = [(camera, way[k] @ visit.T_cell_part) for k in span]
            used = {v.defect.component for v in visits if v.defect is not None}
            assembly, defect, seen = _fresh_defect(reference, DefectKind(truth), views, rng, visibility, used)
            visit = replace(visit, assembly=assembly, defect=defect, seen=tuple(seen))
        visits.append(visit)
    _look_aside(way, visits, camera, reference, rng)
    return Recording(reference, camera, T_cell_nominal, tuple(way), tuple(visits), seed)


def generate_demo(out: Path, frames: int = 64, seed: int = 0, family: str = "gear_motor", camera: Camera = CAMERA,
                  visibility: Visibility = CLEARLY_VISIBLE, progress: Callable[[int, int], None] | None = None,
                  ) -> Recording:
    """Write ``bag/``, ``part.obj``, ``truth.jsonl`` and ``cell.yaml`` into a folder; the same bytes for the same seed.

    Args:
        out: made if it does not exist; must not hold a bag yet.
        frames: how many pictures, at least one for each of :data:`VISITS`.
        seed: everything random comes from it.
        family: the kind of part, one of ``FAMILIES``.
        camera: without lens distortion.
        visibility: how visible defects must be in each frame.
        progress: is told how many pictures are done, of how many.

    Raises:
        BagError: if there is a bag in the folder already.
    """
    recording = plan_recording(frames, seed, family, camera, visibility)
    out.mkdir(parents=True, exist_ok=True)
    with BagWriter(out / "bag", CAMERA_FRAME, CELL_FRAME, camera) as bag:
        bag.write_static(START_NS, PART_FRAME, recording.T_cell_nominal)
        for index, picture in enumerate(recording.pictures()):
            bag.write_frame(START_NS + index * PERIOD_NS, picture.image_bgr, recording.T_camera_cell[index])
            if progress is not None:
                progress(index + 1, frames)
    write_obj(recording.reference, out / "part.obj", "mm")
    lines = [json.dumps(recording.truth(visit, index)) for visit, index in recording.frames()]
    (out / "truth.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = CellConfig(part=PartConfig(id=family, cad=str((out / "part.obj").resolve()), unit="mm"),
                        tf=TfConfig(part_frame=PART_FRAME))
    (out / "cell.yaml").write_text(
        f"# The cell that recorded bag/: images of {CAMERA_FRAME}, nominal pose of the part in {PART_FRAME}.\n"
        + yaml.safe_dump({"/**": {"ros__parameters": to_dict(config)}}, sort_keys=False), encoding="utf-8")
    return recording


def _fresh_defect(reference: Assembly, kind: DefectKind, views: list[tuple[Camera, FloatArray]],
                  rng: np.random.Generator, visibility: Visibility, used: set[str],
                  ) -> tuple[Assembly, Defect, list[Difference]]:
    """Draw a defect of a component that had none yet; of any, where the others cannot be seen from here."""
    try:
        return draw_visible_defect(reference, kind, views, rng, visibility, spared=used, tries=60)
    except MeshError:
        return draw_visible_defect(reference, kind, views, rng, visibility, tries=60)


def _visit_lengths(frames: int) -> list[int]:
    """Share frames out to the visits in proportion, at least one each; the last takes what rounding leaves."""
    if frames < len(VISITS):
        raise ValueError(f"expected at least {len(VISITS)} frames, one for each visit, got {frames}")
    wanted = np.array([weight for _, weight in VISITS], dtype=np.float64)
    lengths = np.ones(len(wanted), dtype=int)
    while lengths.sum() < frames:
        lengths[int(np.argmax(wanted / wanted.sum() * frames - lengths))] += 1
    return [int(n) for n in lengths]


def _camera_way(frames: int, T_cell_nominal: FloatArray, reference: Assembly, rng: np.random.Generator,
                ) -> list[FloatArray]:
    """Once around the part, rising and sinking between 25 and 60 degrees; T_camera_cell for each frame."""
    t = np.arange(frames) / frames
    azimuth = rng.uniform(0, 2 * np.pi) + 2 * np.pi * t
    elevation = np.radians(42.5 + 17.5 * np.sin(2 * np.pi * (1.5 * t + rng.random())))
    distance = reference.diameter_m * (1.85 + 0.1 * np.sin(2 * np.pi * (2 * t + rng.random())))
    target = T_cell_nominal[:3, 3] + [0.0, 0.0, 0.45 * reference.solid.extent[2]]
    sway = 0.03 * reference.diameter_m * np.sin(2 * np.pi * (3 * t[:, None] + rng.random(3)))
    return [around(target + s, d, a, e) for s, d, a, e in zip(sway, distance, azimuth, elevation, strict=True)]


def _placed(T_cell_nominal: FloatArray, reference: Assembly, rng: np.random.Generator) -> FloatArray:
    """Put a part into the fixture by hand: a few millimetres and degrees off, its lowest point on the table."""
    angles = rng.uniform(-1, 1, 3) * [0.8, 0.8, 4.0]
    T = T_cell_nominal @ make_transform(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), np.zeros(3))
    T[:2, 3] += rng.uniform(-0.004, 0.004, 2)
    T[2, 3] -= float((reference.solid.vertices @ T[2, :3]).min()) + T[2, 3]
    return T


def _look_aside(way: list[FloatArray], visits: list[Visit], camera: Camera, reference: Assembly,
                rng: np.random.Generator) -> None:
    """Turn the camera so that the border cuts the part of the visit CUT; it turns there and back over empty tables."""
    renderer = ExactRenderer(reference.solid.vertices, reference.solid.faces)
    position = next(k for k, visit in enumerate(visits) if visit.truth == CUT)
    cut = visits[position]
    angles = {k: aside_for_share(renderer, camera, way[k], cut.T_cell_part, float(rng.uniform(0.30, 0.45)))
              for k in cut.frames}
    for visit, goal, back in ((visits[position - 1], angles[cut.frames[0]], False),
                              (visits[position + 1], angles[cut.frames[-1]], True)):
        steps = np.arange(1, len(visit.frames) + 1) / (len(visit.frames) + 1)
        angles |= dict(zip(visit.frames, goal * (steps[::-1] if back else steps), strict=True))
    for k, degrees in angles.items():
        way[k] = turned_aside(way[k], degrees)

