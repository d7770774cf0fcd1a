"""Every setting: default, range and meaning in one place. ROS parameters and the docs' table are made from this.

A configuration is a tree of frozen dataclasses. ``from_dict`` builds one from YAML, refuses unknown keys and
values out of range by name; ``to_dict`` writes down what was resolved.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ptad_core.errors import ConfigError

UNITS_IN_METRES = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "um": 1e-6, "in": 0.0254, "ft": 0.3048}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a setting may be, and what it means."""

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    mutable: bool = True
    """May be changed while a node is configured."""
    fixed: bool = False
    """Is given when a node starts, and never changed: nobody on the network may."""


def setting(default: Any, description: str, *, minimum: float | None = None, maximum: float | None = None,
            choices: tuple[str, ...] = (), mutable: bool = True, fixed: bool = False) -> Any:
    """Declare a dataclass field with its range and meaning."""
    limits = Limits(description, minimum, maximum, choices, mutable and not fixed, fixed)
    return field(default=default, metadata={"limits": limits})


@dataclass(frozen=True, slots=True)
class PartConfig:
    """Which part is inspected, and how its CAD file is to be read."""

    id: str = setting("", "name of the part; the CAD file's stem where empty", mutable=False)
    cad: str = setting("", "path of the CAD file: STL, OBJ, PLY or GLB", mutable=False)
    unit: str = setting("", "unit of the CAD file; has no default on purpose", mutable=False,
                        choices=("", *UNITS_IN_METRES))
    symmetry: str = setting(
        "auto", "symmetries that make poses equal for this part: auto finds those of the CAD file; 'none' or '' is "
        "none, 'axis=z order=4' a discrete one, 'axis=z order=inf' a continuous one; several separated by ';'",
        mutable=False)


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """How a mesh becomes Gaussians and candidate views."""

    conversion: str = setting("surface", "surface: cells of equal size all over the surface; mesh2splat: one Gaussian "
                              "per fragment of a raster, at the paper's preset (a baseline: it leaves holes)",
                              choices=("surface", "mesh2splat"), mutable=False)
    gaussians: int = setting(20_000, "surface: how many Gaussians to aim for", minimum=500, maximum=500_000,
                             mutable=False)
    views: int = setting(642, "candidate views over the whole sphere", minimum=20, maximum=5000, mutable=False)
    cache_dir: str = setting("", "where built references are kept; '' is the user's cache folder", fixed=True)
    folder: str = setting("", "where the parts lie that may be loaded while a node runs, a settings file for each, "
                          "named as the part; part.cad and segmentation.background must lie there too; '' is no such "
                          "folder", fixed=True)


@dataclass(frozen=True, slots=True)
class SegmentationConfig:
    """How the object's mask is found."""

    method: str = setting("auto", "auto: colour difference to the image's border; threshold: HSV range; background: "
                          "difference to a background picture; grabcut: from the projected part (needs a seed), "
                          "then anew by the colours close to the outline of the pose found",
                          choices=("auto", "threshold", "background", "grabcut"))
    hsv_low: tuple[int, int, int] = setting((0, 80, 40), "threshold: lowest hue (0-179), saturation, value (0-255); a "
                                            "hue above that of hsv_high wraps around red", minimum=0, maximum=255)
    hsv_high: tuple[int, int, int] = setting((179, 255, 255), "threshold: highest hue, saturation, value",
                                             minimum=0, maximum=255)
    background: str = setting("", "background: picture of the empty scene", mutable=False)
    background_threshold: float = setting(25.0, "background: CIELAB difference that counts as object",
                                          minimum=1.0, maximum=100.0)
    shadows: bool = setting(True, "auto and background: a darker background is a shadow, not the object; turn off for "
                            "parts that differ from the background only by being darker")
    fill_holes: bool = setting(False, "fill holes of the mask; only for parts that have none")
    min_area_px: int = setting(400, "masks smaller than this are no object", minimum=16)
    min_confidence: float = setting(0.35, "masks below this confidence are not used", minimum=0.0, maximum=1.0)
    allow_cut: bool = setting(False, "inspect a part that the image border cuts, as far as it is seen")


@dataclass(frozen=True, slots=True)
class PoseConfig:
    """Search, refinement, and when a pose is trusted."""

    preset: str = setting("sphere", "candidate views where no seed is at hand: sphere covers all directions and rolls, "
                          "ring20 is the paper's ring: the camera upright, 20 degrees above the part's middle",
                          choices=("sphere", "ring20"))
    work_size_px: int = setting(256, "side of the square crop that the mask is refined in", minimum=96, maximum=1024)
    hypotheses: int = setting(24, "candidates that enter the contour fit", minimum=1, maximum=200)
    finalists: int = setting(4, "hypotheses that enter the mask refinement", minimum=1, maximum=20)
    max_iterations: int = setting(12, "steps of the mask refinement", minimum=1, maximum=100)
    track: bool = setting(True, "use the last trusted pose as a further seed")
    search_when_seed_fails: bool = setting(True, "search blind when no trusted pose is found from the seed")
    seed_sigma_deg: float = setting(5.0, "how far a TF seed may be off: rotation, one sigma", minimum=0.0,
                                    maximum=180.0)
    seed_sigma_m: float = setting(0.01, "how far a TF seed may be off: translation, one sigma", minimum=0.0)
    min_outline_share: float = setting(0.7, "share of the outline (the picture's or the CAD's, whichever is larger) "
                                       "that the other must explain; a wrong part explains little of either",
                                       minimum=0.0, maximum=1.0)
    max_seed_sigmas: float = setting(4.0, "a pose further than this from where TF says, in multiples of seed_sigma_deg "
                                     "and seed_sigma_m, is not trusted: something moved, or the CAD's unit is wrong; "
                                     "0: no limit", minimum=0.0)
    min_distance_m: float = setting(0.05, "a part nearer to the camera than this is not trusted: no camera sees it "
                                    "sharply, so the CAD's unit is probably too small", minimum=0.0)
    min_mask_iou: float = setting(0.60, "poses below this mask IoU are not trusted", minimum=0.0, maximum=1.0)
    max_residual_px: float = setting(2.5, "poses above this median outline distance (px at the working size) are not "
                                     "trusted", minimum=0.1)
    min_margin: float = setting(0.5, "runner-up margins below this are reported as ambiguous: the other pose explains "
                                "the picture less than half again as badly", minimum=0.0)
    ambiguous_is_inspectable: bool = setting(
        False, "judge an ambiguous pose anyway (right for parts whose look-alike poses need not be told apart)")


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """What counts as a defect."""

    tolerance_mm: float = setting(3.0, "outline deviations up to this are good; CANNOT_INSPECT where the image cannot "
                                  "show as little (see min_tolerance_px)", minimum=0.01)
    min_tolerance_px: float = setting(3.0, "outlines are never judged finer than this (pixels of the image)",
                                      minimum=0.5, maximum=50.0)
    min_area_mm2: float = setting(20.0, "regions smaller than this are no defect", minimum=0.0)
    min_area_px: int = setting(12, "regions of fewer pixels are no defect", minimum=1)
    edges: bool = setting(True, "look for depth and normal edges that are displaced inside the outline")
    edge_search_px: int = setting(10, "how far beside its place a displaced edge is looked for", minimum=4, maximum=40)
    edge_min_length_px: int = setting(24, "shortest displaced stretch of edge that counts", minimum=6)
    network: str = setting("auto", "auto: the detection network that comes along, where torch and embreex are "
                           "installed; none: geometry alone; else a file of weights as ptad train writes it",
                           mutable=False)
    calibration: str = setting("auto", "auto: the calibration kept with the reference, where there is one that was "
                               "made with these settings; none: no calibration; else a file as ptad "
                               "calibrate writes it",
                               mutable=False)


@dataclass(frozen=True, slots=True)
class InspectorConfig:
    """Everything that an inspection depends on."""

    part: PartConfig = field(default_factory=PartConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)


@dataclass(frozen=True, slots=True)
class InputConfig:
    """How the images of a cell come in."""

    compressed: bool = setting(False, "take image_raw/compressed instead of image_raw", mutable=False)
    rectified: bool = setting(False, "the images are rectified (image_rect): P of the CameraInfo holds, not K and D",
                              mutable=False)
    info_timeout_s: float = setting(0.2, "how long an image waits for the CameraInfo of its own stamp before the last "
                                    "one of its camera is taken", minimum=0.0, maximum=10.0)
    stage_timeout_s: float = setting(10.0, "stage nodes: how long an image waits for the results of the stages before",
                                     minimum=0.1, maximum=600.0)
    on_demand: bool = setting(False, "inspection node: inspect only what an Inspect goal or a calibration asks for, so "
                              "that it is never busy with another image; else every image")
    goal_timeout_s: float = setting(10.0, "how long an Inspect goal that names no timeout may take, waiting included",
                                    minimum=0.1, maximum=3600.0)
    max_megapixels: float = setting(64.0, "larger images are refused, compressed ones before they are decompressed",
                                    minimum=0.01, maximum=1000.0)
    max_rate_hz: float = setting(0.0, "images that come faster are dropped and counted before anything is done with "
                                 "them; 0: no limit", minimum=0.0, maximum=1000.0)


@dataclass(frozen=True, slots=True)
class TfConfig:
    """Where a first guess of the pose comes from."""

    part_frame: str = setting("", "TF frame of the part's nominal pose; '' searches blind")
    required: bool = setting(True, "CANNOT_INSPECT where the nominal pose is not known at the image's stamp; else "
                             "search blind")
    timeout_s: float = setting(0.2, "how long an image waits for its transforms", minimum=0.0, maximum=10.0)
    max_gap_s: float = setting(1.0, "transforms further apart in time than this are not interpolated between: nobody "
                               "knows what moved meanwhile; 0: no limit", minimum=0.0, mutable=False)


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """What a cell publishes besides its verdicts."""

    overlay: bool = setting(True, "draw the overlay picture where someone listens")
    marker_triangles: int = setting(20_000, "most triangles of the reference marker", minimum=100, maximum=500_000,
                                    mutable=False)
    diagnostics_period_s: float = setting(1.0, "time between two diagnostics messages", minimum=0.1, maximum=60.0,
                                          mutable=False)
    evidence_dir: str = setting("", "where pictures and record of each Inspect goal's image are written; '' is nowhere",
                                fixed=True)
    evidence_keep: int = setting(1000, "of how many inspections evidence is kept; older files are deleted", minimum=1,
                                 maximum=100_000)


@dataclass(frozen=True, slots=True)
class CellConfig(InspectorConfig):
    """A whole cell: the inspection, and how it is wired. This is what ``config/*.yaml`` holds."""

    input: InputConfig = field(default_factory=InputConfig)
    tf: TfConfig = field(default_factory=TfConfig)
    output: OutputConfig = field(default_factory=OutputConfig)


Config = TypeVar("Config")


def limits_of(f: Field[Any]) -> Limits | None:
    """Return the range and meaning of a configuration field; None for a nested section."""
    return typing.cast("Limits | None", f.metadata.get("limits"))


def default_of(f: Field[Any]) -> Any:
    """Return a field's default value."""
    if f.default is not MISSING:
        return f.default
    assert f.default_factory is not MISSING, f"{f.name} has no default"
    return f.default_factory()


def from_dict(cls: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """Build a configuration from nested plain values.

    Raises:
        ConfigError: on an unknown key, a wrong type or a value out of range; it names the key with its section.
    """
    assert is_dataclass(cls)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or 'configuration'}: expected a section of settings, got {values!r}")
    known = {f.name: f for f in fields(cls)}
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown setting {where}{unknown[0]!s}; known here: {', '.join(sorted(known))}")
    given = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            given[name] = from_dict(hints[name], {} if value is None else value, f"{where}{name}.")
        else:
            given[name] = check(f"{where}{name}", value, hints[name], limits_of(known[name]))
    return typing.cast(Config, cls(**given))


def check(name: str, value: Any, hint: Any, limits: Limits | None) -> Any:
    """Return a setting's value in its declared type, or raise ConfigError."""
    value = _coerce(name, value, hint)
    if limits is None:
        return value
    if limits.choices and value not in limits.choices:
        raise ConfigError(f"{name}: expected one of {', '.join(map(repr, limits.choices))}, got {value!r}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if limits.minimum is not None and number < limits.minimum:
            raise ConfigError(f"{name}: expected at least {limits.minimum:g}, got {number!r}")
        if limits.maximum is not None and number > limits.maximum:
            raise ConfigError(f"{name}: expected at most {limits.maximum:g}, got {number!r}")
        if isinstance(number, float) and not math.isfinite(number):
            raise ConfigError(f"{name}: expected a finite number, got {number!r}")
    return value


def _coerce(name: str, value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise ConfigError(f"{name}: expected a list, got {value!r}")
        items = typing.get_args(hint)
        if len(value) != len(items):
            raise ConfigError(f"{name}: expected {len(items)} values, got {value!r}")
        return tuple(_coerce(f"{name}[{i}]", v, item) for i, (v, item) in enumerate(zip(value, items, strict=True)))
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    shown = getattr(hint, "__name__", str(hint)) if not isinstance(hint, types.GenericAlias) else str(hint)
    raise ConfigError(f"{name}: expected {shown}, got {value!r} ({type(value).__name__})")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as nested plain values (tuples as lists), ready for YAML."""
    out: dict[str, Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            out[f.name] = to_dict(value)
        else:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with those of ``over`` laid on top (defaults < YAML < command line)."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


def load_yaml(path: Path, node: str = "") -> dict[str, Any]:
    """Read a configuration file.

    Accepts plain sections, and ROS parameter files: ``<node>: {ros__parameters: ...}``, where a node's name may hold
    the wildcards of ROS. Settings of one node are laid over each other in the file's order.

    Args:
        path: of the file.
        node: whose settings, with its namespace, such as ``/left/inspection``; '' where the file is of one node.

    Raises:
        ConfigError: if the file cannot be read or is not YAML, or does not make clear which settings are meant.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected a YAML file of settings: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a YAML mapping of settings, got {type(values).__name__}")
    of_nodes = list(_of_nodes(values))
    if not of_nodes:
        return values
    named = [name for name, _ in of_nodes if "*" not in name]
    if not node and len(set(named)) > 1:
        raise ConfigError(f"{path}: holds the settings of {', '.join(named)}; name one of them with --node")
    meant = "/" + node.strip("/")
    if node and meant not in named and named:
        raise ConfigError(f"{path}: expected settings of {meant}, got those of {', '.join(named)}")
    merged: dict[str, Any] = {}
    for name, inner in of_nodes:
        if not isinstance(inner, Mapping):
            raise ConfigError(f"{path}: {name}: expected a section of settings, got {inner!r}")
        if not node or _matches(name, meant):
            merged = merge(merged, inner)
    return merged


def _of_nodes(values: Mapping[Any, Any], namespace: str = "") -> Iterator[tuple[str, Any]]:
    """Yield node names with their settings; namespaces may be levels of their own."""
    for key, value in values.items():
        name = f"{namespace}/{str(key).strip('/')}"
        if isinstance(value, Mapping) and "ros__parameters" in value:
            yield name, value["ros__parameters"]
        elif isinstance(value, Mapping):
            yield from _of_nodes(value, name)


def _matches(pattern: str, name: str) -> bool:
    """Tell whether a name of a ROS parameter file means a node: * is one level, ** is any number."""
    levels = re.escape(pattern).replace(r"/\*\*", "(/.+)?").replace(r"\*", "[^/]+")
    return re.fullmatch(levels, name) is not None
