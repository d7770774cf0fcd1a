"""Gaussians + camera + pose -> mask, depth, normals, and how the mask moves with the pose."""

from ptad_core.rendering.splat import render, render_mask

__all__ = ["render", "render_mask"]
