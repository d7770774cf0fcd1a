"""mesh2splat at the paper's preset: its counts, places and scales, its known fault, and the file it is exported to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from core_parts import assert_flat_disks, box_mm, bracket, mesh_of

from ptad_core.camera import Camera
from ptad_core.errors import MeshError
from ptad_core.frames import make_transform
from ptad_core.gaussians import DISK_THICKNESS_M, Gaussians, write_gaussian_ply
from ptad_core.reference import check_mesh
from ptad_core.reference.mesh2splat import gaussians_from_fragments
from ptad_core.reference.surface import gaussians_from_surface
from ptad_core.rendering import render_mask


def triangle(*corners: tuple[float, float, float]) -> Gaussians:
    return gaussians_from_fragments(check_mesh(np.array(corners), np.array([[0, 1, 2]])), density=0.0)


def test_a_cube_has_one_gaussian_per_cell_and_side() -> None:
    """Also on the diagonals: a fragment on an edge belongs to one triangle, never to both or to none."""
    side_m, resolution = 0.04, 116
    cube = mesh_of(box_mm((40, 40, 40), (7, 0, 0)))
    gaussians = gaussians_from_fragments(cube, density=0.1)
    assert len(gaussians) == 6 * resolution**2
    assert_flat_disks(gaussians)
    assert np.linalg.norm(gaussians.tangents, axis=2) == pytest.approx(0.65 * side_m / resolution, rel=1e-5)
    top = gaussians.means[gaussians.normals[:, 2] > 0.9].astype(float)
    cells = np.floor((top[:, :2] - [-0.013, -0.02]) / side_m * resolution).astype(int)
    assert len(np.unique(cells, axis=0)) == resolution**2
    assert top[:, 2] == pytest.approx(0.02)


def test_the_papers_preset() -> None:
    """Scale 0.65 and density 0.5: a raster of 520 over the larger side of the plane."""
    plate = mesh_of(box_mm((40, 10, 1), (0, 0, 0)))
    gaussians = gaussians_from_fragments(plate)
    along_z = 2 * 520 * 130
    along_y, along_x = 2 * 520 * 13, 2 * 520 * 52  # the plane of y and z has a scale of its own
    assert len(gaussians) == along_z + along_y + along_x
    top = np.abs(gaussians.normals[:, 2]) > 0.9
    assert np.linalg.norm(gaussians.tangents[top], axis=2) == pytest.approx(0.65 * 0.04 / 520, rel=1e-5)


def test_scales_and_axes_of_a_slanted_triangle() -> None:
    """|J_u| and |J_v| along the longest edge and across it, worked out by hand."""
    gaussians = triangle((0, 0, 0), (1, 0, 0), (0, 1, 0.5))  # seen along z: z rises with y
    cells = 16
    assert len(gaussians) == pytest.approx(cells**2 / 2, abs=cells)
    sigma = np.linalg.norm(gaussians.tangents, axis=2)
    assert sigma[:, 0] == pytest.approx(0.65 / cells, rel=1e-5)
    assert sigma[:, 1] == pytest.approx(0.65 / cells * np.sqrt(1.25), rel=1e-5)
    first = gaussians.tangents[:, 0] / sigma[:, :1]
    assert np.abs(first @ np.array([-1, 1, 0.5]) / 1.5) == pytest.approx(1, abs=1e-5)
    assert gaussians.means[:, 2] == pytest.approx(0.5 * gaussians.means[:, 1], abs=1e-6)
    assert_flat_disks(gaussians)


@pytest.mark.parametrize("corners", [((0, 0, 0), (0, 1, 0), (0, 0, 1)), ((0, 0, 0), (1, 0, 0), (0, 0, 1)),
                                     ((0, 0, 0), (1, 0, 0), (0, 1, 0)), ((0, 0, 0), (0, 1, 0), (1, 0, 0))])
def test_every_plane_and_either_winding(corners: tuple[tuple[float, float, float], ...]) -> None:
    gaussians = triangle(*corners)
    assert len(gaussians) == pytest.approx(128, abs=8)
    expected = np.cross(np.subtract(corners[1], corners[0]), np.subtract(corners[2], corners[0]))
    assert gaussians.normals == pytest.approx(np.tile(expected, (len(gaussians), 1)))
    sums = gaussians.means.sum(axis=1)
    assert sums.min() > 0 and sums.max() <= 1 + 1e-6


def test_what_is_covered_is_solid() -> None:
    camera = Camera(900.0, 900.0, 95.5, 95.5, 192, 192)
    mesh = mesh_of(trimesh.creation.icosphere(subdivisions=2, radius=0.04))
    mask = render_mask(gaussians_from_fragments(mesh), camera, make_transform(np.eye(3), np.array([0, 0, 0.5])))
    rows, cols = np.mgrid[0:192, 0:192]
    # The polyhedron lies up to 2 px inside the sphere.
    radius = 900 * 0.04 / np.sqrt(0.5**2 - 0.04**2)
    inner = np.hypot(cols - 95.5, rows - 95.5) < radius - 4
    assert mask[inner].min() > 0.9


def test_triangles_smaller_than_a_fragment_emit_nothing() -> None:
    """The known fault: the same square, finely triangulated, loses most of itself."""
    coarse = trimesh.creation.box([0.1, 0.1, 0.1])
    fine = coarse.subdivide().subdivide().subdivide().subdivide().subdivide()
    count = [len(gaussians_from_fragments(mesh_of(m), density=0.0)) for m in (coarse, fine)]
    assert count[0] == count[1] == 6 * 16**2  # no fragment is lost, but...
    emitting = len(np.unique(gaussians_from_fragments(mesh_of(fine), density=0.0).means, axis=0))
    assert emitting < len(fine.faces) / 5
    speck = np.array([[0, 0, 0], [1, 1, 1], [0.3, 0.3, 0.3], [0.301, 0.3, 0.3], [0.3, 0.301, 0.3]])
    with pytest.raises(MeshError, match="expected triangles larger than a fragment"):
        gaussians_from_fragments(check_mesh(np.vstack([speck, speck[2:] + 0.4]), np.array([[2, 3, 4], [5, 6, 7]])),
                                 density=0.0)


def read_ply(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    header, _, body = content.partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = int(lines[2].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[3:]]
    return dict(zip(names, np.frombuffer(body, "<f4").reshape(count, len(names)).T, strict=True))


@pytest.mark.parametrize("conversion", ["surface", "mesh2splat"])
def test_the_exported_file_holds_the_same_gaussians(tmp_path: Path, conversion: str) -> None:
    gaussians = (gaussians_from_surface(bracket(), 800) if conversion == "surface"
                 else gaussians_from_fragments(bracket(), density=0.02))
    path = tmp_path / "new folder" / "part.ply"
    write_gaussian_ply(gaussians, path)
    table = read_ply(path)
    assert list(table) == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0",
                           "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert np.array_equal(np.stack([table[k] for k in "xyz"], 1), gaussians.means)
    assert np.array_equal(np.stack([table[f"n{k}"] for k in "xyz"], 1), gaussians.normals)
    assert 1 / (1 + np.exp(-table["opacity"])) == pytest.approx(gaussians.opacities, abs=1e-4)
    scale = np.exp(np.stack([table[f"scale_{k}"] for k in range(3)], 1).astype(float))
    assert scale[:, 2] == pytest.approx(DISK_THICKNESS_M, rel=1e-3)
    w, x, y, z = (table[f"rot_{k}"].astype(float) for k in range(4))
    assert w**2 + x**2 + y**2 + z**2 == pytest.approx(1, abs=1e-5)
    # The rotation matrix of a unit quaternion, w first, as 3DGS's own code writes it.
    R = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                  [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                  [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]).transpose(2, 0, 1)
    covariance = np.einsum("nij,nj,nkj->nik", R, scale**2, R)
    t = gaussians.tangents.astype(float)
    disk = np.einsum("nki,nkj->nij", t, t)
    assert np.abs(covariance - disk).max() < 2e-3 * np.abs(disk).max()
    assert np.abs(np.einsum("nij,nj->ni", covariance, gaussians.normals.astype(float))).max() < 1e-3 * disk.max()
    as_cloud = trimesh.load(path)
    assert np.allclose(as_cloud.vertices, gaussians.means)
