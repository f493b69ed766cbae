"""Which nodes take a run's pods, and whether an attempt may train on the CPU in place of GPUs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bramble.api.schema import amount
from bramble.api.trainingrun import Spec
from bramble.kinds.trainingrun import nodes as rules
from bramble.kinds.trainingrun.nodes import Node, Taint
from tests.unit.trainingrun.seen import NOW, case, node, observed

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}


def spec(**fields: Any) -> Spec:
    return observed(fields).spec


OTHER = {"operator": "Exists", "effect": "NoExecute"}
EXACT = Node(name="e", allocatable={"cpu": amount("300m")})
TAINTED = node("t", taints=(Taint("gpu", "yes", "NoSchedule"),))


@pytest.mark.parametrize(
    ("wanted", "there", "fits"),
    [
        case("the run requests nothing", spec(), node("a"), True),
        case("nothing else is known of the node", spec(), Node(name="a"), True),
        case("the run requests nothing of a resource that the node lacks", spec(resources={"limits": {"x.y/z": "0"}}), node("a"), True),
        case("the run requests a GPU, and the node has one", spec(**GPU), node("a"), True),
        case("the run requests a GPU, and the node has none", spec(**GPU), node("a", gpus=0), False),
        case("the run requests two GPUs, and the node has one", spec(resources={"limits": {"nvidia.com/gpu": 2}}), node("a"), False),
        case("the run requests more memory than the node has", spec(resources={"requests": {"memory": "17Gi"}}), node("a"), False),
        case("the run requests exactly the memory that the node has", spec(resources={"requests": {"memory": "16Gi"}}), node("a"), True),
        case("the node is not Ready", spec(), node("a", ready=False), False),
        case("the node is cordoned", spec(), node("a", schedulable=False), False),
        case("the node lacks the label", spec(nodeSelector={"zone": "b"}), node("a"), False),
        case("the node has the label", spec(nodeSelector={"bramble.dev/accelerator": "simulated"}), node("a"), True),
        case("the node has a taint that the run does not tolerate", spec(), TAINTED, False),
        case("the run tolerates the taint by its value", spec(tolerations=[{"key": "gpu", "value": "yes"}]), TAINTED, True),
        case("the run tolerates another value of the taint", spec(tolerations=[{"key": "gpu", "value": "no"}]), TAINTED, False),
        case("the run tolerates every value of the taint", spec(tolerations=[{"key": "gpu", "operator": "Exists"}]), TAINTED, True),
        case("the run tolerates every taint", spec(tolerations=[{"operator": "Exists"}]), TAINTED, True),
        case(
            "the run tolerates every taint, but for another effect",
            spec(tolerations=[{"operator": "Exists", "effect": "NoExecute"}]),
            TAINTED,
            False,
        ),
        case("the taint only discourages pods", spec(), node("a", taints=(Taint("x", "", "PreferNoSchedule"),)), True),
    ],
)
def test_fits(wanted: Spec, there: Node, fits: bool) -> None:
    assert rules.fits(wanted, there) is fits


@pytest.mark.parametrize(
    ("wanted", "nodes", "pods"),
    [
        case("there is no node", spec(), (), 0),
        case("two nodes with one GPU each", spec(**GPU), (node("a"), node("b")), 2),
        case("one node with four GPUs", spec(**GPU), (node("a", gpus=4),), 4),
        case("a node that does not fit adds nothing", spec(**GPU), (node("a", gpus=4), node("b", ready=False)), 4),
        case("the scarcest resource counts", spec(resources={"requests": {"cpu": "2", "memory": "1Gi"}}), (node("a"),), 2),
        case(
            "quantities are exact", spec(resources={"requests": {"cpu": "100m"}}), (Node(name="a", allocatable={"cpu": amount("300m")}),), 3
        ),
        case("without requests the node's limit of pods counts", spec(), (Node(name="a", allocatable={"pods": Decimal(30)}),), 30),
        case("without such a limit the kubelet's default counts", spec(), (Node(name="a"),), 110),
    ],
)
def test_capacity(wanted: Spec, nodes: tuple[Node, ...], pods: int) -> None:
    assert rules.capacity(wanted, nodes) == pods


@pytest.mark.parametrize(
    ("wanted", "nodes", "allowed"),
    [
        case("the run requests no GPU", spec(), (), True),
        case("every node that fits is simulated", spec(**GPU), (node("a"), node("b")), True),
        case("one node that fits is real", spec(**GPU), (node("a"), node("b", simulated=False)), False),
        case("the real node has no GPU, so it does not fit", spec(**GPU), (node("a"), node("b", simulated=False, gpus=0)), True),
        case("there is no node yet, and one with CUDA may come", spec(**GPU), (), False),
        case("the only simulated node is not Ready", spec(**GPU), (node("a", ready=False),), False),
    ],
)
def test_cpu_allowed(wanted: Spec, nodes: tuple[Node, ...], allowed: bool) -> None:
    assert rules.cpu_allowed(wanted, nodes) is allowed


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
TAINTS = [{"key": "k", "effect": "NoSchedule"}, {"key": "g", "value": "v", "effect": "NoExecute"}]
SILENT = {**READY, "status": "Unknown"}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        case(
            "a node that is Ready",
            {"metadata": {"name": "a", "labels": {"x": "y"}}, "status": {"conditions": [{"type": "Other", "status": "False"}, READY]}},
            Node(name="a", since=NOW, labels={"x": "y"}),
        ),
        case(
            "a node that does not answer",
            {"metadata": {"name": "a"}, "status": {"conditions": [SILENT]}},
            Node(name="a", ready=False, since=NOW),
        ),
        case("a node that has not reported yet", {"metadata": {"name": "a"}}, Node(name="a", ready=False)),
        case(
            "a condition without a time",
            {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            Node(name="a"),
        ),
        case(
            "a cordoned node with a taint",
            {
                "metadata": {"name": "a"},
                "spec": {"unschedulable": True, "taints": TAINTS},
                "status": {"conditions": [READY]},
            },
            Node(name="a", since=NOW, schedulable=False, taints=(Taint("k", "", "NoSchedule"), Taint("g", "v", "NoExecute"))),
        ),
        case(
            "quantities become numbers",
            {"metadata": {"name": "a"}, "status": {"conditions": [READY], "allocatable": {"cpu": "1500m", "memory": "15Gi"}}},
            Node(name="a", since=NOW, allocatable={"cpu": Decimal("1.5"), "memory": Decimal(15 * 2**30)}),
        ),
    ],
)
def test_a_node_of_the_api_server(manifest: dict[str, Any], expected: Node) -> None:
    assert Node.of(manifest) == expected
