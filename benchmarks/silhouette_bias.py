"""How well the rendered silhouette fits the true one, before any pose is solved.

    make bench-silhouette, or: python -m benchmarks.silhouette_bias [--parts NAME ...] [--views 6]

Each part is rendered from Gaussians at the true pose and compared with the mask of the exact triangle rasteriser,
which shares no code with the renderer. Two figures matter: how far the 0.5 level lies outside (+) or inside (-) of
the true outline on average, in pixels of a 256 x 256 picture that the part fills (and likewise the level that poses
are fitted to, ``rendering.splat.SILHOUETTE``), and which share of the pixels
well inside the true mask is rendered below 0.5 (holes), there and zoomed in. A silhouette that is 1 px too fat puts a
part about 1 % too far away. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from ptad_core.camera import Camera
from ptad_core.config import ReferenceConfig
from ptad_core.filters import sample
from ptad_core.frames import make_transform
from ptad_core.outline import find_outline
from ptad_core.reference.build import convert
from ptad_core.reference.mesh import PartMesh, check_mesh
from ptad_core.reference.views import look_at, sphere_directions
from ptad_core.rendering import render_mask
from ptad_core.rendering.exact import ExactRenderer
from ptad_core.rendering.splat import SILHOUETTE
from ptad_core.synthesis.families import FAMILIES
from ptad_core.synthesis.shapes import Solid, box, circle, prism, rectangle, sweep, tube, union

SIZE_PX = 256
ZOOMS = (1, 2, 4)
DISTANCE_IN_DIAMETERS = 3.0
FILL = 0.9
REACH_PX = 4.0
TARGET_PX = 0.2
CONVERSIONS = ("surface", "mesh2splat")


def subdivided_box(times: int) -> trimesh.Trimesh:
    """The same box in ever smaller triangles."""
    mesh = trimesh.creation.box([0.1, 0.07, 0.05])
    for _ in range(times):
        mesh = mesh.subdivide()
    return mesh


def wire_frame() -> Solid:
    """The edges of a 100 mm cube, as wires of 2 mm."""
    corners = np.array([[x, y, z] for x in (0, 100) for y in (0, 100) for z in (0, 100)], dtype=float)
    ends = [(a, b) for i, a in enumerate(corners) for b in corners[i + 1:] if np.abs(a - b).sum() == 100]
    return union(*(sweep(np.linspace(a, b, 2), 1.0) for a, b in ends))


def comb() -> Solid:
    """A bar with ten fins, 1 mm thick and 3 mm apart."""
    return union(box(44, 10, 6), *(box(1, 10, 40).at(-18 + 4 * k, 0, 4) for k in range(10)))


def perforated() -> Solid:
    """A 2 mm sheet with 24 holes."""
    holes = [circle(5.0, -50 + 20 * i, -30 + 20 * j, 32) for i in range(6) for j in range(4)]
    return prism(rectangle(130, 90), 2.0, holes)


def solid(make: Callable[[], Solid]) -> Callable[[], trimesh.Trimesh]:
    """Turn a solid in millimetres into a mesh in metres."""
    def mesh() -> trimesh.Trimesh:
        made = make()
        return trimesh.Trimesh(made.vertices / 1000, made.faces, process=False)
    return mesh


def family(name: str) -> Callable[[], trimesh.Trimesh]:
    """One assembly of a family of the synthesis."""
    def mesh() -> trimesh.Trimesh:
        made = FAMILIES[name](np.random.default_rng(1)).solid
        return trimesh.Trimesh(made.vertices, made.faces, process=False)
    return mesh


PARTS: dict[str, Callable[[], trimesh.Trimesh]] = {
    "box, 12 triangles": lambda: subdivided_box(0),
    "box, 12 k": lambda: subdivided_box(5),
    "box, 197 k": lambda: subdivided_box(7),
    "sphere, 320": lambda: trimesh.creation.icosphere(2, 0.05),
    "sphere, 82 k": lambda: trimesh.creation.icosphere(6, 0.05),
    "torus, 500 k": lambda: trimesh.creation.torus(0.05, 0.015, 708, 354),
    "sheet, 0.5 mm": solid(lambda: box(120, 80, 0.5)),
    "wire frame, 2 mm": solid(wire_frame),
    "comb, 1 mm": solid(comb),
    "perforated, 2 mm": solid(perforated),
    "tube, 1 mm wall": solid(lambda: tube(25, 24, 80)),
    **{name.replace("_", " "): family(name) for name in ("gear_motor", "chair", "flanged_pipe", "housing")},
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How one part's silhouette fits.

    Attributes:
        offset_px: mean signed distance of the rendered outline from the true one, positive outside.
        spread_px: 90th percentile of its absolute value.
        fitted_px: mean signed distance of the level that poses are fitted to.
        lost: share of the true outline with no rendered outline within ``REACH_PX``.
        holes: share of inner pixels below 0.5, for each zoom.
    """

    offset_px: float
    spread_px: float
    fitted_px: float
    lost: float
    holes: tuple[float, ...]


def measure(mesh: PartMesh, views: int, config: ReferenceConfig) -> tuple[Fit, int]:
    """Compare rendered and exact silhouettes from ``views`` directions; returns the number of Gaussians as well."""
    gaussians = convert(mesh, config)
    exact = ExactRenderer(mesh.vertices, mesh.faces)
    offsets, fitted, lost, holes = [], [], [], []
    for direction in sphere_directions(views):
        R = look_at(direction)
        T = make_transform(R, np.array([0, 0, DISTANCE_IN_DIAMETERS * mesh.diameter_m]) - R @ mesh.center_m)
        for zoom in ZOOMS:
            camera = filling(mesh, T, SIZE_PX * zoom)
            rendered = render_mask(gaussians, camera, T)
            if zoom == 1:
                true = exact.mask(camera, T, supersample=4)
                found, missed = boundary_offsets(true, rendered)
                offsets.append(found)
                fitted.append(boundary_offsets(true, rendered, SILHOUETTE)[0])
                lost.append(missed)
            covered = exact.render(camera, T).mask
            inner = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            holes.append(float((rendered[inner] < 0.5).mean()) if inner.any() else 0.0)
    offset = np.concatenate(offsets)
    per_zoom = np.array(holes).reshape(views, len(ZOOMS)).mean(axis=0)
    fit = Fit(float(offset.mean()), float(np.percentile(np.abs(offset), 90)), float(np.concatenate(fitted).mean()),
              float(np.mean(lost)), tuple(per_zoom))
    return fit, len(gaussians)


def filling(mesh: PartMesh, T: NDArray[np.float64], size: int) -> Camera:
    """A camera whose picture the part fills, centred."""
    unit = Camera(1.0, 1.0, 0.0, 0.0, 1, 1)
    at = unit.project(mesh.vertices @ T[:3, :3].T + T[:3, 3])
    low, high = at.min(0), at.max(0)
    focal = FILL * size / float((high - low).max())
    cx, cy = (size - 1) / 2 - focal * (low + high) / 2
    return Camera(focal, focal, float(cx), float(cy), size, size)


def boundary_offsets(true: NDArray[np.float32], rendered: NDArray[np.float32], level: float = 0.5,
                     ) -> tuple[NDArray[np.float64], float]:
    """Where a rendered level crosses the normals of the true outline, in px; and the share without a crossing."""
    outline = find_outline(true)
    t = np.arange(-REACH_PX, REACH_PX + 0.05, 0.1)
    x = outline.points[:, :1] + outline.normals[:, :1] * t
    y = outline.points[:, 1:] + outline.normals[:, 1:] * t
    crossings = [nearest_fall(sample(mask, x, y) + np.float32(0.5 - at), t)
                 for mask, at in ((rendered, level), (true, 0.5))]
    offset = crossings[0] - crossings[1]
    known = np.isfinite(offset)
    return offset[known], float(1 - known.mean())


def nearest_fall(profile: NDArray[np.float32], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where (n, k) profiles fall through 0.5, outwards, nearest to t = 0; NaN where they never do."""
    inside = profile >= 0.5
    falls = inside[:, :-1] & ~inside[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        at = t[:-1] + (profile[:, :-1] - 0.5) / (profile[:, :-1] - profile[:, 1:]) * (t[1] - t[0])
    at = np.where(falls, at, np.inf)
    best = at[np.arange(len(at)), np.argmin(np.abs(at), axis=1)]
    return np.where(np.isfinite(best), best, np.nan)


def check_the_measure() -> None:
    """The measure itself, on discs whose offset is known."""
    rows, cols = np.mgrid[0:128, 0:128]
    from_centre = np.hypot(rows - 63.3, cols - 63.8)
    grown = np.array([0.0, 0.3, -0.4])
    discs = [np.clip(40.5 + g - from_centre, 0, 1).astype(np.float32) for g in grown]
    found = np.array([boundary_offsets(discs[0], disc)[0].mean() for disc in discs])
    if np.abs(found - grown).max() > 0.02:
        sys.exit(f"the measure is off: expected offsets of {grown} px, got {found}")


def main() -> int:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS), metavar="NAME")
    parser.add_argument("--views", type=int, default=6)
    arguments = parser.parse_args()
    check_the_measure()
    print(f"offset of the 0.5 level at {SIZE_PX} px, and inner pixels below 0.5, over {arguments.views} views\n")
    print(f"{'part':20} {'conversion':11} {'Gaussians':>9}  {'mean':>7} {'90 %':>6} {'fitted':>7} {'lost':>6}"
          + "".join(f"{f'holes {SIZE_PX * z}':>12}" for z in ZOOMS))
    fits: dict[str, list[Fit]] = {conversion: [] for conversion in CONVERSIONS}
    start = time.perf_counter()
    for name in arguments.parts:
        made = PARTS[name]()
        mesh = check_mesh(np.asarray(made.vertices, dtype=np.float64), np.asarray(made.faces, dtype=np.int64), name)
        for conversion in CONVERSIONS:
            fit, count = measure(mesh, arguments.views, ReferenceConfig(conversion=conversion))
            fits[conversion].append(fit)
            mark = " " if abs(fit.offset_px) <= TARGET_PX else "!"
            print(f"{name:20} {conversion:11} {count:9d} {mark}{fit.offset_px:+7.3f} {fit.spread_px:6.3f} "
                  f"{fit.fitted_px:+7.3f} {fit.lost:6.2%}" + "".join(f"{h:12.4%}" for h in fit.holes), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s; '!' is beyond {TARGET_PX} px")
    ours, theirs = ([f.offset_px for f in fits[c]] for c in CONVERSIONS)
    print(json.dumps({"silhouette": {
        "worst_abs_offset_px": round(float(np.abs(ours).max()), 4),
        "mean_abs_offset_px": round(float(np.abs(ours).mean()), 4),
        "fitted_mean_offset_px": round(float(np.mean([f.fitted_px for f in fits["surface"]])), 4),
        "fitted_mean_abs_offset_px": round(float(np.abs([f.fitted_px for f in fits["surface"]]).mean()), 4),
        "mesh2splat_mean_offset_px": round(float(np.mean(theirs)), 4),
        "worst_holes": {str(SIZE_PX * z): round(max(f.holes[k] for f in fits["surface"]), 6)
                        for k, z in enumerate(ZOOMS)}}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
