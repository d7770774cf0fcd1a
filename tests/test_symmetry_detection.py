"""Detected symmetries: those of bodies that everybody knows, and the features that break them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from core_parts import box_mm, bracket, mesh_of

from ptad_core.cli import main
from ptad_core.config import PartConfig, ReferenceConfig
from ptad_core.doctor import Severity, check_cad
from ptad_core.errors import ConfigError
from ptad_core.frames import rotation_exp
from ptad_core.reference import PartMesh, build_reference, reference_from_mesh
from ptad_core.reference.symmetry import CONTINUOUS_STEPS, parse_symmetry
from ptad_core.reference.symmetry_detection import detect_symmetry
from ptad_core.types import FloatArray

TILT = rotation_exp(np.array([0.4, -0.7, 0.3]))


def cylinder(sections: int = 64) -> trimesh.Trimesh:
    return trimesh.creation.cylinder(0.03, 0.1, sections=sections)


def flange(bolts: int) -> PartMesh:
    """A round plate with a hub on one side and bolts that stand out of it."""
    hub = trimesh.creation.cylinder(0.02, 0.03, sections=64).apply_translation((0, 0, 0.02))
    bolt = trimesh.creation.cylinder(0.004, 0.02, sections=16)
    angles = 2 * np.pi * np.arange(bolts) / bolts
    around = [bolt.copy().apply_translation((0.038 * np.cos(a), 0.038 * np.sin(a), 0.005)) for a in angles]
    return joined(trimesh.creation.cylinder(0.05, 0.01, sections=64), hub, *around)


def chair() -> PartMesh:
    legs = [box_mm((4, 4, 45), (x, y, -22)) for x in (-20, 20) for y in (-20, 20)]
    return joined(box_mm((45, 45, 4), (0, 0, 0)), box_mm((45, 4, 50), (0, 20, 25)), *legs)


def keyed(size_in_diameters: float) -> PartMesh:
    """A cylinder with a small cube, half sunk into its side."""
    body = cylinder()
    size = size_in_diameters * np.linalg.norm(np.ptp(body.vertices, axis=0))
    return joined(body, trimesh.creation.box([size] * 3).apply_translation((0.03, 0, 0.02)))


def joined(*pieces: trimesh.Trimesh) -> PartMesh:
    return mesh_of(trimesh.util.concatenate(pieces))


def turned(mesh: PartMesh, R: FloatArray) -> PartMesh:
    return PartMesh(mesh.vertices @ R.T, mesh.faces)


@pytest.mark.parametrize(("mesh", "declaration"), [
    (mesh_of(trimesh.creation.box((0.1, 0.1, 0.1))), "axis=z order=4; axis=x order=4"),
    (mesh_of(trimesh.creation.box((0.1, 0.06, 0.03))), "axis=z order=2; axis=x order=2"),
    (mesh_of(trimesh.creation.box((0.1, 0.06, 0.06))), "axis=x order=4; axis=z order=2"),
    (mesh_of(cylinder()), "axis=z order=inf; axis=x order=2"),
    (mesh_of(trimesh.creation.cone(0.04, 0.1, sections=64)), "axis=z order=inf"),
    (mesh_of(cylinder(sections=12)), "axis=z order=12; axis=x order=2"),
    (mesh_of(cylinder(sections=14)), "axis=z order=14; axis=x order=2"),
    (flange(5), "axis=z order=5"), (flange(6), "axis=z order=6"),
    (chair(), ""), (bracket(), "")],
    ids=["cube", "cuboid", "bar", "cylinder", "cone", "12 sides", "14 sides", "5 bolts", "6 bolts", "chair", "bracket"])
def test_known_bodies(mesh: PartMesh, declaration: str) -> None:
    assert detect_symmetry(mesh) == declaration


@pytest.mark.parametrize("sections", [32, 47, 200])
def test_the_facets_of_a_round_part_do_not_matter(sections: int) -> None:
    assert detect_symmetry(mesh_of(cylinder(sections))) == "axis=z order=inf; axis=x order=2"


def test_neither_do_the_triangles_nor_noise_of_their_corners() -> None:
    """Triangles of a thousandth of the surface, divided unevenly, each corner off by some 0.05 % of the diameter."""
    fine = cylinder(48).subdivide_to_size(0.012)
    uneven = fine.subdivide(np.flatnonzero(fine.triangles_center[:, 0] > 0.005))
    rng = np.random.default_rng(5)
    noisy = trimesh.Trimesh(uneven.vertices + rng.normal(0, 6e-5, uneven.vertices.shape), uneven.faces)
    assert detect_symmetry(mesh_of(noisy)) == "axis=z order=inf; axis=x order=2"


@pytest.mark.parametrize("size", [0.02, 0.012])
def test_a_small_key_breaks_the_symmetry_of_a_cylinder(size: float) -> None:
    assert detect_symmetry(keyed(size)) == ""


def test_what_is_below_half_a_percent_of_the_diameter_does_not() -> None:
    assert detect_symmetry(keyed(0.004)) == "axis=z order=inf; axis=x order=2"


def test_a_small_key_breaks_it_among_very_many_triangles_too() -> None:
    body = cylinder(128)
    for _ in range(4):
        body = body.subdivide()
    key = trimesh.creation.box([0.0023] * 3).apply_translation((0.03, 0, 0.02))
    assert len(body.faces) > 100_000
    assert detect_symmetry(joined(body, key)) == ""


@pytest.mark.parametrize(("mesh", "orders"), [
    (mesh_of(cylinder()), ["inf", "2"]), (mesh_of(trimesh.creation.box((0.1, 0.06, 0.03))), ["2", "2"])])
def test_a_tilted_part_has_its_principal_axes(mesh: PartMesh, orders: list[str]) -> None:
    found = detect_symmetry(turned(mesh, TILT))
    clauses = [dict(pair.split("=") for pair in clause.split()) for clause in found.split("; ")]
    assert [clause["order"] for clause in clauses] == orders
    first = TILT.T @ np.array([float(v) for v in clauses[0]["axis"].split(",")])
    assert np.abs(first).max() == pytest.approx(1, abs=1e-3), "an axis of the part before it was tilted"
    if orders[0] == "inf":
        assert abs(first[2]) == pytest.approx(1, abs=1e-3)


def test_a_ball_is_declared_as_far_as_a_finite_group_goes() -> None:
    found = detect_symmetry(mesh_of(trimesh.creation.icosphere(4, 0.05)))
    assert found == "axis=z order=inf; axis=x order=2"
    assert len(parse_symmetry(found)) == 2 * CONTINUOUS_STEPS


@pytest.fixture
def small(tmp_path: Path) -> ReferenceConfig:
    return ReferenceConfig(gaussians=500, views=20, cache_dir=str(tmp_path / "cache"))


def test_a_part_is_looked_at_unless_its_symmetry_is_declared(tmp_path: Path, small: ReferenceConfig) -> None:
    """Also when the rest of the reference comes from the cache."""
    path = tmp_path / "bar.stl"
    trimesh.creation.box((100, 60, 30)).export(path)
    part = PartConfig(cad=str(path), unit="mm")
    for _ in range(2):
        reference = build_reference(part, small)
        assert len(reference.symmetries) == 4
        (told,) = reference.warnings
        assert "axis=z order=2; axis=x order=2" in told and "part.symmetry" in told and "none" in told
    for declaration, count in (("none", 1), ("", 1), ("axis=y order=2", 2)):
        reference = build_reference(replace(part, symmetry=declaration), small)
        assert len(reference.symmetries) == count and reference.warnings == ()
    assert len(reference_from_mesh(reference.mesh, "bar", small).symmetries) == 1


def test_a_group_that_is_too_large_is_refused() -> None:
    assert len(parse_symmetry("axis=z order=6; axis=x order=2", 12)) == 12
    with pytest.raises(ConfigError, match="more than 11"):
        parse_symmetry("axis=z order=6; axis=x order=2", 11)


def test_convert_and_doctor_tell_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bar.stl"
    trimesh.creation.box((100, 60, 30)).export(path)
    settings = tmp_path / "quick.yaml"
    settings.write_text(f"reference: {{gaussians: 500, views: 20, cache_dir: {tmp_path / 'cache'}}}", encoding="utf-8")
    arguments = ["convert", str(path), "--unit", "mm", "--config", str(settings), "--out", str(tmp_path / "bar.ply")]
    assert main(arguments) == 0
    assert "detected symmetry: axis=z order=2; axis=x order=2" in capsys.readouterr().err
    part = PartConfig(cad=str(path), unit="mm")
    found = {finding.name: finding for finding in check_cad(part)}["cad symmetry"]
    assert found.severity is Severity.OK and "axis=z order=2; axis=x order=2" in found.what and "none" in found.what
    declared = {f.name: f for f in check_cad(replace(part, symmetry="round"))}["cad symmetry"]
    assert declared.severity is Severity.ERROR and declared.next_step
