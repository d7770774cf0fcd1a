"""Samples for training and testing: the same ones in any process, looks that do not overlap, users' CAD."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import trimesh

from ptad_core.camera import Camera
from ptad_core.errors import MeshError, UnitError
from ptad_core.frames import invert, transform_points
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.appearance import Look, draw_appearance
from ptad_core.synthesis.assembly import Assembly, write_obj
from ptad_core.synthesis.families import FAMILIES, SPLIT
from ptad_core.synthesis.parts import load_part, load_parts
from ptad_core.synthesis.samples import Samples, draw_view
from ptad_core.synthesis.scene import Scene
from ptad_core.synthesis.sensor import Sensor, expose
from ptad_core.synthesis.shapes import box, circle, prism, rectangle, union


@pytest.fixture(scope="module")
def table() -> Assembly:
    return FAMILIES["table"](np.random.default_rng(2))


def test_a_sample_depends_on_seed_and_index_alone() -> None:
    some = Samples(12, seed=3, families=("table", "dispenser"), size_px=64)
    forwards = [some[k].image_bgr for k in (5, 6, 10)]
    again = dataclasses.replace(some, count=50)
    assert all(np.array_equal(again[k].image_bgr, image) for k, image in zip((10, 6, 5), forwards[::-1], strict=True))
    assert not np.array_equal(dataclasses.replace(some, seed=4)[5].image_bgr, forwards[0])
    assert [some.reference(some.shape_of(k)).family for k in (0, 3, 4, 8)] == ["table", "table", "dispenser", "table"]
    assert some[5].reference is some[6].reference
    with pytest.raises(IndexError, match="below 12"):
        some[12]


@pytest.mark.parametrize("look", [Look.TRAIN, Look.TEST, Look.WIDE])
def test_truth_holds_and_pictures_show_something(look: Look) -> None:
    drawn = list(Samples(16, seed=8, families=("table", "dispenser", "hinge", "bench"), size_px=80, look=look))
    assert 4 <= sum(s.defect is None for s in drawn) <= 12
    for sample in drawn:
        assert sample.image_bgr.shape == (80, 80, 3)
        assert sample.image_bgr.std() > 3 and 8 < sample.image_bgr.mean() < 247
        solid = sample.variant.solid
        mask = ExactRenderer(solid.vertices, solid.faces).render(sample.camera, sample.T_camera_part).mask
        assert (sample.mask != mask).mean() < 2e-3 or (sample.mask <= mask).all()  # a table may hide its lowest edge
        pixels = sample.camera.project(transform_points(sample.T_camera_part, solid.vertices))
        assert pixels.min() > 0 and pixels.max() < 79
        assert (sample.defect is None) == (sample.difference is None) == (sample.variant is sample.reference)


def test_views_come_from_above_and_below_at_any_roll(table: Assembly) -> None:
    camera = Camera(89.0, 89.0, 31.5, 31.5, 64, 64)
    ups, rolls = [], []
    for k in range(200):
        T, elevation = draw_view(table, camera, np.random.default_rng(k), (-20.0, 85.0))
        assert -20 <= elevation <= 85
        assert np.degrees(np.arcsin((invert(T)[:3, 3] - table.solid.centre)[2] / np.linalg.norm(
            invert(T)[:3, 3] - table.solid.centre))) == pytest.approx(elevation, abs=6)
        ups.append(elevation < 0)
        rolls.append(np.arctan2(T[0, 2], T[1, 2]))
    assert 0.12 < np.mean(ups) < 0.4
    assert np.abs(np.mean(np.exp(1j * np.array(rolls)))) < 0.2


def test_looks_to_learn_from_and_to_be_judged_on_share_no_pattern_and_no_light(table: Assembly) -> None:
    patterns: dict[Look, set[str]] = {}
    lights: dict[Look, set[tuple[int, int]]] = {}
    for look in (Look.TRAIN, Look.TEST, Look.WIDE):
        drawn = [draw_appearance(np.random.default_rng([k, 1]), table, look) for k in range(60)]
        patterns[look] = {m.pattern.value for a in drawn for m in a.materials.values()}
        lights[look] = {(len(a.lighting.lamps), round(float(np.degrees(np.arcsin(lamp.direction[2])))))
                        for a in drawn for lamp in a.lighting.lamps}
        assert {a.table is None for a in drawn} == {True, False}
        assert {len({id(m) for m in a.materials.values()}) == 1 for a in drawn} == {True, False}
    assert patterns[Look.WIDE].isdisjoint(patterns[Look.TEST]) and lights[Look.WIDE].isdisjoint(lights[Look.TEST])
    assert patterns[Look.WIDE] > patterns[Look.TRAIN]
    assert patterns[Look.TRAIN].isdisjoint(patterns[Look.TEST])
    assert len(patterns[Look.TRAIN]) >= 6 and len(patterns[Look.TEST]) >= 5
    assert lights[Look.TRAIN].isdisjoint(lights[Look.TEST])


def test_a_part_without_a_table_hangs_before_its_background(table: Assembly) -> None:
    camera = Camera(89.0, 89.0, 31.5, 31.5, 64, 64)
    T, _ = draw_view(table, camera, np.random.default_rng(0), (-60.0, -50.0))
    look = draw_appearance(np.random.default_rng(0), table, Look.TRAIN, table=False)
    assert look.table is None
    picture = Scene(table, np.eye(4), table.diameter_m, look).picture(camera, T, np.random.default_rng(0))
    empty = Scene(None, np.eye(4), table.diameter_m, look).picture(camera, T, np.random.default_rng(0))
    assert picture.mask.any() and not empty.mask.any()
    assert np.array_equal(picture.mask, ExactRenderer(table.solid.vertices, table.solid.faces).render(camera, T).mask)


def test_a_metering_camera_evens_out_light_and_jpeg_and_shake_leave_their_marks() -> None:
    light = np.full((64, 64, 3), 0.02, np.float32)
    light[20:44, 20:44] = 0.06
    plain = Sensor(1.0, np.ones(3), 0.3, 0.0, 0.0)
    dark = expose(light, plain, np.random.default_rng(0))
    metered = dataclasses.replace(plain, metered=True)
    means = [expose(light * k, metered, np.random.default_rng(0)).mean() for k in (1.0, 8.0)]
    assert means[0] == pytest.approx(means[1], abs=1) and means[0] > dark.mean() + 50
    stored = expose(light, dataclasses.replace(metered, jpeg=30, noise=4.0), np.random.default_rng(0))
    kept = expose(light, dataclasses.replace(metered, noise=4.0), np.random.default_rng(0))
    assert not np.array_equal(stored, kept) and np.abs(stored.astype(int) - kept).mean() < 8
    shaken = expose(light, dataclasses.replace(metered, shake_px=(6.0, 0.0)), np.random.default_rng(0)).astype(int)
    still = expose(light, metered, np.random.default_rng(0)).astype(int)
    across, along = np.abs(shaken - still)[32, 14:26].max(), np.abs(shaken - still)[14:18, 32].max()
    assert across > 20 > along


def test_cad_groups_bodies_and_pieces_become_components(table: Assembly, tmp_path: Path) -> None:
    write_obj(table, tmp_path / "grouped.obj", "mm")
    grouped = load_part(tmp_path / "grouped.obj", "mm")
    assert {c.name for c in grouped.components} == {c.name for c in table.components}
    assert grouped.solid.extent == pytest.approx(table.solid.extent, rel=1e-5)
    apart = union(*(box(10, 10, 10).at(20 * k, 0, 0) for k in range(4)))
    trimesh.Trimesh(apart.vertices, apart.faces).export(tmp_path / "apart.stl")
    assert len(load_part(tmp_path / "apart.stl", "mm").components) == 4
    plate = prism(rectangle(120, 80, 10), 30, [circle(12)])
    trimesh.Trimesh(plate.vertices, plate.faces).export(tmp_path / "plate.stl")
    pieces = load_part(tmp_path / "plate.stl", "mm").components
    assert len(pieces) == 7
    assert sum(c.solid.volume for c in pieces) == pytest.approx(plate.volume * 1e-9, rel=1e-4)
    assert [c.sound for c in pieces] == [True] + 6 * [False]
    trimesh.Trimesh(plate.vertices, plate.faces[5:]).export(tmp_path / "open.stl")
    assert len(load_part(tmp_path / "open.stl", "mm").components) >= 4
    (tmp_path / "broken.stl").write_bytes(b"solid nothing")
    parts = load_parts(tmp_path, "mm")
    assert [p.family for p in parts] == ["apart", "grouped", "open", "plate"]
    drawn = [Samples(6, k, (), tuple(parts), size_px=64)[k] for k in range(6)]
    assert {s.reference.family for s in drawn} <= {p.family for p in parts}
    with pytest.raises(UnitError, match="unit"):
        load_parts(tmp_path, "")
    with pytest.raises(MeshError, match="found none"):
        load_parts(tmp_path / "nowhere", "mm")


def test_test_families_differ_from_those_learned_from() -> None:
    assert len(FAMILIES) >= 14 and len(SPLIT["test"]) >= 4 and len(SPLIT["validation"]) >= 2
    assert not set(SPLIT["test"]) & (set(SPLIT["train"]) | set(SPLIT["validation"]))
