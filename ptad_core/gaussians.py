"""Gaussians as flat disks on the surface: what every renderer takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Float32Array = NDArray[np.float32]

DISK_THICKNESS_M = 1e-7
"""Scale along the normal that mesh2splat writes; renderers treat the disks as flat."""
MAX_OPACITY = 0.99
"""3DGS renderers clamp alpha here, and an opacity of exactly 1 has no finite logit."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    """n flat Gaussians in the part frame.

    Attributes:
        means: (n, 3) float32 centres in metres.
        tangents: (n, 2, 3) float32; the disk's two orthogonal axes, each as long as its standard deviation in metres.
        normals: (n, 3) float32 unit surface normals, out of the part where the mesh is oriented.
        opacities: (n,) float32, 0..0.99.
    """

    means: Float32Array
    tangents: Float32Array
    normals: Float32Array
    opacities: Float32Array

    def __len__(self) -> int:
        return len(self.means)

    @property
    def diameter_m(self) -> float:
        """Diagonal of the centres' bounding box."""
        return float(np.linalg.norm(np.ptp(self.means.T.copy(), axis=1)))  # long rows are reduced far faster

    def quaternions_wxyz(self) -> Float32Array:
        """Return (n, 4) rotations whose columns are the two tangents and the normal, in 3DGS's order."""
        columns = np.stack([*self._unit_tangents(), self.normals.astype(np.float64)], axis=2)
        # A tangent pair and a normal may be left-handed; a disk's second axis has no sign, so turn that.
        columns[np.linalg.det(columns) < 0, :, 1] *= -1
        xyzw = Rotation.from_matrix(columns).as_quat()
        return np.asarray(xyzw[:, [3, 0, 1, 2]], dtype=np.float32)

    def scales(self) -> Float32Array:
        """Return (n, 3) standard deviations along the tangents and the normal, in metres."""
        in_plane = np.linalg.norm(self.tangents, axis=2)
        return np.concatenate([in_plane, np.full((len(self), 1), DISK_THICKNESS_M)], axis=1).astype(np.float32)

    def _unit_tangents(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit tangents made exactly orthogonal to the normal and to each other."""
        n = self.normals.astype(np.float64)
        u = self.tangents[:, 0].astype(np.float64)
        u -= (u * n).sum(1, keepdims=True) * n
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        v = np.cross(n, u)
        v *= np.sign((v * self.tangents[:, 1]).sum(1, keepdims=True) + 1e-30)
        return u, v


def write_gaussian_ply(gaussians: Gaussians, path: Path) -> None:
    """Write the usual 3DGS point cloud: log scales, logit opacities, w-first quaternions, mid-grey colour.

    Units are metres, in the part frame. Viewers of 3DGS files (and ``gsplat``'s loaders) read it as it is.
    """
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
             "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    opacity = np.clip(gaussians.opacities, 1e-4, MAX_OPACITY)
    table = np.concatenate([
        gaussians.means, gaussians.normals, np.zeros((len(gaussians), 3)),
        np.log(opacity / (1 - opacity))[:, None], np.log(gaussians.scales()), gaussians.quaternions_wxyz()], axis=1)
    header = "\n".join(["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}",
                        *(f"property float {name}" for name in names), "end_header", ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header.encode("ascii"))
        file.write(table.astype("<f4").tobytes())
