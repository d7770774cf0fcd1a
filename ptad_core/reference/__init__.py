"""CAD file -> checked mesh with a unit -> Gaussians -> candidate views -> cached reference."""

from ptad_core.gaussians import Gaussians, write_gaussian_ply
from ptad_core.reference.build import Reference, build_reference, reference_from_mesh
from ptad_core.reference.mesh import PartMesh, check_mesh, load_mesh

__all__ = ["Gaussians", "PartMesh", "Reference", "build_reference", "check_mesh", "load_mesh", "reference_from_mesh",
           "write_gaussian_ply"]
