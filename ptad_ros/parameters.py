"""ROS parameters declared from the core's configuration dataclasses: one source of defaults, ranges and meaning."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ptad_core.config import check, from_dict
from ptad_core.errors import ConfigError
from ptad_ros.settings import NodeConfig, Setting, range_words, settings

_ROS_OWN = ("use_sim_time", "qos_overrides.", "start_type_description_service")


class NodeParameters:
    """The parameters of one node, and the configuration that they amount to.

    Settings that are not mutable can be changed only while ``locked`` is false: before the node is configured.

    Attributes:
        config: what holds now; a new object after each change, so a reference to it is a snapshot.
        locked: whether the immutable settings are in use.

    Raises:
        ConfigError: if a parameter given at start is unknown, of the wrong type or out of range.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._settings = {s.name: s for s in settings(NodeConfig)}
        self.locked = False
        self._own: dict[str, Any] = {}
        """What the settings were that the loaded part of the reference folder has changed."""
        self._adopting = False
        given = _overrides(node)
        unknown = sorted(n for n in given if n not in self._settings and not n.startswith(_ROS_OWN))
        if unknown:
            raise ConfigError(f"unknown parameter {unknown[0]}; {self._meant(unknown[0])}")
        for s in self._settings.values():
            # Overrides are applied here and not by rclpy, which refuses `tolerance_mm: 3` for not being 3.0.
            value = check(s.name, given[s.name].value, s.hint, s.limits) if s.name in given else s.default
            node.declare_parameter(s.name, _plain(value), _descriptor(s), ignore_override=True)
        self.config = self._snapshot()
        node.add_pre_set_parameters_callback(self._require_known)
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._adopt)

    def _snapshot(self, over: Mapping[str, Any] | None = None) -> NodeConfig:
        nested: dict[str, Any] = {}
        for name in self._settings:
            *sections, leaf = name.split(".")
            section = nested
            for part in sections:
                section = section.setdefault(part, {})
            section[leaf] = over[name] if over and name in over else self._node.get_parameter(name).value
        return from_dict(NodeConfig, nested)

    def with_part(self, part: Mapping[str, Any]) -> NodeConfig:
        """Return what would hold with a part of the reference folder, given by its nested settings."""
        return self._snapshot({**self._own, **_flat(part)})

    def adopt_part(self, part: Mapping[str, Any]) -> NodeConfig:
        """Lay a part's nested settings over the node's own; what the part before had changed goes back first.

        An empty part brings the node's own settings back.
        """
        values = _flat(part)
        own = {name: self._own.get(name, self._node.get_parameter(name).value) for name in values}
        changes = [Parameter(name, value=_plain(value)) for name, value in {**self._own, **values}.items()]
        if not changes:
            return self.config  # rclpy takes no empty list
        self._adopting = True
        try:
            result = self._node.set_parameters_atomically(changes)
        finally:
            self._adopting = False
        if not result.successful:
            raise ConfigError(result.reason)
        self._own = own
        return self.config

    def _meant(self, unknown: str) -> str:
        near = difflib.get_close_matches(unknown, self._settings, n=1)
        return f"did you mean {near[0]}?" if near else "config/inspection.yaml shows all there are"

    def _require_known(self, changes: list[Parameter]) -> list[Parameter]:
        """Refuse unknown names here: rclpy's own refusal does not say which it was."""
        for change in changes:
            if not self._node.has_parameter(change.name):
                raise ParameterNotDeclaredException(f"{change.name}; {self._meant(change.name)}")
        return changes

    def _validate(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            for change in changes:
                if change.name in self._settings:
                    self._check(self._settings[change.name], change.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check(self, s: Setting, value: Any) -> None:
        if self.locked and not s.limits.mutable and not self._adopting:
            hot = "; a part of reference.folder is loaded at once by the service ~/load_reference"
            raise ConfigError(f"{s.name}: cannot change while the node is configured; deactivate it and clean it up "
                              "first (ros2 lifecycle set ... cleanup), then set, configure and activate"
                              + hot * s.name.startswith("part."))
        check(s.name, value, s.hint, s.limits)

    def _adopt(self, changes: list[Parameter]) -> None:
        if any(change.name in self._settings for change in changes):
            self.config = self._snapshot()


def given_at_start(node: Node, name: str) -> bool:
    """Tell whether a parameter was given to a node by file, command line or launch."""
    return name in _overrides(node)


def _overrides(node: Node) -> dict[str, Parameter]:
    overrides: dict[str, Parameter] = node._parameter_overrides  # noqa: SLF001 - rclpy shows them nowhere else
    return overrides


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _descriptor(s: Setting) -> ParameterDescriptor:
    limits = s.limits
    descriptor = ParameterDescriptor(description=limits.description, additional_constraints=range_words(limits),
                                     read_only=limits.fixed)
    bounded = limits.minimum is not None or limits.maximum is not None
    if bounded and s.hint is int:
        low = -(2**63) if limits.minimum is None else int(limits.minimum)
        high = 2**63 - 1 if limits.maximum is None else int(limits.maximum)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    elif bounded and s.hint is float:
        low_f = -sys.float_info.max if limits.minimum is None else float(limits.minimum)
        high_f = sys.float_info.max if limits.maximum is None else float(limits.maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low_f, to_value=high_f)]
    return descriptor
