"""Whoever sets the cell's parameters and takes it through its lifecycle, by its services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter


class NotAnsweredError(Exception):
    """The cell did not say what it should have said."""


class Operator(Node):
    """Clients of the services of the node ``cell``."""

    def __init__(self, name: str, cell: str, context: Context) -> None:
        super().__init__(name, context=context)
        self._change_state = self.create_client(ChangeState, f"{cell}/change_state")
        self._get_state = self.create_client(GetState, f"{cell}/get_state")
        self._set_parameters = self.create_client(SetParameters, f"{cell}/set_parameters")

    def wait(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Wait for something to happen, or raise NotAnsweredError."""
        raise NotImplementedError

    def set(self, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter of the cell; return whether it was taken, and the reason given."""
        response = self._call(self._set_parameters, SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]))
        return bool(response.results[0].successful), str(response.results[0].reason)

    def change(self, transition: str) -> bool:
        """Take the cell through a lifecycle transition, by the name of its constant; tell whether it succeeded."""
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        return bool(self._call(self._change_state, ChangeState.Request(transition=Transition(id=number))).success)

    def state(self) -> State:
        """Return the cell's lifecycle state."""
        return self._call(self._get_state, GetState.Request()).current_state

    def _call(self, client: Any, request: Any) -> Any:
        if not client.wait_for_service(10.0):
            raise NotAnsweredError(f"the cell's service {client.srv_name} is not there")
        future = client.call_async(request)
        self.wait(future.done, 240.0, f"an answer of {client.srv_name}")
        return future.result()
