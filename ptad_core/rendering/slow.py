"""The splat renderer once more, slowly: what ``kernels`` computes, written down from its definitions.

One Gaussian after the other, over whole images, in float64. Tests hold the fast renderer against this one.

A disk with centre P and axes s, t (one standard deviation long) is seen as a 2D Gaussian about the centre's pixel.
Its covariance is that of the axes' images, plus a low-pass of the pixel's size; the opacity is lowered by the ratio
of the areas before and after, so that opacity times area is kept. Contributions under ``MIN_ALPHA`` are cut.

- mask: the share of light that all splats together keep out, 1 − Π(1 − α_i).
- depth, normals: means over the front layer, weighted as alpha blending does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ptad_core.camera import Camera
from ptad_core.frames import skew
from ptad_core.gaussians import Gaussians
from ptad_core.rendering.kernels import LOW_PASS_PX2, MAX_ALPHA, MIN_ALPHA, NEAR_M, SURFACE_TRANSMITTANCE
from ptad_core.types import FloatArray

OPAQUE = 0.01
"""Light that is left below this counts as none."""
EDGE_ON = 0.1
"""A disk whose normal meets its ray at a smaller cosine (times the ray's length) has no depth but its centre's."""


@dataclass(frozen=True, slots=True)
class Splat:
    """One Gaussian as the image sees it.

    Attributes:
        centre_camera: (3,) metres.
        normal_camera: (3,) unit, towards the camera.
        J: (2, 3) derivative of a point's pixel by its position in the camera frame, px per m, at the centre.
        offset: (H, W, 2) from the centre's pixel to each pixel.
        inverse_covariance: (2, 2) px⁻².
        alpha: (H, W) contribution to each pixel.
        depth: (H, W) metres: of the disk's plane, linear in the pixel.
    """

    centre_camera: FloatArray
    normal_camera: FloatArray
    J: FloatArray
    offset: FloatArray
    inverse_covariance: FloatArray
    alpha: FloatArray
    depth: FloatArray


def render_mask(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> FloatArray:
    """Return the (H, W) mask."""
    light = np.ones((camera.height, camera.width))
    for splat in _splats(gaussians, camera, T_camera_part):
        light *= 1 - splat.alpha
    return 1 - light


def mask_jacobian(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> FloatArray:
    """Return the (H, W, 6) derivative of the mask by a twist (v, w) from the left, about the camera's centre.

    Every splat moves with its own centre. What turns and tilts do to the shape of a splat is left out, as it is in
    the fast renderer; central differences of ``render_mask`` have it.
    """
    log_derivative = np.zeros((camera.height, camera.width, 6))
    light = np.ones((camera.height, camera.width))
    for splat in _splats(gaussians, camera, T_camera_part):
        light *= 1 - splat.alpha
        centre_moves = splat.J @ np.hstack([np.eye(3), -skew(splat.centre_camera)])
        alpha_moves = splat.alpha[..., None] * (splat.offset @ splat.inverse_covariance @ centre_moves)
        log_derivative += alpha_moves / (1 - splat.alpha[..., None])
    return light[..., None] * log_derivative


def render_surface(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray, layer_m: float,
                   ) -> tuple[FloatArray, FloatArray]:
    """Return the (H, W) depth in metres and (H, W, 3) normals of the front layer; NaN where the mask is below 0.5.

    Splats within ``layer_m`` of a pixel's mean depth are one layer. One further behind is left out where the layers
    before it keep out half of the light; where they do not they were a veil, and the layer behind takes their place.
    """
    shape = (camera.height, camera.width)
    light, weight, depth = np.ones(shape), np.zeros(shape), np.zeros(shape)
    normals = np.zeros((*shape, 3))
    splats = list(_splats(gaussians, camera, T_camera_part))
    for splat in sorted(splats, key=lambda s: s.centre_camera[2]):
        here = splat.depth.clip(splat.centre_camera[2] - layer_m, splat.centre_camera[2] + layer_m)
        reached = (splat.alpha > 0) & (light >= OPAQUE)
        with np.errstate(invalid="ignore", divide="ignore"):
            behind = (weight > 0) & (here > depth / weight + layer_m)
        for total in (weight, depth, normals):
            total[reached & behind & (light >= SURFACE_TRANSMITTANCE)] = 0
        w = np.where(reached & ~(behind & (light < SURFACE_TRANSMITTANCE)), light * splat.alpha, 0)
        weight += w
        depth += w * here
        normals += w[..., None] * splat.normal_camera
        light = np.where(reached, light * (1 - splat.alpha), light)
    hidden = (light > 0.5) | (weight == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        depth, normals = depth / weight, normals / np.linalg.norm(normals, axis=2, keepdims=True)
    depth[hidden], normals[hidden] = np.nan, np.nan
    return depth, normals


def _splats(gaussians: Gaussians, camera: Camera, T_camera_part: FloatArray) -> Iterator[Splat]:
    """Yield the Gaussians that leave a trace."""
    R, t = T_camera_part[:3, :3], T_camera_part[:3, 3]
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    for mean, tangents, normal, opacity in zip(gaussians.means, gaussians.tangents, gaussians.normals,
                                               gaussians.opacities, strict=True):
        P = R @ mean.astype(np.float64) + t
        if P[2] < NEAR_M:
            continue
        x, y, z = P
        J = np.array([[camera.fx / z, 0.0, -camera.fx * x / z**2], [0.0, camera.fy / z, -camera.fy * y / z**2]])
        seen_tangents = J @ R @ tangents.astype(np.float64).T
        flat = seen_tangents @ seen_tangents.T
        covariance = flat + LOW_PASS_PX2 * np.eye(2)
        area_ratio = np.sqrt(max(np.linalg.det(flat), 0.0) / np.linalg.det(covariance))
        inverse = np.linalg.inv(covariance)
        offset = pixels - camera.project(P[None])[0]
        distance2 = np.einsum("hwi,ij,hwj->hw", offset, inverse, offset)
        alpha = min(float(opacity) * area_ratio, MAX_ALPHA) * np.exp(-0.5 * distance2)
        n = R @ normal.astype(np.float64)
        n = -n if n @ P > 0 else n
        # The plane n · X = n · P meets the ray r of a pixel at the depth (n · P)/(n · r).
        facing = n @ P / z
        slope = -z * np.array([n[0] / camera.fx, n[1] / camera.fy]) / facing if abs(facing) > EDGE_ON else np.zeros(2)
        yield Splat(P, n, J, offset, inverse, np.where(alpha >= MIN_ALPHA, alpha, 0.0), z + offset @ slope)
