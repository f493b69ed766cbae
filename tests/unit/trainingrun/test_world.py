"""How many pods an attempt has, what each may use, and whether the CPU may stand in for GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Spec
from bramble.kinds.trainingrun import world
from bramble.kinds.trainingrun.world import Node, Taint
from tests.unit.trainingrun.seen import case, node, observed

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
CPU = {"resources": {"requests": {"cpu": "2"}}}


def spec(**fields: Any) -> Spec:
    return observed(fields).spec


def engine(**fields: Any) -> dict[str, Any]:
    return {"engine": {"torchrun": {"nodes": 4, **fields}}}


TAINTED = node("t", taints=(Taint("gpu", "yes", "NoSchedule"),))


@pytest.mark.parametrize(
    ("wanted", "there", "fits"),
    [
        case("nothing asked for", spec(), node("a"), True),
        case("a GPU, and it has one", spec(**GPU), node("a"), True),
        case("a GPU, and it has none", spec(**GPU), node("a", gpus=0), False),
        case("two GPUs, and it has one", spec(resources={"limits": {"nvidia.com/gpu": 2}}), node("a"), False),
        case("more memory than it has", spec(resources={"requests": {"memory": "17Gi"}}), node("a"), False),
        case("not Ready", spec(), node("a", ready=False), False),
        case("cordoned", spec(), node("a", schedulable=False), False),
        case("a label it lacks", spec(nodeSelector={"zone": "b"}), node("a"), False),
        case("a label it has", spec(nodeSelector={"bramble.dev/accelerator": "simulated"}), node("a"), True),
        case("a taint nobody bears", spec(), TAINTED, False),
        case("a taint borne by value", spec(tolerations=[{"key": "gpu", "value": "yes"}]), TAINTED, True),
        case("a taint of another value", spec(tolerations=[{"key": "gpu", "value": "no"}]), TAINTED, False),
        case("a taint borne whatever its value", spec(tolerations=[{"key": "gpu", "operator": "Exists"}]), TAINTED, True),
        case("every taint borne", spec(tolerations=[{"operator": "Exists"}]), TAINTED, True),
        case("borne for another effect", spec(tolerations=[{"operator": "Exists", "effect": "NoExecute"}]), TAINTED, False),
        case("a taint that only discourages", spec(), node("a", taints=(Taint("x", "", "PreferNoSchedule"),)), True),
    ],
)
def test_fits(wanted: Spec, there: Node, fits: bool) -> None:
    assert world.fits(wanted, there) is fits


@pytest.mark.parametrize(
    ("wanted", "nodes", "disrupted", "size"),
    [
        case("a first attempt waits for all", spec(**engine(minNodes=2), **GPU), (node("a"), node("b")), False, 4),
        case("after a loss, as many as fit", spec(**engine(minNodes=2), **GPU), (node("a"), node("b"), node("c")), True, 3),
        case("never below minNodes", spec(**engine(minNodes=2), **GPU), (node("a"),), True, 2),
        case("never above nodes", spec(**engine(minNodes=2), **GPU), (node("a", gpus=8),), True, 4),
        case("minNodes unset: all or nothing", spec(**engine(), **GPU), (node("a"),), True, 4),
        case("several pods a node", spec(**engine(minNodes=1), **CPU), (node("a"),), True, 2),
        case("without requests a node takes many", spec(**engine(minNodes=1)), (node("a"),), True, 4),
    ],
)
def test_world_size(wanted: Spec, nodes: tuple[Node, ...], disrupted: bool, size: int) -> None:
    assert world.world_size(wanted, nodes, disrupted=disrupted) == size


@pytest.mark.parametrize(
    ("wanted", "nodes", "allowed"),
    [
        case("no GPU asked for", spec(), (), True),
        case("GPUs, every fitting node simulated", spec(**GPU), (node("a"), node("b")), True),
        case("GPUs, one fitting node real", spec(**GPU), (node("a"), node("b", simulated=False)), False),
        case("GPUs, the real node has none", spec(**GPU), (node("a"), node("b", simulated=False, gpus=0)), True),
        case("GPUs, no node at all: one with CUDA may come", spec(**GPU), (), False),
        case("GPUs, the simulated node is down", spec(**GPU), (node("a", ready=False),), False),
    ],
)
def test_cpu_allowed(wanted: Spec, nodes: tuple[Node, ...], allowed: bool) -> None:
    assert world.cpu_allowed(wanted, nodes) is allowed


@pytest.mark.parametrize(
    ("wanted", "processes", "threads"),
    [
        case("nothing asked for", spec(), 1, 1),
        case("auto is one a GPU", spec(resources={"limits": {"nvidia.com/gpu": "4", "cpu": "16"}}), 4, 4),
        case("a number", spec(engine={"torchrun": {"processesPerNode": 2}}, **CPU), 2, 1),
        case("half a CPU is one thread", spec(resources={"requests": {"cpu": "500m"}}), 1, 1),
        case("the request is what counts", spec(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "8"}}), 1, 2),
    ],
)
def test_processes_and_threads(wanted: Spec, processes: int, threads: int) -> None:
    assert (world.processes(wanted), world.threads(wanted)) == (processes, threads)


def test_a_node_of_the_api_server() -> None:
    manifest = {
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {
            "allocatable": {"cpu": "3920m", "memory": "15Gi"},
            "conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
        },
    }
    found = Node.of(manifest)
    assert (found.ready, found.schedulable, found.taints) == (False, False, (Taint("k", "", "NoSchedule"),))
    assert found.allocatable == {"cpu": pytest.approx(3.92), "memory": 15 * 1024**3}
    assert found.since is not None
    assert found.since.isoformat() == "2026-01-02T03:04:05+00:00"
