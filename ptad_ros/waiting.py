"""Lets a callback wait without holding up the executor: for what another thread does, or for its turn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from rclpy.node import Node

Result = TypeVar("Result")


class Turn:
    """Awaited, it lets the executor do other things; rclpy goes on with the coroutine whenever it wakes up.

    A callback that awaits must be in a reentrant callback group, or it keeps its whole group from running.
    """

    def __await__(self) -> Generator[None, None, None]:
        yield


def wake(node: Node) -> None:
    """Have the executor look at its waiting coroutines now; from any thread."""
    executor = node.executor
    if executor is not None:
        executor.wake()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds; whoever makes it hold calls ``wake``."""
    while not condition():
        await Turn()


async def elsewhere(node: Node, threads: Executor, call: Callable[..., Result], *args: Any) -> Result:
    """Return what a call returns that is done by another thread, or raise what it raises."""
    future: Future[Result] = threads.submit(call, *args)
    future.add_done_callback(lambda _: wake(node))
    await until(future.done)
    return future.result()
