"""Runs one node as a process: what every node's ``main`` does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rclpy
import rclpy.utilities
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger

from ptad_core.errors import ConfigError
from ptad_ros.stage_node import StageNode

BAD_INPUT = 2


def run(make_node: Callable[[], StageNode], args: list[str] | None = None) -> int:
    """Make a node and spin it until it is interrupted; return the process's exit code.

    With ``autostart`` it is configured and activated first, and a part that cannot be loaded ends the process;
    without, a lifecycle manager does so when it likes.
    """
    rclpy.init(args=args)
    try:
        node = make_node()
    except ConfigError as error:
        get_logger("ptad").fatal(str(error))
        rclpy.utilities.try_shutdown()
        return BAD_INPUT
    try:
        if node.config.autostart and not _start(node):
            return BAD_INPUT if node.context.ok() else 0
        _spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        if node.context.ok():
            raise  # else the process was asked to end, and what was under way could not be published any more
    finally:
        node.stop()
        node.destroy_node()
        rclpy.utilities.try_shutdown()
    return 0


def _spin(node: StageNode) -> None:
    """Run the callbacks. One that fails costs what it was about, not the node, and is told."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    while node.context.ok():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the node has images to answer
            if node.context.ok():
                node.callback_failed(error)


def _start(node: StageNode) -> bool:
    return (node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and node.trigger_activate() == TransitionCallbackReturn.SUCCESS)


def exit_with(make_node: Callable[[], StageNode]) -> None:
    """Run a node and end the process with its exit code."""
    sys.exit(run(make_node))
