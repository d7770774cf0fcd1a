"""Options that several subcommands share, and how they become a configuration."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ptad_core.camera import Camera
from ptad_core.config import UNITS_IN_METRES, CellConfig, from_dict, load_yaml, merge
from ptad_core.errors import CameraError, ConfigError
from ptad_core.frames import from_quaternion, is_rigid
from ptad_core.gpu.device import DEVICES
from ptad_core.types import PoseSeed, SeedSource


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the part and the settings."""
    parser.add_argument("--cad", metavar="FILE", help="CAD file of the part: STL, OBJ, PLY or GLB")
    parser.add_argument("--unit", metavar="UNIT", help=f"unit of the CAD file: {', '.join(UNITS_IN_METRES)}")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings, as in config/*.yaml")
    add_node_option(parser)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings",
                        help="one setting, such as detection.tolerance_mm=2.5; may be repeated")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the heavy stages run."""
    parser.add_argument("--device", choices=DEVICES, default="auto",
                        help="where pose, rendering and network run: auto takes a GPU where one can be used")


def add_node_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says whose settings of a file are meant."""
    parser.add_argument("--node", metavar="NAME", default="",
                        help="whose settings, where the file is of several, such as /left/inspection")


def resolve_config(arguments: argparse.Namespace, part_frame: str | None = None) -> CellConfig:
    """Return the configuration: defaults < YAML < --cad, --unit, --part-frame < --set.

    Raises:
        ConfigError: if a setting is unknown or out of range, or no CAD file is named.
    """
    values = load_yaml(arguments.config, arguments.node) if arguments.config else {}
    named = {key: value for key, value in (("cad", arguments.cad), ("unit", arguments.unit)) if value is not None}
    values = merge(values, {"part": named, "tf": {} if part_frame is None else {"part_frame": part_frame}})
    for text in arguments.settings:
        values = merge(values, _setting(text))
    config = from_dict(CellConfig, values)
    if not config.part.cad:
        raise ConfigError("expected a CAD file, got none: name it with --cad and its unit with --unit")
    return config


def _setting(text: str) -> Mapping[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set: expected KEY=VALUE such as pose.track=false, got {text!r}")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: expected a value, got {value!r}") from error
    for name in reversed(key.split(".")):
        nested = {name: nested}
    return dict(nested)


def read_camera(text: str, width: int, height: int) -> Camera:
    """Return the camera of an image from ``fx,fy,cx,cy`` or from a file.

    Args:
        text: four numbers in pixels; or a JSON file with ``K`` and ``resolution`` (height, width); or a YAML file as
            ROS calibration writes it (``image_width``, ``camera_matrix`` ...).
        width: of the image in pixels.
        height: of the image in pixels.

    Raises:
        CameraError: if the intrinsics cannot be read or used, or belong to another image size.
    """
    numbers = _numbers(text)
    if numbers is not None:
        if len(numbers) != 4:
            raise CameraError(f"--camera: expected fx,fy,cx,cy or a file, got {len(numbers)} numbers")
        fx, fy, cx, cy = numbers
        return Camera.from_K(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height)
    try:
        values = yaml.safe_load(Path(text).read_text(encoding="utf-8"))  # YAML reads JSON too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CameraError(f"--camera: expected fx,fy,cx,cy, a JSON or a camera_info YAML file, got {text!r}: {error}"
                          ) from error
    try:
        camera = _camera_of_json(values) if "K" in values else _camera_of_yaml(values)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise CameraError(f"{text}: expected K and resolution, or camera_matrix, image_width and image_height; "
                          f"got {json.dumps(values, default=str)[:100]}") from error
    if (camera.width, camera.height) != (width, height):
        raise CameraError(
            f"{text}: expected intrinsics of a {width}x{height} image, got those of {camera.width}x{camera.height}")
    return camera


def _camera_of_json(values: Mapping[str, Any]) -> Camera:
    height, width = values["resolution"]
    distortion = tuple(float(d) for d in values.get("distortion", ()))
    return Camera.from_K(np.array(values["K"], dtype=np.float64), int(width), int(height), distortion)


def _camera_of_yaml(values: Mapping[str, Any]) -> Camera:
    K = np.array(values["camera_matrix"]["data"], dtype=np.float64).reshape(3, 3)
    distortion = tuple(float(d) for d in values.get("distortion_coefficients", {}).get("data", ()))
    fisheye = values.get("distortion_model", "") in ("equidistant", "fisheye")
    return Camera.from_K(K, int(values["image_width"]), int(values["image_height"]), distortion, fisheye)


def read_seed(text: str, config: CellConfig) -> PoseSeed:
    """Return a seed from ``x,y,z,qx,qy,qz,qw`` (metres) or the 16 numbers of T_camera_part, row by row.

    Raises:
        ConfigError: if it is neither.
    """
    numbers = _numbers(text) or []
    try:
        if len(numbers) == 7:
            T_camera_part = from_quaternion(np.array(numbers[:3]), np.array(numbers[3:]))
        else:
            T_camera_part = np.array(numbers).reshape(4, 4)
    except ValueError as error:
        raise ConfigError(f"--seed: expected x,y,z,qx,qy,qz,qw or 16 numbers of T_camera_part, got {text!r}"
                          ) from error
    if not is_rigid(T_camera_part, tolerance=1e-3):
        raise ConfigError(f"--seed: expected a rigid transform, got {T_camera_part.tolist()}")
    return PoseSeed(T_camera_part, SeedSource.TF, config.pose.seed_sigma_deg, config.pose.seed_sigma_m)


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(item) for item in text.split(",")]
    except ValueError:
        return None
