"""Assemblies, their defects and their pictures: closed solids, defects that are seen, truth that holds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import transform_points
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.synthesis.assembly import Assembly, write_obj
from ptad_core.synthesis.bump import bump, refined
from ptad_core.synthesis.cut import cut
from ptad_core.synthesis.defects import DefectKind, Visibility, difference, draw_defect, draw_visible_defect
from ptad_core.synthesis.families import FAMILIES, SPLIT
from ptad_core.synthesis.samples import samples
from ptad_core.synthesis.scene import Quality, Scene, draw_appearance
from ptad_core.synthesis.shapes import (
    Solid,
    ball,
    box,
    circle,
    cylinder,
    gear_outline,
    helix,
    ovals,
    prism,
    rectangle,
    rounded_path,
    sweep,
    tube,
)
from ptad_core.synthesis.triangulate import signed_area, triangulate
from ptad_core.synthesis.viewpoints import around

CAMERA = Camera(230.0, 230.0, 119.5, 89.5, 240, 180)
VISIBILITY = Visibility(min_pixels=40)
PLATE = prism(rectangle(0.12, 0.08, 0.01), 0.008, [*(circle(0.004, x, y, 24) for x in (-0.05, 0.05)
                                                      for y in (-0.03, 0.03)), rectangle(0.04, 0.01, 0.004, y=0.02)],
              bevel=0.0008)
BENT = sweep(rounded_path(np.array([[0, 0, 0], [0, 0, 0.05], [0.05, 0, 0.05], [0.05, 0.05, 0.05]]), 0.02), 0.005)


def is_closed(solid: Solid) -> bool:
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    return bool(mesh.is_watertight and mesh.is_winding_consistent and solid.volume > 0)


def is_folded(solid: Solid) -> bool:
    """Tell whether two neighbouring faces lie back to back: a dark line in the picture."""
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    sizeable = mesh.area_faces[mesh.face_adjacency].min(axis=1) > 1e-12
    return bool((mesh.face_adjacency_angles[sizeable] > np.radians(175)).any())


@pytest.fixture(scope="module")
def motor() -> Assembly:
    return FAMILIES["gear_motor"](np.random.default_rng(1))


@pytest.mark.parametrize(("solid", "volume"), [
    (box(0.1, 0.08, 0.06), 0.1 * 0.08 * 0.06),
    (cylinder(0.03, 0.1), np.pi * 0.03 ** 2 * 0.1),
    (tube(0.03, 0.02, 0.05), np.pi * (0.03 ** 2 - 0.02 ** 2) * 0.05),
    (ball(0.03), 4 / 3 * np.pi * 0.03 ** 3),
    (PLATE, (0.12 * 0.08 - 4 * np.pi * 0.004 ** 2 - 0.04 * 0.01) * 0.008),
    (prism(gear_outline(17, 0.011, 0.015), 0.01, [circle(0.0035)]), None),
    (ovals(np.array([[x, 0.0, 0.03, 0.03, 0.02] for x in (0.0, 0.05, 0.1)])), np.pi * 0.03 * 0.02 * 0.1),
    (helix(0.02, 0.008, 4.0, 0.002), None),
    (BENT, None),
])
def test_solids_are_closed_and_of_their_size(solid: Solid, volume: float | None) -> None:
    assert is_closed(solid)
    assert solid.vertices[:, 2].min() >= -0.006
    if volume is not None:
        assert solid.volume == pytest.approx(volume, rel=0.02)


def test_triangles_tile_a_polygon_with_holes() -> None:
    outline = gear_outline(12, 0.8, 1.0)
    holes = [circle(0.15, 0.4 * np.cos(a), 0.4 * np.sin(a), 16)[::-1] for a in np.arange(5) * 2 * np.pi / 5]
    points = np.concatenate([outline, *holes])
    a, b, c = (points[k] for k in triangulate(outline, holes).T)
    areas = 0.5 * np.linalg.det(np.stack([b - a, c - a], axis=1))

    def area(ring: np.ndarray) -> float:
        return abs(signed_area(ring))

    assert areas.min() > -1e-12
    assert areas.sum() == pytest.approx(area(outline) - sum(area(hole) for hole in holes), rel=1e-9)


@pytest.mark.parametrize("solid", [PLATE, BENT, tube(0.03, 0.02, 0.05)], ids=["plate", "bent", "tube"])
def test_both_sides_of_a_cut_are_closed_and_make_up_the_whole(solid: Solid) -> None:
    rng = np.random.default_rng(4)
    for _ in range(12):
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        point = solid.centre + rng.uniform(-0.2, 0.2, 3) * solid.extent
        pieces = cut(solid, point, normal), cut(solid, point, -normal)
        assert all(is_closed(piece) for piece in pieces)
        assert sum(piece.volume for piece in pieces) == pytest.approx(solid.volume, rel=1e-6)
        assert ((pieces[0].vertices - point) @ normal).max() < 1e-6
    with pytest.raises(MeshError, match="cuts"):
        cut(solid, solid.centre + 10, np.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_draw_closed_parts_that_stand_on_the_table(family: str) -> None:
    extents = []
    for seed in range(3):
        assembly = FAMILIES[family](np.random.default_rng(seed))
        names = [c.name for c in assembly.components]
        assert len(set(names)) == len(names) >= 8
        assert all(c.on == "" or c.on in names for c in assembly.components)
        assert all(is_closed(c.solid) and not is_folded(c.solid) for c in assembly.components)
        assert assembly.solid.vertices[:, 2].min() == pytest.approx(0.0, abs=1e-6)
        assert sum(not c.sound for c in assembly.components) >= 6
        extents.append(assembly.solid.extent)
    assert np.ptp(extents, axis=0).max() > 0.005
    again = FAMILIES[family](np.random.default_rng(0))
    assert np.array_equal(again.solid.extent, extents[0])


def test_families_are_split_without_overlap_and_without_rest() -> None:
    assert sorted(SPLIT) == ["test", "train", "validation"]
    assert sorted(name for names in SPLIT.values() for name in names) == sorted(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_floats(family: str) -> None:
    """Each component touches another one, told from points spread over the surfaces."""
    assembly = FAMILIES[family](np.random.default_rng(11))
    points = [trimesh.sample.sample_surface(trimesh.Trimesh(c.solid.vertices, c.solid.faces, process=False), 2500,
                                            seed=0)[0] for c in assembly.components]
    for k, component in enumerate(assembly.components):
        rest = np.concatenate([p for j, p in enumerate(points) if j != k])
        gap = cKDTree(rest).query(points[k])[0].min()
        assert gap < 0.015 * assembly.diameter_m, component.name


def test_cad_file_has_groups_and_its_unit(motor: Assembly, tmp_path) -> None:
    write_obj(motor, tmp_path / "part.obj", "mm")
    text = (tmp_path / "part.obj").read_text()
    assert [line[2:] for line in text.splitlines() if line.startswith("g ")] == [c.name for c in motor.components]
    mesh = trimesh.load(tmp_path / "part.obj", force="mesh", process=False)
    assert len(mesh.faces) == len(motor.solid.faces)
    assert mesh.extents / 1000 == pytest.approx(motor.solid.extent, rel=1e-4)


def test_what_is_carried_goes_with_its_carrier(motor: Assembly) -> None:
    assert motor.carried_by("motor") == {"motor", "connector", "cable"}
    assert motor.carried_by("gearbox") == {"gearbox", "shaft", "pinion"}
    for seed in range(60):
        drawn = draw_defect(motor, DefectKind.MISSING, np.random.default_rng(seed))
        assert drawn is not None
        variant, defect = drawn
        gone = {c.name for c in motor.components} - {c.name for c in variant.components}
        assert gone == motor.carried_by(defect.component)
        assert not motor[defect.component].sound


@pytest.mark.parametrize(("family", "kind"), [
    (family, kind) for i, family in enumerate(FAMILIES) for j, kind in enumerate(DefectKind)
    if i < 2 or (i + j) % 3 == 0])
def test_kinds_on_all_families_are_seen_where_the_truth_says(family: str, kind: DefectKind) -> None:
    rng = np.random.default_rng([7, list(FAMILIES).index(family), list(DefectKind).index(kind)])
    intact = FAMILIES[family](rng)
    T = around(intact.solid.centre, 1.8 * intact.diameter_m, rng.uniform(0, 6.28), np.radians(35))
    variant, defect, (seen,) = draw_visible_defect(intact, kind, [(CAMERA, T)], rng, VISIBILITY)
    assert defect.kind is kind
    assert all(is_closed(c.solid) for c in variant.components)
    before = ExactRenderer(intact.solid.vertices, intact.solid.faces).render(CAMERA, T)
    after = ExactRenderer(variant.solid.vertices, variant.solid.faces).render(CAMERA, T)
    with np.errstate(invalid="ignore"):
        moved = np.abs(before.depth - after.depth) > 0
    assert not (seen.mask & ~(moved | (before.mask != after.mask))).any()
    assert (seen.mask >= (before.mask != after.mask)).all()
    assert seen.pixels >= VISIBILITY.min_pixels
    rows, columns = np.nonzero(seen.mask)
    assert seen.box_px is not None
    assert (seen.box_px.x, seen.box_px.y) == (columns.min(), rows.min())
    assert (seen.box_px.width, seen.box_px.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    # nothing but the drawn component and what it carries was touched
    for component in variant.components:
        if component.name not in intact.carried_by(defect.component):
            assert component.solid is intact[component.name].solid


@pytest.mark.parametrize("height", [0.011, -0.011])
def test_a_bump_is_as_high_as_promised_stays_closed_and_leaves_the_rest_alone(height: float) -> None:
    solid = box(0.2, 0.14, 0.1, corner=0.02)
    point, radius = np.array([0.03, -0.02, 0.1]), 0.03
    bumped = bump(solid, point, np.array([0.0, 0.0, 1.0]), radius, height)
    assert is_closed(bumped) and not is_folded(bumped)
    # the integral of (1 - (d / r)^2)^2 over the disc is pi r^2 / 3
    assert bumped.volume - solid.volume == pytest.approx(height * np.pi * radius ** 2 / 3, rel=0.03)
    moved = np.abs(bumped.vertices[:, 2] - 0.1 - height) < 0.04 * abs(height)
    assert moved.any() and np.linalg.norm(bumped.vertices[moved] - point - [0, 0, height], axis=1).max() < radius / 4
    away = np.linalg.norm(bumped.vertices[:, :2] - point[:2], axis=1) > radius
    assert set(np.unique(bumped.vertices[away & (bumped.vertices[:, 2] > 0.09), 2])) == {0.1}


def test_refining_changes_neither_shape_nor_closure() -> None:
    for solid in (PLATE, BENT, box(0.1, 0.1, 0.1)):
        point = solid.vertices[0] * 0.9 + solid.centre * 0.1
        fine = refined(solid, point, 0.02, 0.004)
        assert is_closed(fine)
        assert fine.volume == pytest.approx(solid.volume, rel=1e-9)
        corners = fine.vertices[fine.faces]
        near = np.linalg.norm(corners - point, axis=2).min(axis=1) < 0.02
        assert near.any()
        assert np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)[near].max() <= 0.004


def test_no_difference_where_nothing_changed(motor: Assembly) -> None:
    T = around(motor.solid.centre, 1.8 * motor.diameter_m, 0.4, 0.7)
    rendering = ExactRenderer(motor.solid.vertices, motor.solid.faces).render(CAMERA, T)
    same = difference(rendering, rendering, 0.001)
    assert same.pixels == 0 and same.reach_px == 0 and same.box_px is None


def test_reach_is_how_far_the_outline_moved() -> None:
    camera = Camera(500.0, 500.0, 99.5, 79.5, 200, 160)
    T = np.eye(4)
    T[2, 3] = 0.5
    small, large = (ExactRenderer(b.vertices, b.faces).render(camera, T)
                    for b in (box(0.10, 0.08, 0.01), box(0.13, 0.08, 0.01)))  # 15 mm more to each side, at 500 mm
    for seen in (difference(small, large, 0.001), difference(large, small, 0.001)):
        assert seen.reach_px == pytest.approx(15.0, abs=1.0)
        assert seen.outline_pixels == seen.pixels == pytest.approx(2 * 15 * 80, rel=0.07)


def test_a_hidden_defect_is_refused(motor: Assembly) -> None:
    away = around(np.array([5.0, 0.0, 0.0]), 0.3, 0.0, 0.6)
    with pytest.raises(MeshError, match="visible"):
        draw_visible_defect(motor, DefectKind.MISSING, [(CAMERA, away)], np.random.default_rng(0), VISIBILITY, tries=5)


def test_a_picture_shows_the_part_in_colour_on_a_grey_table_with_its_shadow(motor: Assembly) -> None:
    T = around(motor.solid.centre, 1.9 * motor.diameter_m, 0.8, np.radians(40))
    look = draw_appearance(np.random.default_rng(3), motor)
    scene = Scene(motor, np.eye(4), motor.diameter_m, look, Quality(2, 2))
    picture = scene.picture(CAMERA, T, np.random.default_rng(0))
    exact = ExactRenderer(motor.solid.vertices, motor.solid.faces).render(CAMERA, T)
    assert (picture.mask != exact.mask).mean() < 1e-3
    empty = Scene(None, np.eye(4), motor.diameter_m, look).picture(CAMERA, T, np.random.default_rng(0))
    assert not empty.mask.any()
    chroma = np.ptp(picture.image_bgr.astype(int), axis=2)
    assert np.median(chroma[picture.mask]) > 3 * np.median(chroma[~picture.mask])
    darker = empty.image_bgr.astype(int).mean(axis=2) - picture.image_bgr.astype(int).mean(axis=2)
    shadow = (darker > 25) & ~picture.mask
    assert shadow.sum() > 0.03 * picture.mask.sum()
    # the main shadow falls where the key lamp throws it: away from it, as seen from above
    v, u = np.nonzero(shadow)
    T_cell_camera = np.linalg.inv(T)
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(len(u))], 1)
    rays = rays @ T_cell_camera[:3, :3].T
    ground = T_cell_camera[:3, 3] - rays * (T_cell_camera[2, 3] / rays[:, 2])[:, None]
    assert (ground.mean(axis=0) - motor.solid.centre)[:2] @ look.lighting.lamps[0].direction[:2] < 0


def test_pictures_are_repeatable_and_appearance_is_not_shape(motor: Assembly) -> None:
    T = around(motor.solid.centre, 1.9 * motor.diameter_m, 0.8, 0.6)
    pictures = [Scene(motor, np.eye(4), motor.diameter_m, draw_appearance(np.random.default_rng(seed), motor),
                      Quality(1, 1)).picture(CAMERA, T, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(pictures[0].image_bgr, pictures[1].image_bgr)
    assert np.array_equal(pictures[0].mask, pictures[2].mask)
    inside = pictures[0].mask
    assert np.abs(pictures[0].image_bgr.astype(int) - pictures[2].image_bgr.astype(int))[inside].mean() > 15


def test_samples_come_half_intact_with_truth_and_repeat() -> None:
    drawn = list(samples(14, seed=5, size_px=96))
    assert len(drawn) == 14
    assert 4 <= sum(s.defect is None for s in drawn) <= 10
    assert len({s.reference.family for s in drawn}) >= 2
    assert Counter(id(s.reference) for s in drawn).most_common(1)[0][1] == 4
    for sample in drawn:
        assert sample.image_bgr.shape == (96, 96, 3) and sample.mask.sum() > 300
        assert (sample.defect is None) == (sample.difference is None) == (sample.variant is sample.reference)
        inside = sample.camera.project(transform_points(sample.T_camera_part, sample.variant.solid.vertices))
        rows, columns = np.nonzero(sample.mask)
        assert inside[:, 0].min() - 1 <= columns.min() and columns.max() <= inside[:, 0].max() + 1
        assert inside[:, 1].min() - 1 <= rows.min() and rows.max() <= inside[:, 1].max() + 1
    again = next(samples(4, seed=5, size_px=96))
    assert np.array_equal(again.image_bgr, drawn[0].image_bgr)
