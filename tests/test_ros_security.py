"""The SROS 2 policy against the running nodes: it allows exactly what they have. And nothing is ever unpickled."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET  # our own file
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("ptad_msgs.msg", reason="ptad_msgs is not built; run make env")

import rclpy
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_harness import FAKE

from ptad_ros.alignment_node import AlignmentNode
from ptad_ros.detection_node import DetectionNode
from ptad_ros.examples.re_look import ReLook
from ptad_ros.inspection_node import InspectionNode
from ptad_ros.segmentation_node import SegmentationNode

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "security" / "ptad.policy.xml"
NODES = {"inspection": InspectionNode, "segmentation": SegmentationNode, "alignment": AlignmentNode,
         "detection": DetectionNode, "re_look": ReLook}
Rules = dict[str, set[str]]


def policy() -> dict[str, Rules]:
    """Return the rules of each node, names resolved as sros2 does."""
    found: dict[str, Rules] = {}
    for enclave in ET.parse(POLICY).getroot().iter("enclave"):  # noqa: S314
        (profile,) = enclave.iter("profile")
        ns, node = profile.get("ns"), profile.get("node")
        assert enclave.get("path") == f"/ptad/{node}" and node not in found
        rules: Rules = defaultdict(set)
        for group in profile:
            ((verb, verdict),) = group.attrib.items()
            assert verdict == "ALLOW"
            names = [(item.text or "").strip() for item in group]
            assert {item.tag for item in group} == {group.tag.removesuffix("s")} and len(set(names)) == len(names)
            rules[f"{group.tag} {verb}"] |= {_resolved(name, str(ns), str(node)) for name in names}
        found[str(node)] = rules
    return found


def _resolved(name: str, ns: str, node: str) -> str:
    if name.startswith("/"):
        return name
    return f"{ns}/{node}{name[1:]}" if name.startswith("~") else f"{ns}/{name}"


def rules_of(node: Node) -> Rules:
    """Return what a running node has; the parts of an action are the action's."""
    at = node.get_name(), node.get_namespace()
    rules = {"topics publish": node.get_publisher_names_and_types_by_node(*at),
             "topics subscribe": node.get_subscriber_names_and_types_by_node(*at),
             "services reply": node.get_service_names_and_types_by_node(*at),
             "services request": node.get_client_names_and_types_by_node(*at),
             "actions execute": get_action_server_names_and_types_by_node(node, *at)}
    return {verb: names for verb, found in rules.items()
            if (names := {name for name, _ in found if "/_action/" not in name})}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Rules]]:
    context = Context()
    rclpy.init(context=context)
    found: dict[str, Rules] = {}
    for name, make in NODES.items():
        rules: Rules = defaultdict(set)
        for compressed in (False, True) if make is not ReLook else (False,):
            overrides = [Parameter("use_sim_time", value=True)]
            core_parts = {}
            if make is not ReLook:
                overrides += [Parameter("part.cad", value="block.stl"), Parameter("input.compressed", value=compressed)]
                core_parts = FAKE
            node = make(context=context, namespace="camera", parameter_overrides=overrides, **core_parts)
            if make is not ReLook:
                node.trigger_configure()
                node.trigger_activate()
            for verb, names in rules_of(node).items():
                rules[verb] |= names
            if make is not ReLook:
                node.stop()
            node.destroy_node()
        found[name] = rules
    yield found
    context.try_shutdown()


@pytest.mark.parametrize("node", NODES)
def test_the_policy_allows_exactly_what_a_node_has(node: str, running: dict[str, Rules]) -> None:
    assert dict(policy()[node]) == dict(running[node])


def test_robot_and_operator_ask_for_what_there_is(running: dict[str, Rules]) -> None:
    rules = policy()
    assert set(rules) == {*NODES, "robot", "operator"}
    published = set().union(*(has["topics publish"] for has in running.values()))
    for who in ("robot", "operator"):
        asked = rules[who]
        assert asked["topics subscribe"] - {"/clock", "/tf_static"} <= published
        assert asked["services request"] <= running["inspection"]["services reply"]
        assert asked["actions call"] == running["inspection"]["actions execute"] == {"/camera/inspect"}
    assert rules["operator"]["services request"] == running["inspection"]["services reply"]
    assert not rules["robot"]["services request"]


UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "pandas"}


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", sorted(p for package in ("ptad_core", "ptad_ros", "launch", "tools")
                                        for p in (ROOT / package).rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        assert not {m.partition(".")[0] for m in modules} & UNSAFE_MODULES, path
    for name, call in _calls(path):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert name not in UNSAFE_CALLS, f"{path}:{call.lineno}"
        assert name not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"), f"{path}:{call.lineno}"
        assert given.get("shell", "False") == "False", f"{path}:{call.lineno}"
        if name in ("np.load", "numpy.load"):
            assert given.get("allow_pickle", "False") == "False", f"{path}:{call.lineno}"
        if name == "torch.load":
            assert given.get("weights_only") == "True", f"{path}:{call.lineno}"


def test_the_check_finds_what_it_looks_for() -> None:
    assert [name for name, _ in _calls(Path(__file__))].count("ast.parse") == 2
    assert re.search(r"np\.load\(", (ROOT / "ptad_core" / "reference" / "build.py").read_text())
