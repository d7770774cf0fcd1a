"""Exact rendering of a triangle mesh by ray casting: the independent yardstick of the splat renderer.

One ray per pixel centre, embree finds the first triangle. Rays are cast with a z-component of 1 in the camera frame,
so that embree's ray parameter is the z-depth. Nothing here is shared with the splat renderer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.errors import CameraError, DependencyError, MeshError
from ptad_core.frames import invert
from ptad_core.types import FloatArray, FloatImage

_BOX_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Hits:
    """First hits of n rays; entries of rays that hit nothing have ``face`` -1 and ``t`` infinite.

    Attributes:
        t: (n,) float32 ray parameter of the hit, ``origin + t * direction``.
        face: (n,) int32 index of the triangle.
        u, v: (n,) float32 barycentric weights of the triangle's second and third corner.
    """

    t: NDArray[np.float32]
    face: NDArray[np.int32]
    u: NDArray[np.float32]
    v: NDArray[np.float32]


class RayMesh:
    """A triangle mesh that rays can be cast at, in the mesh's own frame.

    Embree works in float32: the mesh is held about its own centre, so that a far-off origin costs no precision.
    """

    def __init__(self, vertices: FloatArray, faces: NDArray[np.int64]) -> None:
        """Take (n, 3) vertices in metres and (m, 3) faces.

        Raises:
            MeshError: if there is no triangle or a vertex is not finite.
            DependencyError: if embreex is not installed.
        """
        if len(faces) == 0 or len(vertices) == 0:
            raise MeshError(f"expected a mesh with triangles, got {len(vertices)} vertices and {len(faces)} faces")
        if not np.isfinite(vertices).all():
            raise MeshError("expected finite vertices, got NaN or infinity")
        self.lower = vertices.min(axis=0)
        self.upper = vertices.max(axis=0)
        self._centre = 0.5 * (self.lower + self.upper)
        # Here, for embreex is not to be had everywhere, and an inspection by geometry alone does without.
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise DependencyError(f"expected embreex to be installed, to cast rays at the CAD: {error}") from error
        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, (vertices - self._centre).astype(np.float32), faces.astype(np.int32))

    def first_hits(self, origins: FloatArray, directions: NDArray[np.float32]) -> Hits:
        """Cast n rays from (n, 3) or (3,) origins along (n, 3) directions of any length."""
        out = self._scene.run(self._origins(origins, len(directions)), directions, output=True)
        face = out["primID"]
        return Hits(np.where(face >= 0, out["tfar"], np.float32(np.inf)), face, out["u"], out["v"])

    def occluded(self, origins: FloatArray, directions: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell for n rays whether they hit anything at all; (n,) bool. Faster than :meth:`first_hits`."""
        hit = self._scene.run(self._origins(origins, len(directions)), directions, query="OCCLUDED")
        return np.asarray(hit >= 0)

    def _origins(self, origins: FloatArray, count: int) -> NDArray[np.float32]:
        centred = (origins - self._centre).astype(np.float32)
        return np.ascontiguousarray(np.broadcast_to(centred, (count, 3)))


@dataclass(frozen=True, slots=True)
class ExactRendering:
    """What the camera sees of a mesh, at pixel centres.

    Attributes:
        depth: (H, W) float32 z-depth in metres, NaN outside the mesh.
        normals: (H, W, 3) float32 unit face normals in the camera frame, turned towards the camera; NaN outside.
        face_id: (H, W) int32 index of the triangle, -1 outside.
    """

    depth: FloatImage
    normals: FloatImage
    face_id: NDArray[np.int32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, true where the pixel's centre is on the mesh."""
        return self.face_id >= 0


class ExactRenderer:
    """Renders one mesh from any pose, with any pinhole camera, also a crop whose principal point lies outside."""

    def __init__(self, vertices: FloatArray, faces: NDArray[np.int64]) -> None:
        """Take (n, 3) vertices in metres and (m, 3) faces, part frame."""
        self.mesh = RayMesh(vertices, faces)
        self._corner, b, c = (vertices[faces[:, k]] for k in range(3))
        normals = np.cross(b - self._corner, c - self._corner)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        self._face_normals = normals / np.where(length > 0, length, 1.0)

    def render(self, camera: Camera, T_camera_part: FloatArray) -> ExactRendering:
        """Render depth, normals and face ids for a (4, 4) pose and a rectified camera."""
        depth = np.full((camera.height, camera.width), np.nan, np.float32)
        normals = np.full((camera.height, camera.width, 3), np.nan, np.float32)
        face_id = np.full((camera.height, camera.width), -1, np.int32)
        window = self._window(camera, T_camera_part)
        origin, rays = _rays(camera, T_camera_part, window)
        hits = self.mesh.first_hits(origin, rays)
        shape = face_id[window].shape
        face_id[window] = hits.face.reshape(shape)
        depth[window] = np.where(hits.face >= 0, hits.t, np.float32(np.nan)).reshape(shape)
        normals[window] = self._normals_seen_from(origin, T_camera_part, hits.face).reshape(*shape, 3)
        return ExactRendering(depth, normals, face_id)

    def mask(self, camera: Camera, T_camera_part: FloatArray, supersample: int = 1) -> FloatImage:
        """Return the (H, W) float32 coverage 0..1 from ``supersample`` x ``supersample`` rays in each pixel."""
        fine = camera.scaled(supersample, camera.width * supersample, camera.height * supersample)
        covered = np.zeros((fine.height, fine.width), np.float32)
        window = self._window(fine, T_camera_part)
        origin, rays = _rays(fine, T_camera_part, window)
        covered[window] = self.mesh.occluded(origin, rays).reshape(covered[window].shape)
        blocks = covered.reshape(camera.height, supersample, camera.width, supersample)
        return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)

    def _normals_seen_from(self, origin: FloatArray, T_camera_part: FloatArray, face: NDArray[np.int32],
                           ) -> NDArray[np.float32]:
        """Camera-frame normals (n, 3) of (n,) faces, turned to face the camera; NaN where the face is -1, a miss."""
        out = np.full((len(face), 3), np.nan, np.float32)
        _turn_to_camera(face, self._face_normals, self._corner, origin, T_camera_part, out)
        return out

    def _window(self, camera: Camera, T_camera_part: FloatArray) -> tuple[slice, slice]:
        """Rows and columns outside which no ray can hit, from the projected bounding box."""
        if camera.distortion:
            raise CameraError("expected a rectified camera, got one with lens distortion")
        corners = self.mesh.lower + _BOX_CORNERS * (self.mesh.upper - self.mesh.lower)
        corners = corners @ T_camera_part[:3, :3].T + T_camera_part[:3, 3]
        if corners[:, 2].min() < 1e-6:  # reaches behind the camera: its projection bounds nothing
            return slice(0, camera.height), slice(0, camera.width)
        pixels = camera.project(corners)
        size = np.array([camera.width, camera.height])
        x0, y0 = np.clip(np.floor(pixels.min(axis=0)), 0, size).astype(int)
        x1, y1 = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, size).astype(int)
        return slice(y0, y1), slice(x0, x1)


@njit(cache=True, nogil=True)
def _turn_to_camera(face: NDArray[np.int32], normals: FloatArray, corners: FloatArray, origin: FloatArray,
                    T_camera_part: FloatArray, out: NDArray[np.float32]) -> None:
    for i in range(len(face)):
        k = face[i]
        if k < 0:
            continue
        away = 0.0
        for j in range(3):
            away += normals[k, j] * (corners[k, j] - origin[j])
        side = -1.0 if away > 0.0 else 1.0
        for row in range(3):
            turned = 0.0
            for j in range(3):
                turned += T_camera_part[row, j] * normals[k, j]
            out[i, row] = side * turned


def _rays(camera: Camera, T_camera_part: FloatArray, window: tuple[slice, slice],
          ) -> tuple[FloatArray, NDArray[np.float32]]:
    """Return the camera's centre (3,) and rays (n, 3) of z-depth 1 through the window's pixels, in the part frame."""
    rows, columns = window
    x = ((np.arange(columns.start, columns.stop) - camera.cx) / camera.fx).astype(np.float32)
    y = ((np.arange(rows.start, rows.stop) - camera.cy) / camera.fy).astype(np.float32)
    T_part_camera = invert(T_camera_part)
    R = T_part_camera[:3, :3].astype(np.float32)
    rays = x[None, :, None] * R[:, 0] + (y[:, None, None] * R[:, 1] + R[:, 2])
    return T_part_camera[:3, 3], rays.reshape(-1, 3)
