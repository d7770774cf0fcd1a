"""Render the reference's Gaussians on the CPU: mask, what moves the mask, depth and normals."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.gaussians import Float32Array, Gaussians
from ptad_core.rendering import kernels
from ptad_core.types import FloatArray, FloatImage, Rendering

SILHOUETTE = 0.55
"""Level of a rendered mask that lies on the true outline, in the mean (``make bench-silhouette``). The 0.5 level lies
0.1 px outside where two faces meet, both of which reach over a little. Poses hang on that; what is inside of a part,
and what deviates by a tolerance, is told at 0.5."""
FRONT_LAYER_IN_DIAMETERS = 0.03
"""Splats within this depth of each other belong to one surface."""


@dataclass(frozen=True, slots=True)
class Splats:
    """Gaussians projected into one image: (n, 11) float32 with the columns of ``kernels``, and where each came from."""

    table: Float32Array
    source: NDArray[np.int64]
    count: int


def project(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> Splats:
    """Project the Gaussians that reach the camera's image."""
    table = np.empty((len(gaussians), kernels.ROW_LENGTH), dtype=np.float32)
    source = np.empty(len(gaussians), dtype=np.int64)
    count = kernels.project(gaussians.means, gaussians.tangents, gaussians.normals, gaussians.opacities,
                            T_camera_part, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height,
                            table, source)
    return Splats(table, source, count)


def render_mask(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> FloatImage:
    """Return the (H, W) float32 mask, 1 − Π(1 − α_i): coverage 0..1."""
    splats = project(gaussians, camera, T_camera_part)
    transmittance = np.ones((camera.height, camera.width), dtype=np.float32)
    kernels.splat_transmittance(splats.table, splats.count, transmittance)
    return 1.0 - transmittance


@dataclass(frozen=True, slots=True)
class Band:
    """What matters while an outline moves by a few pixels: the Gaussians near it, and what the others let through.

    Attributes:
        gaussians: those that reach into the band around the outline.
        transmittance: (H, W) float32, 1 in the band, elsewhere that of all Gaussians.
    """

    gaussians: Gaussians
    transmittance: FloatImage


def band_around_outline(gaussians: Gaussians, splats: Splats, mask: FloatImage, width_px: int, slack_px: float) -> Band:
    """Leave out what stays off the outline of a rendered mask.

    Args:
        gaussians: of the part.
        splats: as they were projected for that mask.
        mask: (H, W) rendered.
        width_px: of the band, to either side of the outline.
        slack_px: how far the splats may move until the next band.
    """
    edge = cv2.morphologyEx((mask >= 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    off = 1 - cv2.dilate(edge, np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8))
    distance = np.asarray(cv2.distanceTransform(off, cv2.DIST_L2, 3), dtype=np.float32)
    found = np.empty(splats.count, dtype=np.int64)
    kept = splats.source[found[:kernels.splats_within(splats.table, splats.count, distance, slack_px, found)]]
    few = Gaussians(gaussians.means[kept], gaussians.tangents[kept], gaussians.normals[kept],
                    gaussians.opacities[kept])
    return Band(few, np.where(off, np.float32(1) - mask, np.float32(1)))


def render_mask_flow(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray,
                     ) -> tuple[FloatImage, FloatImage]:
    """Return the (H, W) mask and the (H, W, 4) flow sums that its pose Jacobian is made of."""
    return mask_flow(project(gaussians, camera, T_camera_part), camera)


def mask_flow(splats: Splats, camera: Camera, behind: FloatImage | None = None) -> tuple[FloatImage, FloatImage]:
    """Return the (H, W) mask of projected splats and the (H, W, 4) flow, which ``mask_jacobian`` makes columns of.

    ``behind`` is the (H, W) transmittance of what is not among the splats (see ``Band``).
    """
    transmittance = np.ones((camera.height, camera.width), np.float32) if behind is None else behind.copy()
    flow = np.zeros((camera.height, camera.width, 4), dtype=np.float32)
    kernels.splat_flow(splats.table, splats.count, transmittance, flow)
    flow *= transmittance[:, :, None]
    return 1.0 - transmittance, flow


def mask_jacobian(flow: FloatArray, camera: Camera, rows: FloatArray, cols: FloatArray) -> FloatArray:
    """Return (n, 6) derivatives of the mask at pixels (rows, cols) by a twist (v, w) in the camera's frame.

    The twist acts from the left, ``T ← exp(ξ) T_camera_part``, about the camera's centre. With x, y the pixel's ray:
    du = fx (v_x − x v_z)/z + fx (−x y w_x + (1 + x²) w_y − y w_z), and likewise dv.
    """
    x = (cols - camera.cx) / camera.fx
    y = (rows - camera.cy) / camera.fy
    wu, wv, wuz, wvz = (flow[:, k].astype(np.float64) for k in range(4))
    wu, wuz, wv, wvz = wu * camera.fx, wuz * camera.fx, wv * camera.fy, wvz * camera.fy
    return np.stack([
        wuz, wvz, -(x * wuz + y * wvz),
        -(x * y) * wu - (1 + y * y) * wv, (1 + x * x) * wu + (x * y) * wv, x * wv - y * wu], axis=1)


def render(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> Rendering:
    """Return mask, z-depth in metres and normals as the camera would see the part."""
    splats = project(gaussians, camera, T_camera_part)
    shape = (camera.height, camera.width)
    through, weight = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    depth, normals = np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32)
    order = np.argsort(splats.table[:splats.count, kernels.Z], kind="stable")
    facing = np.empty((splats.count, 3), np.float32)
    kernels.normals_towards_camera(gaussians.means, gaussians.normals, splats.source, T_camera_part, facing)
    kernels.splat_surface(splats.table, order, facing, FRONT_LAYER_IN_DIAMETERS * gaussians.diameter_m, through,
                          weight, depth, normals)
    through[:] = 1.0
    kernels.splat_transmittance(splats.table, splats.count, through)
    kernels.surface_means(through, weight, depth, normals)
    return Rendering(1.0 - through, depth, normals)
