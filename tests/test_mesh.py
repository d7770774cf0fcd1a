"""CAD files: every suffix read alike, every fault an error that says what to do, every doubt a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from core_parts import PIECES, bracket, join

from ptad_core.errors import MeshError, UnitError
from ptad_core.reference import check_mesh, load_mesh
from ptad_core.reference.mesh import SUFFIXES


def tetrahedron() -> tuple[np.ndarray, np.ndarray]:
    vertices = 0.1 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    return vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def saved(tmp_path: Path, suffix: str, scale: float = 1000.0) -> Path:
    part = bracket()
    path = tmp_path / f"part{suffix}"
    trimesh.Trimesh(part.vertices * scale, part.faces, process=False).export(path)
    return path


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".STL"])
@pytest.mark.parametrize(("unit", "scale"), [("mm", 1000.0), ("m", 1.0), ("in", 1 / 0.0254)])
def test_every_suffix_and_unit_gives_the_same_part_in_metres(tmp_path: Path, suffix: str, unit: str,
                                                             scale: float) -> None:
    mesh = load_mesh(saved(tmp_path, suffix, scale), unit)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([0.1, 0.06, 0.055], rel=1e-4)
    assert mesh.center_m == pytest.approx([0, 0, 0.0275], abs=1e-6)
    assert mesh.diameter_m == pytest.approx(np.linalg.norm([0.1, 0.06, 0.055]), rel=1e-4)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).area == pytest.approx(
        sum(p.area for p in PIECES.values()), rel=1e-3)
    assert mesh.warnings == ()


def test_glb_pieces_stand_where_the_scene_puts_them(tmp_path: Path) -> None:
    """Each node has its own transform, and one mesh may be used twice."""
    scene = trimesh.Scene()
    cube = trimesh.creation.box([0.02, 0.02, 0.02])
    scene.add_geometry(cube, node_name="a", geom_name="cube")
    T = trimesh.transformations.rotation_matrix(np.pi / 4, [0, 0, 1])
    T[:3, 3] = [0.1, 0.0, 0.05]
    scene.graph.update("b", "a", matrix=T, geometry="cube")
    path = tmp_path / "two.glb"
    scene.export(path)
    mesh = load_mesh(path, "m")
    assert len(mesh.faces) == 2 * len(cube.faces)
    assert mesh.vertices.min(0) == pytest.approx([-0.01, -0.01 * np.sqrt(2), -0.01], abs=1e-6)
    assert mesh.vertices.max(0) == pytest.approx([0.1 + 0.01 * np.sqrt(2), 0.01 * np.sqrt(2), 0.06], abs=1e-6)


def test_obj_groups_and_missing_materials(tmp_path: Path) -> None:
    lines = ["mtllib nowhere.mtl"]
    for k in range(2):
        lines += [f"g group{k}", "usemtl nothing"]
        lines += [f"v {x} {y + 50 * k} {z}" for x, y, z in 100 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])]
        lines.append(f"f {3 * k + 1} {3 * k + 2} {3 * k + 3}")
    path = tmp_path / "groups.obj"
    path.write_text("\n".join(lines))
    assert len(load_mesh(path, "mm").faces) == 2


@pytest.mark.parametrize(("unit", "words"), [("", "expected the unit of the CAD file.*got none"),
                                             ("inch", r"part\.stl: expected a unit out of m, dm.*got 'inch'")])
def test_the_unit_has_no_default(tmp_path: Path, unit: str, words: str) -> None:
    with pytest.raises(UnitError, match=words):
        load_mesh(saved(tmp_path, ".stl"), unit)


def test_millimetres_taken_for_metres_and_the_reverse(tmp_path: Path) -> None:
    path = saved(tmp_path, ".stl")
    (warning,) = load_mesh(path, "m").warnings
    assert "very large" in warning and "say unit mm" in warning and "100 x 60 x 55 m" in warning
    (warning,) = load_mesh(saved(tmp_path, ".stl", 1.0), "mm").warnings
    assert "very small" in warning and "say unit m" in warning


def test_far_origin() -> None:
    vertices, faces = tetrahedron()
    (warning,) = check_mesh(vertices + np.array([5.0, 0, 0]), faces, "far.stl").warnings
    assert warning.startswith("far.stl: the origin lies 5.05 m from the part's centre")
    assert check_mesh(vertices + np.array([0.3, 0, 0]), faces).warnings == ()


def test_faces_that_look_inwards() -> None:
    vertices, faces = tetrahedron()
    (warning,) = check_mesh(vertices, faces[:, ::-1]).warnings
    assert "face inwards" in warning


def test_an_open_surface() -> None:
    vertices, faces = tetrahedron()
    (warning,) = check_mesh(vertices, faces[:3]).warnings
    assert "not closed" in warning


def test_degenerate_triangles_are_dropped_and_counted() -> None:
    vertices, faces = tetrahedron()
    mesh = check_mesh(vertices, np.vstack([faces, [[0, 0, 1], [1, 1, 1]]]))
    assert len(mesh.faces) == 4
    assert any("2 degenerate triangles were dropped" in w for w in mesh.warnings)
    with pytest.raises(MeshError, match="with an area, got 1 degenerate"):
        check_mesh(vertices, np.array([[0, 0, 1]]))


def test_vertices_that_no_triangle_uses_do_not_count() -> None:
    vertices, faces = tetrahedron()
    mesh = check_mesh(np.vstack([vertices, [[9, 9, 9], [np.nan, 0, 0]]]), faces)
    assert len(mesh.vertices) == 4 and mesh.warnings == ()
    assert mesh.diameter_m == pytest.approx(0.1 * np.sqrt(3))


def test_meshes_without_use() -> None:
    vertices, faces = tetrahedron()
    with pytest.raises(MeshError, match="got 0 vertices and 0 triangles"):
        check_mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    with pytest.raises(MeshError, match=r"expected faces that index 4 vertices, got indices 0\.\.7"):
        check_mesh(vertices, np.array([[0, 1, 7]]))
    broken = vertices.copy()
    broken[0, 0] = np.nan
    with pytest.raises(MeshError, match="expected finite vertices, got 1"):
        check_mesh(broken, faces)
    for far_too_small in (1e-9, 1e-40):
        with pytest.raises(MeshError, match=r"at least 0\.01 mm, read with unit m it measures .* mm: check the unit"):
            check_mesh(vertices * far_too_small, faces, unit="m")


def test_too_many_triangles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptad_core.reference.mesh.MAX_FACES", 3)
    with pytest.raises(MeshError, match="at most 3 triangles, got 4; decimate"):
        check_mesh(*tetrahedron())


def test_too_large_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptad_core.reference.mesh.MAX_FILE_BYTES", 100)
    with pytest.raises(MeshError, match="MiB"):
        load_mesh(saved(tmp_path, ".stl"), "mm")


def test_files_that_are_no_cad(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"ending in \.stl, \.obj, \.ply, \.glb, got '\.step'"):
        load_mesh(tmp_path / "part.step", "mm")
    with pytest.raises(MeshError, match="expected a CAD file, but there is none"):
        load_mesh(tmp_path / "part.stl", "mm")
    (tmp_path / "folder.stl").mkdir()
    with pytest.raises(MeshError, match="there is none"):
        load_mesh(tmp_path / "folder.stl", "mm")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"hello, this is no mesh at all\n" * 20, bytes(range(256)) * 4])
def test_damaged_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(MeshError, match=r"bad\."):
        load_mesh(path, "mm")


@pytest.mark.parametrize("suffix", [".stl", ".glb"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MeshError, match=r"part\."):
        load_mesh(path, "mm")


def test_a_binary_stl_that_is_cut_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, ".stl")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(MeshError, match=r"expected \d+ bytes for the \d+ triangles that it states.*cut or damaged"):
        load_mesh(path, "mm")


@pytest.mark.parametrize(("suffix", "kind"), [(".obj", "obj"), (".stl", "stl_ascii")])
def test_names_in_another_encoding_do_no_harm(tmp_path: Path, suffix: str, kind: str) -> None:
    vertices, faces = tetrahedron()
    text = trimesh.Trimesh(vertices, faces, process=False).export(file_type=kind)
    named = f"o Gehäuse\n{text}" if kind == "obj" else text.replace("solid", "solid Gehäuse", 1)
    path = tmp_path / f"part{suffix}"
    path.write_bytes(named.encode("latin-1"))
    assert len(load_mesh(path, "m").faces) == 4


def test_a_file_of_points_only(tmp_path: Path) -> None:
    path = tmp_path / "points.ply"
    trimesh.PointCloud(np.random.default_rng(0).random((30, 3))).export(path)
    with pytest.raises(MeshError, match="expected a triangle mesh"):
        load_mesh(path, "mm")


def test_the_digest_is_that_of_the_geometry() -> None:
    vertices, faces = tetrahedron()
    a, same, other = (check_mesh(v, faces) for v in (vertices, vertices.copy(), vertices * 1.001))
    assert a.digest() == same.digest() != other.digest()
    assert a.digest() != check_mesh(vertices, faces[:3]).digest()
    assert join(PIECES).digest() == bracket().digest()
