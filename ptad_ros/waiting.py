"""Lets a callback wait without holding up the executor: for what another thread does, or for its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
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


async def elsewhere(node: Node, call: Callable[..., Result], *args: Any) -> Result:
    """Return what a call returns that is done by a thread of its own, or raise what it raises.

    The thread does not keep the process from ending.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            future.set_exception(error)
        wake(node)

    threading.Thread(target=work, name="elsewhere", daemon=True).start()
    await until(future.done)
    return future.result()
