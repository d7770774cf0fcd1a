"""The inner loops of the splat renderer (numba, one thread, no GIL: hypotheses run on threads of their own).

Everything is in pixels of the rendered image unless the name says otherwise. ``rendering/slow.py`` computes the same
with numpy, readably, and a test holds the two against each other.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

LOW_PASS_PX2 = 0.06
"""Variance added to every splat, near that of a pixel's own box (1/12); opacity is lowered so that the splat keeps
its mass, so parts seen edge-on or from afar do not grow fat (gsplat's ``antialiased`` mode)."""
MIN_ALPHA = np.float32(1.0 / 255.0)
"""Contributions below this are cut, as in 3DGS."""
MAX_ALPHA = np.float32(0.99)
NEAR_M = 1e-3
SURFACE_TRANSMITTANCE = np.float32(0.75)
"""A layer that lets through less than this is the surface, one that lets through more a veil: a splat that reaches
over an edge. Between the cells of a surface up to half of the light gets through, so the limit lies well above."""

EXP_STEPS_PER_UNIT = 256
EXP_TABLE = np.exp(-np.arange(8 * EXP_STEPS_PER_UNIT + 2) / EXP_STEPS_PER_UNIT).astype(np.float32)
"""exp(-x) for 0 <= x < 8, read with linear interpolation (relative error below 2e-6): a call of exp per pixel and
splat would be most of the rendering time. Beyond 8 every splat is below ``MIN_ALPHA``."""

# Columns of a projected splat.
U, V, Z, CA, CB, CC, ALPHA, REACH, REACH_V, SLOPE_X, SLOPE_Y, ROW_LENGTH = range(12)


@njit(cache=True, nogil=True, fastmath=True)
def project(means: F32, tangents: F32, normals: F32, opacities: F32, T: NDArray[np.float64],
            fx: float, fy: float, cx: float, cy: float, width: int, height: int, out: F32, source: I64) -> int:
    """Project disks into splats; returns how many reach the image.

    ``out`` (n, 11) and ``source`` (n,), the Gaussian that each splat came from, are filled from the start.
    """
    k = 0
    for i in range(means.shape[0]):
        mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
        z = T[2, 0] * mx + T[2, 1] * my + T[2, 2] * mz + T[2, 3]
        if z < NEAR_M:
            continue
        iz = 1.0 / z
        x = (T[0, 0] * mx + T[0, 1] * my + T[0, 2] * mz + T[0, 3]) * iz
        y = (T[1, 0] * mx + T[1, 1] * my + T[1, 2] * mz + T[1, 3]) * iz
        u, v = fx * x + cx, fy * y + cy
        saa, sab, sbb = 0.0, 0.0, 0.0
        for j in range(2):
            tx, ty, tz = tangents[i, j, 0], tangents[i, j, 1], tangents[i, j, 2]
            cxx = T[0, 0] * tx + T[0, 1] * ty + T[0, 2] * tz
            cyy = T[1, 0] * tx + T[1, 1] * ty + T[1, 2] * tz
            czz = T[2, 0] * tx + T[2, 1] * ty + T[2, 2] * tz
            a = fx * iz * (cxx - x * czz)
            b = fy * iz * (cyy - y * czz)
            saa += a * a
            sab += a * b
            sbb += b * b
        det_flat = saa * sbb - sab * sab
        saa += LOW_PASS_PX2
        sbb += LOW_PASS_PX2
        det = saa * sbb - sab * sab
        alpha = min(opacities[i] * math.sqrt(max(det_flat, 0.0) / det), MAX_ALPHA)
        if alpha < MIN_ALPHA:
            continue
        reach = 2.0 * math.log(alpha / MIN_ALPHA)
        rx, ry = math.sqrt(reach * saa), math.sqrt(reach * sbb)
        if u + rx < 0 or v + ry < 0 or u - rx > width - 1 or v - ry > height - 1:
            continue
        # The disk's plane gives the depth away from its centre: dz/du, dz/dv, unless it is seen edge-on.
        nx = T[0, 0] * normals[i, 0] + T[0, 1] * normals[i, 1] + T[0, 2] * normals[i, 2]
        ny = T[1, 0] * normals[i, 0] + T[1, 1] * normals[i, 1] + T[1, 2] * normals[i, 2]
        nz = T[2, 0] * normals[i, 0] + T[2, 1] * normals[i, 1] + T[2, 2] * normals[i, 2]
        facing = nx * x + ny * y + nz
        slope_x, slope_y = 0.0, 0.0
        if abs(facing) > 0.1:
            slope_x, slope_y = -z * nx / (fx * facing), -z * ny / (fy * facing)
        out[k, U], out[k, V], out[k, Z] = u, v, z
        out[k, CA], out[k, CB], out[k, CC] = sbb / det, -sab / det, saa / det
        out[k, ALPHA], out[k, REACH], out[k, REACH_V] = alpha, reach, ry
        out[k, SLOPE_X], out[k, SLOPE_Y] = slope_x, slope_y
        source[k] = i
        k += 1
    return k


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _falloff(half_mahalanobis2: np.float32) -> np.float32:
    """exp(-x) by table; x is never negative but for rounding."""
    at = max(half_mahalanobis2, np.float32(0.0)) * np.float32(EXP_STEPS_PER_UNIT)
    k = np.int32(at)
    if k >= 8 * EXP_STEPS_PER_UNIT:
        return np.float32(0.0)
    return np.float32(EXP_TABLE[k] + (at - np.float32(k)) * (EXP_TABLE[k + 1] - EXP_TABLE[k]))


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _span(middle: np.float32, half2: np.float32, size: int) -> tuple[np.int32, np.int32]:
    """First and one-past-last pixel within sqrt(half2) of ``middle``, inside 0..size."""
    if half2 <= np.float32(0.0):
        return np.int32(0), np.int32(0)
    half = np.sqrt(half2)
    # Truncation is the floor of what is not negative; adding 1 before makes it the ceiling.
    first = np.int32(max(middle - half, np.float32(-1.0)) + np.float32(1.0))
    last = np.int32(max(min(middle + half, np.float32(size - 1)), np.float32(-1.0)) + np.float32(1.0))
    return first, last


@njit(cache=True, nogil=True, fastmath=True)
def splat_transmittance(splats: F32, count: int, transmittance: F32) -> None:
    """Multiply each splat into (H, W) ``transmittance`` (start at 1): the mask is 1 minus it; no order needed."""
    height, width = transmittance.shape
    for i in range(count):
        u, v, reach, reach_v = splats[i, U], splats[i, V], splats[i, REACH], splats[i, REACH_V]
        a, b, c, alpha = splats[i, CA], splats[i, CB], splats[i, CC], splats[i, ALPHA]
        inv_a = np.float32(1.0) / a
        top, bottom = _span(v, reach_v * reach_v, height)
        for row in range(top, bottom):
            dv = np.float32(row) - v
            tilt = b * dv * inv_a
            first, last = _span(u - tilt, tilt * tilt - (c * dv * dv - reach) * inv_a, width)
            for col in range(first, last):
                du = np.float32(col) - u
                g = alpha * _falloff(np.float32(0.5) * (a * du * du + c * dv * dv) + b * du * dv)
                transmittance[row, col] *= np.float32(1.0) - g


@njit(cache=True, nogil=True, fastmath=True)
def splats_within(splats: F32, count: int, distance: F32, slack: float, found: I64) -> int:
    """List the splats that reach to where ``distance`` (H, W) is 0, were they moved by ``slack``; returns how many."""
    height, width = distance.shape
    k = 0
    for i in range(count):
        a, b, c = splats[i, CA], splats[i, CB], splats[i, CC]
        reach_u = math.sqrt(splats[i, REACH] * c / (a * c - b * b))
        col = min(max(int(splats[i, U] + np.float32(0.5)), 0), width - 1)
        row = min(max(int(splats[i, V] + np.float32(0.5)), 0), height - 1)
        if distance[row, col] <= max(reach_u, splats[i, REACH_V]) + slack:
            found[k] = i
            k += 1
    return k


@njit(cache=True, nogil=True, fastmath=True)
def splat_flow(splats: F32, count: int, transmittance: F32, flow: F32) -> None:
    """As ``splat_transmittance``, and accumulate what moves the mask.

    With the mask M = 1 - T, dM/dμ_i = T · α_i/(1 - α_i) · Σ_i⁻¹ d_i. How a splat's centre moves with the pose depends
    only on its pixel and its inverse depth, and both are nearly those of the pixel it is seen in. So the 6-column
    Jacobian of a pixel follows from four sums: ``flow`` (H, W, 4) gets Σ w_u, Σ w_v, Σ w_u/z, Σ w_v/z, without T.
    """
    height, width = transmittance.shape
    for i in range(count):
        u, v, reach, reach_v = splats[i, U], splats[i, V], splats[i, REACH], splats[i, REACH_V]
        a, b, c, alpha = splats[i, CA], splats[i, CB], splats[i, CC], splats[i, ALPHA]
        inv_a = np.float32(1.0) / a
        iz = np.float32(1.0) / splats[i, Z]
        top, bottom = _span(v, reach_v * reach_v, height)
        for row in range(top, bottom):
            dv = np.float32(row) - v
            tilt = b * dv * inv_a
            first, last = _span(u - tilt, tilt * tilt - (c * dv * dv - reach) * inv_a, width)
            for col in range(first, last):
                du = np.float32(col) - u
                qu, qv = a * du + b * dv, b * du + c * dv
                g = alpha * _falloff(np.float32(0.5) * (qu * du + qv * dv))
                through = np.float32(1.0) - g
                transmittance[row, col] *= through
                w = g / through
                flow[row, col, 0] += w * qu
                flow[row, col, 1] += w * qv
                flow[row, col, 2] += w * qu * iz
                flow[row, col, 3] += w * qv * iz


@njit(cache=True, nogil=True)
def normals_towards_camera(means: F32, normals: F32, source: I64, T: NDArray[np.float64], out: F32) -> None:
    """Fill ``out`` (n, 3) with the splats' normals in the camera's frame, turned towards it."""
    for i in range(len(out)):
        k = source[i]
        ahead = 0.0
        for row in range(3):
            centre, normal = T[row, 3], 0.0
            for col in range(3):
                centre += T[row, col] * means[k, col]
                normal += T[row, col] * normals[k, col]
            ahead += centre * normal
            out[i, row] = normal
        if ahead > 0.0:
            out[i] *= np.float32(-1.0)


@njit(cache=True, nogil=True, fastmath=True)
def splat_surface(splats: F32, order: I64, normals_camera: F32, layer_m: float, transmittance: F32,
                  weight: F32, depth: F32, normal: F32) -> None:
    """Blend depth and normals of the front layer, front to back.

    ``order`` sorts the splats by depth. Layers behind the first one that is a surface (``SURFACE_TRANSMITTANCE``) are
    left out, and so is a thin veil before it: an alpha-blended depth (PTAD Eq. 8) would lie in the empty space between.
    ``weight`` (H, W), ``depth`` (H, W) and ``normal`` (H, W, 3) start at 0 and hold weighted sums afterwards.
    """
    height, width = transmittance.shape
    for i in order:
        u, v, z, reach, reach_v = splats[i, U], splats[i, V], splats[i, Z], splats[i, REACH], splats[i, REACH_V]
        a, b, c, alpha = splats[i, CA], splats[i, CB], splats[i, CC], splats[i, ALPHA]
        inv_a = np.float32(1.0) / a
        slope_x, slope_y = splats[i, SLOPE_X], splats[i, SLOPE_Y]
        n0, n1, n2 = normals_camera[i, 0], normals_camera[i, 1], normals_camera[i, 2]
        top, bottom = _span(v, reach_v * reach_v, height)
        for row in range(top, bottom):
            dv = np.float32(row) - v
            tilt = b * dv * inv_a
            first, last = _span(u - tilt, tilt * tilt - (c * dv * dv - reach) * inv_a, width)
            for col in range(first, last):
                T = transmittance[row, col]
                if T < 0.01:
                    continue
                du = np.float32(col) - u
                g = alpha * _falloff(np.float32(0.5) * (a * du * du + c * dv * dv) + b * du * dv)
                transmittance[row, col] = T * (np.float32(1.0) - g)
                here = min(max(z + slope_x * du + slope_y * dv, z - layer_m), z + layer_m)
                sum_w = weight[row, col]
                if sum_w > 0 and here > depth[row, col] / sum_w + layer_m:
                    if T < SURFACE_TRANSMITTANCE:
                        continue
                    sum_w = np.float32(0.0)
                    depth[row, col] = 0.0
                    normal[row, col, 0] = 0.0
                    normal[row, col, 1] = 0.0
                    normal[row, col, 2] = 0.0
                w = T * g
                weight[row, col] = sum_w + w
                depth[row, col] += w * here
                normal[row, col, 0] += w * n0
                normal[row, col, 1] += w * n1
                normal[row, col, 2] += w * n2


@njit(cache=True, nogil=True)
def surface_means(transmittance: F32, weight: F32, depth: F32, normal: F32) -> None:
    """Turn the sums of ``splat_surface`` into the depth and the unit normal of each pixel; NaN off the part."""
    for row in range(depth.shape[0]):
        for col in range(depth.shape[1]):
            length = np.float32(0.0)
            for k in range(3):
                length += normal[row, col, k] * normal[row, col, k]
            length = np.sqrt(length)
            seen = weight[row, col] > 0.0 and transmittance[row, col] <= 0.5
            depth[row, col] = depth[row, col] / weight[row, col] if seen else np.float32(np.nan)
            for k in range(3):
                normal[row, col, k] = normal[row, col, k] / length if seen and length > 0.0 else np.float32(np.nan)
