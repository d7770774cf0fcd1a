"""The real recordings, as far as a quick test goes; ``make real`` runs all of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from result_making import HEIGHT, T_CAMERA_PART, WIDTH, failed

from ptad_core.camera import Camera
from ptad_core.config import CellConfig, from_dict
from ptad_core.evaluation.bag_reader import read_frames
from ptad_core.evaluation.real import DRAGON_SETTINGS, add_block, covers, cut_tail
from ptad_core.frames import invert, transform_points
from ptad_core.inspector import Inspector
from ptad_core.reference import load_mesh, reference_from_mesh
from ptad_core.types import Reason, Verdict

CAMERA = Camera(90.0, 90.0, 31.5, 23.5, WIDTH, HEIGHT)
DATA = Path(os.environ.get("PTAD_DATA", "absent"))


@pytest.mark.parametrize(("x_px", "y_px", "found"), [((30, 37), (20, 25), True), ((5, 9), (20, 25), False),
                                                    ((0, 34), (0, 40), False)])
def test_a_place_counts_as_found_where_the_region_covers_it(
        x_px: tuple[int, int], y_px: tuple[int, int], found: bool) -> None:
    """The region's box is 30..37 x 20..25: the same place, another place, and a place of which it is a small part."""
    px = np.array([[x, y] for x in x_px for y in y_px], dtype=np.float64)
    points = np.column_stack([(px[:, 0] - CAMERA.cx) / CAMERA.fx, (px[:, 1] - CAMERA.cy) / CAMERA.fy, np.ones(4)]) * 0.4
    assert covers(failed(), CAMERA, transform_points(invert(T_CAMERA_PART), points)) is found


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
