"""Configure, activate, deactivate, clean up, again and again: each time all is let go, and all comes back."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from ptad_msgs.msg import InspectionResult
from rclpy.node import Node
from ros_harness import FAKE, Cameraman, FakeInspector, cell

from ptad_ros.alignment_node import AlignmentNode
from ptad_ros.detection_node import DetectionNode
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.segmentation_node import SegmentationNode
from ptad_ros.stage_node import StageNode

pytestmark = pytest.mark.ros


def endpoints(node: Node) -> tuple[int, int, int, int]:
    return (len(list(node.publishers)), len(list(node.subscriptions)), len(list(node.timers)),
            len(list(node.services)))


def workers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "inspection-worker"]


@pytest.mark.parametrize("make", [InspectionNode, SegmentationNode, AlignmentNode, DetectionNode])
def test_nothing_piles_up(make: type[StageNode]) -> None:
    made: list[FakeInspector] = []

    def inspector(reference: object, config: object) -> FakeInspector:
        made.append(FakeInspector(reference, config))
        return made[-1]

    with cell(make, start=False, core_parts={**FAKE, "inspector": inspector}) as (camera, (node,)):
        states = []
        for _ in range(4):
            camera.do(node.trigger_configure)
            configured = endpoints(node)
            camera.do(node.trigger_activate)
            camera.wait(lambda: camera.image.get_subscription_count() == 1)
            assert workers() == ["inspection-worker"]
            active = endpoints(node)
            camera.do(node.trigger_deactivate)
            camera.wait(lambda: camera.image.get_subscription_count() == 0)  # the camera may rest
            assert not workers() and endpoints(node) == configured
            camera.do(node.trigger_cleanup)
            assert node._inspector is None
            states.append((configured, active, endpoints(node)))
        assert len(set(states)) == 1 and len(made) == 4
        camera.do(node.trigger_configure)
        camera.do(node.trigger_shutdown)
        assert node._state_machine.current_state[1] == "finalized" and not workers()


def test_a_lifecycle_manager_starts_the_cell_by_its_services() -> None:
    with cell(InspectionNode, start=False) as (camera, _):
        def ask(service: type, name: str, request: object) -> object:
            client = camera.create_client(service, f"/inspection/{name}")
            assert client.wait_for_service(5.0)
            future = client.call_async(request)
            camera.wait(future.done)
            return future.result()

        def change(transition: int) -> bool:
            return ask(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition))).success

        def state() -> str:
            return ask(GetState, "get_state", GetState.Request()).current_state.label

        assert state() == "unconfigured"
        assert change(Transition.TRANSITION_CONFIGURE) and state() == "inactive"
        _silent(camera)
        assert change(Transition.TRANSITION_ACTIVATE) and state() == "active"
        camera.wait(camera.image.get_subscription_count)
        time.sleep(0.3)
        camera.shoot(2.0)
        assert camera.result(2.0).verdict == InspectionResult.PASS
        assert change(Transition.TRANSITION_DEACTIVATE) and state() == "inactive"
        _silent(camera)


def _silent(camera: Cameraman) -> None:
    before = len(camera.heard["result"])
    camera.shoot(1.0)
    time.sleep(0.2)
    assert len(camera.heard["result"]) == before
