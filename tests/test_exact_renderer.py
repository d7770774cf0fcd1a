"""The exact renderer against shapes whose pictures are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from ptad_core.camera import Camera
from ptad_core.errors import CameraError, MeshError
from ptad_core.frames import make_transform, rotation_exp
from ptad_core.rendering.exact import ExactRenderer

CAMERA = Camera(600.0, 620.0, 319.5, 239.5, 640, 480)


def renderer_of(mesh: trimesh.Trimesh) -> ExactRenderer:
    return ExactRenderer(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def sphere_pixels(camera: Camera, centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth (NaN outside) of an ideal sphere, and the ray's squared distance from its centre less radius squared."""
    v, u = np.mgrid[0:camera.height, 0:camera.width]
    ray = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u, float)], axis=-1)
    a, b, c = (ray ** 2).sum(-1), ray @ centre, centre @ centre - radius ** 2
    discriminant = b ** 2 - a * c
    with np.errstate(invalid="ignore"):
        depth = (b - np.sqrt(discriminant)) / a
    return depth, np.sqrt(np.maximum(centre @ centre - b ** 2 / a, 0.0)) - radius


@pytest.mark.parametrize("offset", [0.0, 500.0])
def test_sphere_depth_silhouette_and_normals(offset: float) -> None:
    """Also for a mesh whose origin is half a kilometre away: float32 rays must not feel it."""
    radius, centre = 0.05, np.array([0.04, -0.03, 0.5])
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    sphere.apply_translation([offset, 0.0, 0.0])
    R = rotation_exp(np.array([0.4, -0.8, 0.3]))
    T = make_transform(R, centre - R @ np.array([offset, 0.0, 0.0]))
    rendering = renderer_of(sphere).render(CAMERA, T)
    depth, outside_by = sphere_pixels(CAMERA, centre, radius)
    clear = np.abs(outside_by) > 1e-4  # the polyhedron lies up to 0.02 mm inside the sphere
    assert ((outside_by < 0) == rendering.mask)[clear].all()
    interior = outside_by < -2e-3
    assert np.abs(rendering.depth - depth)[interior].max() < 2e-4
    points = (np.stack(np.meshgrid(np.arange(640), np.arange(480)), -1) - [CAMERA.cx, CAMERA.cy])
    points = np.concatenate([points / [CAMERA.fx, CAMERA.fy], np.ones((480, 640, 1))], -1) * depth[..., None]
    ideal = (points - centre) / radius
    assert np.einsum("ijk,ijk->ij", ideal, rendering.normals)[interior].min() > np.cos(np.radians(3.0))
    assert np.isnan(rendering.depth[~rendering.mask]).all() and np.isnan(rendering.normals[~rendering.mask]).all()


def test_sphere_silhouette_area_with_supersampling() -> None:
    """On the optical axis a sphere's outline is a circle of radius f r / sqrt(z^2 - r^2)."""
    camera = Camera(600.0, 600.0, 80.3, 79.1, 160, 160)
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.05)
    coverage = renderer_of(sphere).mask(camera, make_transform(np.eye(3), np.array([0.0, 0.0, 0.5])), supersample=8)
    expected = np.pi * 600.0 ** 2 * 0.05 ** 2 / (0.5 ** 2 - 0.05 ** 2)
    assert coverage.sum() == pytest.approx(expected, rel=5e-4)
    v, u = np.mgrid[0:160, 0:160]
    assert (coverage * u).sum() / coverage.sum() == pytest.approx(80.3, abs=0.01)
    assert (coverage * v).sum() / coverage.sum() == pytest.approx(79.1, abs=0.01)
    assert ((coverage > 0) & (coverage < 1)).any()


def test_box_depth_face_and_pixel_centres() -> None:
    """A box face-on: constant depth, and an edge between two pixel centres cuts exactly there."""
    camera = Camera(500.0, 500.0, 100.0, 80.0, 200, 160)
    box = trimesh.creation.box([0.1, 0.08, 0.06])
    rendering = renderer_of(box).render(camera, make_transform(np.eye(3), np.array([0.0, 0.0, 0.53])))
    assert np.unique(rendering.depth[rendering.mask]) == pytest.approx(0.5, abs=1e-6)
    assert np.allclose(rendering.normals[rendering.mask], [0.0, 0.0, -1.0], atol=1e-6)
    rows, columns = np.nonzero(rendering.mask)  # the face reaches 50.0 and 40.0 px to each side
    assert columns.min() in (50, 51) and columns.max() in (149, 150)
    assert rows.min() in (40, 41) and rows.max() in (119, 120)
    assert set(np.unique(rendering.face_id[rendering.mask])) == set(np.flatnonzero(box.face_normals[:, 2] < -0.5))


def test_normals_face_the_camera_whatever_the_winding() -> None:
    box = trimesh.creation.box([0.1, 0.08, 0.06])
    T = make_transform(rotation_exp(np.array([0.5, 0.6, 0.1])), np.array([0.0, 0.0, 0.5]))
    outward = renderer_of(box).render(CAMERA, T)
    box.invert()
    inverted = renderer_of(box).render(CAMERA, T)
    assert np.nanmax(outward.normals[..., 2]) < 0.2  # towards the camera, up to the rays' own slant
    assert np.allclose(outward.normals, inverted.normals, equal_nan=True)


def test_crops_are_windows_of_the_whole_image() -> None:
    """Also where the principal point lies outside the crop, or the crop reaches outside the image."""
    renderer = renderer_of(trimesh.creation.torus(0.06, 0.02))
    T = make_transform(rotation_exp(np.array([0.9, 0.2, 0.0])), np.array([0.03, 0.04, 0.5]))
    whole = renderer.render(CAMERA, T)
    crop = renderer.render(CAMERA.cropped(340, 260, 120, 110), T)
    assert crop.mask.any() and not crop.mask.all()
    assert np.array_equal(crop.face_id, whole.face_id[260:370, 340:460])
    assert np.allclose(crop.depth, whole.depth[260:370, 340:460], equal_nan=True, atol=1e-6)
    assert renderer.mask(CAMERA.cropped(-100, -100, 840, 680), T)[100:580, 100:740].sum() == whole.mask.sum()


def test_nothing_in_view_and_a_mesh_around_the_camera() -> None:
    renderer = renderer_of(trimesh.creation.box([1.0, 1.0, 1.0]))
    assert not renderer.render(CAMERA, make_transform(np.eye(3), np.array([0.0, 0.0, -3.0]))).mask.any()
    assert not renderer.render(CAMERA, make_transform(np.eye(3), np.array([50.0, 0.0, 3.0]))).mask.any()
    inside = renderer.render(CAMERA, np.eye(4))
    assert inside.mask.all() and inside.depth == pytest.approx(0.5, abs=1e-6)


def test_refuses_what_it_cannot_render() -> None:
    with pytest.raises(MeshError, match="triangles"):
        ExactRenderer(np.zeros((3, 3)), np.zeros((0, 3), np.int64))
    with pytest.raises(MeshError, match="finite"):
        ExactRenderer(np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
    box = trimesh.creation.box([1.0, 1.0, 1.0])
    with pytest.raises(CameraError, match="rectified"):
        renderer_of(box).render(Camera(600.0, 600.0, 320.0, 240.0, 640, 480, (0.1, 0.0, 0.0, 0.0)), np.eye(4))
