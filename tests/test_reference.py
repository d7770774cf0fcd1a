"""References: built once, the same from the cache, anew where the cache is damaged, hashed by all that matters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trimesh
from core_parts import assert_flat_disks, bracket

from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.errors import ConfigError, MeshError, UnitError
from ptad_core.reference import Reference, build_reference, check_mesh, reference_from_mesh
from ptad_core.reference.mesh2splat import gaussians_from_fragments
from ptad_core.reference.surface import gaussians_from_surface, sample_surface
from ptad_core.reference.views import look_at, ring_directions, sphere_directions

SMALL = ReferenceConfig(gaussians=600, views=24)


@pytest.fixture
def config(tmp_path: Path) -> ReferenceConfig:
    return replace(SMALL, cache_dir=str(tmp_path / "deep" / "cache"))


def build(config: ReferenceConfig, symmetry: str = "") -> Reference:
    return reference_from_mesh(bracket(), "bracket", config, symmetry)


def arrays(reference: Reference) -> dict[str, np.ndarray]:
    g, v = reference.gaussians, reference.views
    return {name: getattr(part, name) for part in (g, v) for name in type(part).__slots__}


def same(a: Reference, b: Reference) -> bool:
    A, B = arrays(a), arrays(b)
    return all(A[k].dtype == B[k].dtype and np.array_equal(A[k], B[k]) for k in A)


def the_file(config: ReferenceConfig) -> Path:
    (path,) = Path(config.cache_dir).glob("*.npz")
    return path


def test_the_cache_gives_what_was_built(config: ReferenceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(config)
    monkeypatch.setattr("ptad_core.reference.build.gaussians_from_surface", lambda *_: pytest.fail("built again"))
    again = build(config)
    assert same(first, again) and first.hash == again.hash
    assert [p.suffix for p in Path(config.cache_dir).iterdir()] == [".npz"]


def test_two_builds_are_equal(config: ReferenceConfig, tmp_path: Path) -> None:
    assert same(build(config), build(replace(config, cache_dir=str(tmp_path / "other"))))


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "field missing", "bytes changed"])
def test_a_damaged_cache_is_built_anew(config: ReferenceConfig, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    first = build(config)
    path = the_file(config)
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not an archive")
    elif damage == "field missing":
        np.savez(path, gaussians_means=first.gaussians.means)
    else:
        middle = len(content) // 2
        flipped = bytes(b ^ 0xFF for b in content[middle:middle + 64])
        path.write_bytes(content[:middle] + flipped + content[middle + 64:])
    assert same(build(config), first)
    assert "damaged" in caplog.text
    caplog.clear()
    assert same(build(config), first) and not caplog.text


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    reference = build(replace(SMALL, cache_dir=str(blocked / "cache")))
    assert len(reference.gaussians) > 500
    assert "could not be cached" in caplog.text


def test_a_full_disk_leaves_no_half_file(config: ReferenceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(build(config).gaussians) > 500
    assert list(Path(config.cache_dir).iterdir()) == []


def test_the_hash_is_that_of_geometry_and_conversion(config: ReferenceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = partial(gaussians_from_fragments, density=0.0)
    monkeypatch.setattr("ptad_core.reference.build.gaussians_from_fragments", coarse)
    reference = build(config)
    assert len(reference.hash) == 16 and int(reference.hash, 16) >= 0
    others = [build(replace(config, gaussians=700)), build(replace(config, views=30)),
              build(replace(config, conversion="mesh2splat")),
              reference_from_mesh(check_mesh(bracket().vertices * 1.01, bracket().faces), "bracket", config)]
    assert len({reference.hash, *(r.hash for r in others)}) == 5
    assert reference_from_mesh(bracket(), "other name", config).hash == reference.hash
    assert build(config, "axis=z order=2").hash == reference.hash


def test_build_reference_reads_file_unit_name_and_symmetry(tmp_path: Path, config: ReferenceConfig) -> None:
    path = tmp_path / "Widget 7.stl"
    trimesh.Trimesh(bracket().vertices * 1000, bracket().faces).export(path)
    part = PartConfig(cad=str(path), unit="mm", symmetry="axis=z order=2")
    reference = build_reference(part, config)
    assert reference.part_id == "Widget 7" and reference.symmetries.shape == (2, 3, 3)
    assert reference.diameter_m == pytest.approx(bracket().diameter_m, rel=1e-4)
    assert reference.center_m == pytest.approx(bracket().center_m, abs=1e-6)
    assert build_reference(replace(part, id="w7"), config).part_id == "w7"
    assert "very large" in build_reference(replace(part, unit="m"), config).warnings[0]
    with pytest.raises(UnitError):
        build_reference(replace(part, unit=""), config)
    with pytest.raises(ConfigError, match="symmetry"):
        build_reference(replace(part, symmetry="round"), config)
    with pytest.raises(MeshError, match="there is none"):
        build_reference(replace(part, cad=str(tmp_path / "none.stl")), config)


def test_samples_lie_evenly_on_the_surface() -> None:
    mesh = bracket()
    points, normals, area = sample_surface(mesh, 20_000, seed=0)
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert area == pytest.approx(surface.area)
    distance = trimesh.proximity.closest_point_naive(surface, points[::100])[1]
    assert distance.max() < 1e-9
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
    upper = normals[:, 2] > 0.9
    assert upper.mean() == pytest.approx(surface.area_faces[surface.face_normals[:, 2] > 0.9].sum() / area, abs=0.002)


def test_surface_gaussians_are_flat_even_and_on_the_surface() -> None:
    mesh = bracket()
    gaussians = gaussians_from_surface(mesh, 2000)
    assert 1900 <= len(gaussians) <= 2000
    assert_flat_disks(gaussians)
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    width = np.sqrt(surface.area / 2000)
    distance = trimesh.proximity.closest_point_naive(surface, gaussians.means[::10].astype(float))[1]
    # A cell that bends around an edge has its centre a little inside.
    assert np.percentile(distance, 98) < 0.05 * width and distance.max() < width
    sigma = np.linalg.norm(gaussians.tangents, axis=2)
    assert np.median(sigma) == pytest.approx(1.3 * 0.29 * width, rel=0.1)
    assert sigma.max() < 1.5 * width


def test_directions_cover_the_sphere_evenly() -> None:
    directions = sphere_directions(162)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
    away = directions @ directions.T - 2 * np.eye(162)
    nearest = np.degrees(np.arccos(away.max(axis=1)))
    assert nearest.min() > 9 and nearest.max() < 17
    rng = np.random.default_rng(0).normal(size=(2000, 3))
    rng /= np.linalg.norm(rng, axis=1, keepdims=True)
    assert np.degrees(np.arccos((rng @ directions.T).max(axis=1))).max() < 13


def test_the_papers_ring() -> None:
    ring = ring_directions()
    assert ring.shape == (20, 3) and np.linalg.norm(ring, axis=1) == pytest.approx(1)
    assert ring[:, 2] == pytest.approx(np.sin(np.radians(20)))
    assert ring_directions(up=1)[:, 1] == pytest.approx(np.sin(np.radians(20)))
    steps = np.degrees(np.unwrap(np.arctan2(ring[:, 1], ring[:, 0])))
    assert np.diff(steps) == pytest.approx(18)


def test_look_at_is_a_rotation_that_faces_the_part() -> None:
    for direction in sphere_directions(60):
        R = look_at(direction)
        assert np.allclose(R @ R.T, np.eye(3)) and np.linalg.det(R) > 0
        assert R @ direction == pytest.approx([0, 0, -1])
        if abs(direction[2]) < 0.9:
            assert (R @ [0, 0, 1])[1] < 0  # part-z is up in the image


def test_views_are_the_outline_from_their_direction(config: ReferenceConfig) -> None:
    """The outline's 3D points, seen from the view's own distance, fall on the outline's 2D points."""
    reference = build(config)
    views = reference.views
    assert len(views.directions) == config.views
    for k in range(len(views.directions)):
        camera_points = views.points[k] @ views.R_camera_part[k].T / reference.diameter_m + [0, 0, 3.0]
        seen = 3.0 * camera_points[:, :2] / camera_points[:, 2:]
        assert np.abs(seen - views.outlines[k]).max() < 1e-4
        assert np.abs(views.points[k]).max() < 0.6 * reference.diameter_m
        assert np.linalg.norm(views.normals[k], axis=1) == pytest.approx(1, abs=1e-5)
        assert np.abs(views.normals[k] @ views.R_camera_part[k][2]).max() < 1e-5
