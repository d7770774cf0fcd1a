"""Typed failures. Every message says what was expected and what came."""

from __future__ import annotations


class PtadError(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(PtadError):
    """A setting is unknown, of the wrong type or out of its range."""


class MeshError(PtadError):
    """A CAD file cannot be read, is empty, or has no usable surface."""


class UnitError(MeshError):
    """The unit of a CAD file is missing, unknown, or contradicts the file."""


class CameraError(PtadError):
    """Intrinsics are unusable, or do not belong to the image."""


class ImageError(PtadError):
    """An image has an unknown encoding, an unexpected shape, or no content."""


class BagError(PtadError):
    """A recording cannot be opened, or lacks a topic that is needed."""


class TransformError(PtadError):
    """A transform is missing, too old, or in the future."""


class CalibrationError(PtadError):
    """Images of good parts are too few for the promised rate, or a calibration belongs to something else."""


class NetworkError(PtadError):
    """Weights of a network cannot be read, or belong to another network."""


class DependencyError(PtadError):
    """An optional package is needed for what was asked, and is not installed."""


class DatasetError(PtadError):
    """A data set's folder lacks a file, or a file holds what the layout does not allow."""


class DeviceError(PtadError):
    """The device that was asked for is not there, or does not compute what it should."""
