"""The real recordings, as far as a quick test goes; ``make real`` runs all of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from result_making import HEIGHT, T_CAMERA_PART, WIDTH, failed

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict
from ptad_core.evaluation.altered_cad import ALTERATIONS, HIP_M, HIP_RADIUS_M, add_block, cut_tail
from ptad_core.evaluation.bag_reader import read_frames
from ptad_core.evaluation.real import DRAGON_SETTINGS, _Run, covers
from ptad_core.frames import invert, transform_points
from ptad_core.inspector import Inspector
from ptad_core.reference import PartMesh, check_mesh, load_mesh, reference_from_mesh
from ptad_core.types import Reason, Verdict

CAMERA = Camera(90.0, 90.0, 31.5, 23.5, WIDTH, HEIGHT)
DATA = Path(os.environ.get("PTAD_DATA", "absent"))


def sampled_plate() -> PartMesh:
    """A closed box of 140 x 80 x 12 mm, its upper face through the dragon's hip, in triangles of a few millimetres."""
    box = trimesh.creation.box((0.14, 0.08, 0.012)).subdivide_to_size(0.004)
    vertices = np.asarray(box.vertices, dtype=np.float64) + HIP_M - [0, 0, 0.006]
    return check_mesh(vertices, np.asarray(box.faces), "plate")


@pytest.mark.parametrize(("x_px", "y_px", "found"), [((30, 37), (20, 25), True), ((5, 9), (20, 25), False),
                                                    ((0, 34), (0, 40), False)])
def test_a_place_counts_as_found_where_the_region_covers_it(
        x_px: tuple[int, int], y_px: tuple[int, int], found: bool) -> None:
    """The region's box is 30..37 x 20..25: the same place, another place, and a place of which it is a small part."""
    px = np.array([[x, y] for x in x_px for y in y_px], dtype=np.float64)
    points = np.column_stack([(px[:, 0] - CAMERA.cx) / CAMERA.fx, (px[:, 1] - CAMERA.cy) / CAMERA.fy, np.ones(4)]) * 0.4
    assert covers(failed(), CAMERA, transform_points(invert(T_CAMERA_PART), points)) is found


def test_alterations_change_the_cad_where_they_say() -> None:
    """On a plate that lies through all the altered places: what is not altered stays as it was."""
    plate = sampled_plate()
    for name in ("block", "block_inside", "hip_moved"):
        altered = ALTERATIONS[name](plate)
        assert altered.place_m is not None and len(altered.place_m) >= 8
        kept = altered.mesh.vertices[:len(plate.vertices)]
        moved = np.linalg.norm(kept - plate.vertices, axis=1)
        if name == "hip_moved":
            assert 0.004 < moved.max() <= 0.0051 and len(altered.mesh.vertices) == len(plate.vertices)
            assert np.linalg.norm(plate.vertices[moved > 0] - HIP_M, axis=1).max() <= HIP_RADIUS_M
        else:
            assert moved.max() == 0 and len(altered.mesh.vertices) == len(plate.vertices) + 8


def test_how_well_the_network_tells_two_runs_apart() -> None:
    intact, none = _Run(0, 1.0, np.array([0.0, 1.0])), _Run(0, 1.0, np.array([]))
    assert [intact.told_apart(_Run(0, 1.0, np.array(v))) for v in ([2.0, 3.0], [1.0], [-1.0, 2.0])] == [1.0, 0.75, 0.5]
    assert intact.told_apart(intact) == 0.5 and intact.told_apart(none) is None


@pytest.mark.real
@pytest.mark.skipif(not DATA.exists(), reason="set PTAD_DATA to the folder of the real recordings")
def test_red_dragon_without_a_seed_intact_and_altered() -> None:
    cad = DATA / "red_dragon" / "dragon.stl"
    config = from_dict(CellConfig, DRAGON_SETTINGS)
    mesh = load_mesh(cad, "m")
    frame = next(read_frames(DATA / "red_dragon" / "bag"))
    assert frame.image_bgr is not None
    assert frame.camera is not None
    tail, block = cut_tail(mesh), add_block(mesh)
    assert np.ptp(tail.place_m, axis=0).max() > 0.010
    for altered, place_m, reason in ((mesh, None, None), (tail.mesh, tail.place_m, Reason.MATERIAL_SURPLUS),
                                     (block.mesh, block.place_m, Reason.MATERIAL_MISSING)):
        reference = reference_from_mesh(altered, "dragon", config.reference)
        result = Inspector(reference, config).inspect(frame.image_bgr, frame.camera)
        assert result.pose is not None and result.pose.mask_iou > 0.85
        if place_m is None:
            assert result.verdict is Verdict.PASS and result.pose.mask_iou >= 0.90
        else:
            assert result.verdict is Verdict.FAIL and reason in result.reasons
            assert covers(result, frame.camera, place_m)
