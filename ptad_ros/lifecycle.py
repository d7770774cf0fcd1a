"""What rclpy's lifecycle leaves to its nodes: a transition that is not possible must not end the process."""

from __future__ import annotations

from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Have the service ``change_state`` answer that a transition was not made, where the node's state forbids it.

    rclpy lets the error of its state machine through instead, which ends whoever spins the node, and leaves the caller
    without an answer.
    """
    service = node._service_change_state  # noqa: SLF001 - rclpy has no other name for it
    change = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RCLError as error:
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f"transition {wanted} is not possible in state "
                                      f"{node._state_machine.current_state[1]!r}: {error}")  # noqa: SLF001
            response.success = False
            return response

    service.callback = answer
