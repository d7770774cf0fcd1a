"""CAD files that are damaged, empty, too large, or in another unit: the part of a running cell is changed to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from diagnostic_msgs.msg import DiagnosticStatus

from benchmarks.ros.fault import fault
from benchmarks.ros.rig import NotAnsweredError, Rig
from ptad_core.reference.mesh import MAX_FACES, MAX_FILE_BYTES
from ptad_core.types import Reason, Verdict

FAMILY = "CAD file"


def _refused(name: str, file: str, write: Callable[[Rig, Path], None], words: str, unit: str = "mm") -> None:
    """Register a file that cannot be loaded: the node says so, stays unconfigured, and takes the good one after it."""
    @fault(FAMILY, name)
    def refused(rig: Rig) -> None:
        path = rig.out / file
        path.unlink(missing_ok=True)
        write(rig, path)
        try:
            if rig.reload(cad=str(path), unit=unit):
                raise NotAnsweredError("expected that the part is not taken")
            rig.told(f"cannot load the part.*{words}", level=DiagnosticStatus.ERROR)
            rig.send()  # nobody may answer this
        finally:
            path.unlink(missing_ok=True)
            _back(rig)


def _back(rig: Rig) -> None:
    if not rig.reload(cad=str(rig.scene.cad), unit="mm"):
        raise NotAnsweredError("expected that the good part is taken again")


def _bytes(rig: Rig) -> bytes:
    """Return the part as a binary STL file."""
    return bytes(trimesh.load(rig.scene.cad, force="mesh").export(file_type="stl"))


def _grid(side: int) -> trimesh.Trimesh:
    """Return a wavy sheet of 2 * side ** 2 triangles."""
    y, x = np.mgrid[:side + 1, :side + 1].reshape(2, -1)
    vertices = np.stack([x, y, np.sin(x)], axis=1) / side
    corner = np.arange((side + 1) * side).reshape(side, side + 1)[:, :side].ravel()
    quads = corner[:, None] + np.array([[0, 1, side + 2, 0, side + 2, side + 1]])
    return trimesh.Trimesh(vertices, quads.reshape(-1, 3), process=False)


_refused("is not there", "absent.stl", lambda _rig, _path: None, "there is none")
_refused("is empty", "empty.stl", lambda _, path: path.write_bytes(b"") and None, "expected a")
_refused("is text", "text.stl", lambda _, path: path.write_text("this is no mesh") and None, "expected a")
_refused("is cut in the middle", "cut.stl",
         lambda rig, path: path.write_bytes((data := _bytes(rig))[:len(data) // 2]) and None, "cut or damaged")
_refused("holds random bytes", "random.glb",
         lambda _, path: path.write_bytes(np.random.default_rng(0).bytes(20_000)) and None, "expected a readable")
_refused("holds vertices that are no numbers", "nan.obj",
         lambda _, path: path.write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\n") and None,
         "expected")
_refused("holds no area", "flat.obj", lambda _, path: path.write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n") and None,
         "expected triangles with an area")
_refused("is of an unknown kind", "part.step", lambda _, path: path.write_text("ISO-10303-21;") and None,
         "expected a CAD file ending in")
_refused("needs a unit, and none is given", "unit.stl", lambda rig, path: path.write_bytes(_bytes(rig)) and None,
         "expected the unit", unit="")


def _sparse(_rig: Rig, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


_refused("is too large a file", "large.stl", _sparse, "MiB")


def _many(_rig: Rig, path: Path) -> None:
    path.write_bytes(bytes(_grid(1 + int((MAX_FACES / 2) ** 0.5)).export(file_type="stl")))


_refused("has too many triangles", "many.stl", _many, "decimate the mesh")


def _loaded(name: str, file: str, write: Callable[[Rig, Path], None], words: str, unit: str = "mm") -> None:
    """Register a file that is loaded, but is not the part as it is: a warning, and never PASS without inspection."""
    @fault(FAMILY, name)
    def loaded(rig: Rig) -> None:
        path = rig.out / file
        write(rig, path)
        try:
            if not rig.reload(cad=str(path), unit=unit):
                raise NotAnsweredError("expected that the file is loaded, with a warning")
            if words:
                rig.logged(words)
            result = rig.answer(rig.send())
            if result.verdict == Verdict.PASS:
                raise NotAnsweredError("expected no PASS")
            reasons = " and ".join(f"`{Reason(r).name}`" for r in result.reasons)
            rig.note("CANNOT_INSPECT or FAIL", f"{Verdict(result.verdict).name}, {reasons}: {result.message}")
        finally:
            path.unlink(missing_ok=True)
            _back(rig)


def _copy(rig: Rig, path: Path) -> None:
    path.write_bytes(_bytes(rig))


def _small(rig: Rig, path: Path) -> None:
    mesh = trimesh.load(rig.scene.cad, force="mesh")
    mesh.apply_scale(0.5)
    mesh.export(path)


def _open_half(rig: Rig, path: Path) -> None:
    mesh = trimesh.load(rig.scene.cad, force="mesh")
    mesh.update_faces(mesh.triangles_center[:, 0] < mesh.centroid[0])
    mesh.export(path)


_loaded("millimetres taken for metres", "metres.stl", _copy, "very large", unit="m")
_loaded("millimetres taken for micrometres", "micrometres.stl", _copy, "very small", unit="um")
_loaded("millimetres taken for inches", "inches.stl", _copy, "", unit="in")
_loaded("of another part", "other.stl", lambda _, path: trimesh.creation.icosphere(radius=40).export(path) and None, "")
_loaded("of half the size", "half.stl", _small, "")
_loaded("half of the surface is missing", "open.stl", _open_half, "not closed")


@fault(FAMILY, "non-manifold: pieces poke into each other, edges belong to many triangles")
def non_manifold(rig: Rig) -> None:
    path = rig.out / "non_manifold.stl"
    mesh = trimesh.load(rig.scene.cad, force="mesh")
    inside = trimesh.creation.box(mesh.extents / 5, trimesh.transformations.translation_matrix(mesh.center_mass))
    fins = trimesh.Trimesh(mesh.vertices, mesh.faces[:40, [0, 2, 1]], process=False)  # the same triangles once more
    trimesh.util.concatenate([mesh, inside, fins]).export(path)
    try:
        if not rig.reload(cad=str(path), unit="mm"):
            raise NotAnsweredError("expected that the file is loaded")
        rig.logged("not closed")
        rig.passes("inspected by its outline, with a warning at start")
    finally:
        path.unlink(missing_ok=True)
        _back(rig)
