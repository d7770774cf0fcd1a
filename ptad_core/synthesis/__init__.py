"""Pictures with truth, made from CAD: assemblies, their defects, textures, light, and recordings of a cell."""

from ptad_core.synthesis.recording import generate_demo

__all__ = ["generate_demo"]
