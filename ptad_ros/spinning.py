"""Spins nodes beside the main thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


@contextmanager
def spinning(*nodes: Node, context: Context | None = None) -> Iterator[Executor]:
    """Run the callbacks of nodes in a thread of their own while the block lasts.

    The thread is ended before the executor: shutting an executor down while it spins is a race in rclpy.
    """
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        try:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass

    thread = threading.Thread(target=spin, name="spinning", daemon=True)
    thread.start()
    try:
        yield executor
    finally:
        stop.set()
        thread.join(10.0)
        executor.shutdown()
