"""Pose- and texture-agnostic inspection: everything that decides something, and no ROS.

The data goes one way, and the folders are its stages; ``rendering`` serves all of them::

    reference -> segmentation -> pose -> detection -> inspector
"""

from ptad_core.version import __version__

__all__ = ["__version__"]
