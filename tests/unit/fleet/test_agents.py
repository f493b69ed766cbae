"""Why agents do not run, from their pods, their DaemonSets and the Events about both."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.kinds.fleet.agents import EVENTS_READ, Stopped
from bramble.kinds.fleet.controller import CONTROLLER
from bramble.kube.resources import DAEMON_SET, NODE, SERVICE, Key
from tests.unit.fleet.rows import fleet_manifest, node
from tests.unit.jobs.reading import gathered

UID = "uid-of-living-rooms"
LABELS = {**MANAGED_BY_BRAMBLE, OWNER_UID: UID}
MOUNT = 'MountVolume.SetUp failed for volume "slots" : hostPath type check failed: /var/lib/bramble is not a directory'
MEMORY = "maximum memory usage per Container is 256Mi, but limit is 512Mi"
LIMIT_RANGE = {
    "kind": "LimitRange",
    "metadata": {"name": "small", "namespace": "bramble-edge"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "256Mi"}}]},
}


def agent(
    on: str, state: dict[str, Any] | None = None, *, last: dict[str, Any] | None = None, conditions: Any = (), **more: Any
) -> dict[str, Any]:
    """The pod of the agent of this node; its container is in this state, and was in the last one before the kubelet started it again."""
    statuses = [{"name": "agent", "image": "edge@sha256:3", "state": state, "lastState": last or {}}] if state is not None else []
    metadata = {"name": f"agent-{on}", "namespace": "bramble-edge", "uid": f"uid-of-agent-{on}", "labels": LABELS, **more}
    status = {"phase": "Pending", "conditions": list(conditions), "containerStatuses": statuses}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": on, "containers": []}, "status": status}


def told(of: str, reason: str, note: str) -> dict[str, Any]:
    """An Event about this object."""
    metadata = {"name": f"{of}.1", "namespace": "bramble-edge"}
    return {"kind": "Event", "metadata": metadata, "regarding": {"uid": f"uid-of-{of}"}, "type": "Warning", "reason": reason, "note": note}


def daemon_set(desired: int, current: int) -> dict[str, Any]:
    metadata = {"name": "agent-ds", "namespace": "bramble-edge", "uid": "uid-of-ds", "labels": LABELS}
    return {"kind": "DaemonSet", "metadata": metadata, "status": {"desiredNumberScheduled": desired, "currentNumberScheduled": current}}


async def stopped(*objects: dict[str, Any], nodes: tuple[str, ...] = ("a",), passes: int = 1) -> tuple[Stopped, ...]:
    found = [fleet_manifest(), *(node(name) for name in nodes), *objects]
    seen = await gathered(CONTROLLER, Key("Fleet", "", "living-rooms"), found, also=(NODE, SERVICE, DAEMON_SET), passes=passes)
    result: tuple[Stopped, ...] = seen.stopped
    return result


CREATING = {"waiting": {"reason": "ContainerCreating"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "Error"}}
OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
LOOPS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
NO_IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
FULL = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient memory."}
NO_PULL = "image edge@sha256:3 cannot be pulled (ImagePullBackOff: not found); correct the chart's images values; from a private registry, "


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        pytest.param([agent("a", CREATING)], "", id="it has just been made"),
        pytest.param([agent("a")], "", id="the kubelet has not seen it yet"),
        pytest.param([agent("a", NO_IMAGE)], f"{NO_PULL}set the chart's images.pullSecrets", id="its image is not there"),
        pytest.param([agent("a", CREATING), told("agent-a", "FailedMount", "no CA")], "(FailedMount: no CA)", id="a volume is missing"),
        pytest.param(
            [agent("a", LOOPS, last=OOM)], "more memory than its limit and was killed; raise its memory limit", id="out of memory"
        ),
        pytest.param(
            [agent("a", LOOPS, last={"terminated": {"exitCode": 3}}), told("agent-a", "BackOff", "Back-off restarting failed container")],
            "container agent failed with exit code 3; its log says why",
            id="it ends again and again, which Kubernetes says as well",
        ),
        pytest.param(
            [agent("a", KILLED), told("agent-a", "FailedMount", MOUNT)], MOUNT, id="it ended before the board's disk was written anew"
        ),
    ],
)
async def test_why_it_does_not_run(objects: list[dict[str, Any]], problem: str) -> None:
    (found,) = await stopped(*objects)
    assert found.node == "a"
    assert problem in found.problem
    assert bool(found.problem) is bool(problem)
    assert found.lacks_folder is (MOUNT in problem)


async def test_a_pod_that_no_node_takes() -> None:
    nowhere = agent("a", conditions=(FULL,))
    del nowhere["spec"]["nodeName"]
    (found,) = await stopped(nowhere)
    assert (found.node, "1 Insufficient memory" in found.problem) == (None, True)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(agent("a", {"running": {}}), id="it runs"),
        pytest.param(agent("b", CREATING), id="its node is not of the fleet"),
        pytest.param(agent("a", CREATING, labels={**LABELS, STEP: "node-setup"}), id="it is no agent"),
        pytest.param(agent("a", CREATING, labels={**LABELS, OWNER_UID: "another"}), id="it is another fleet's"),
        pytest.param(agent("a", CREATING, deletionTimestamp="2026-01-01T00:00:00Z"), id="it is being deleted"),
        pytest.param(daemon_set(2, 2), id="a DaemonSet has its pods"),
    ],
)
async def test_what_says_nothing_about_the_fleet(other: dict[str, Any]) -> None:
    assert await stopped(other) == ()


async def test_pods_that_a_limit_range_refuses() -> None:
    refused = told("ds", "FailedCreate", f'Error creating: pods "agent-x" is forbidden: {MEMORY}')
    (found,) = await stopped(daemon_set(2, 0), refused, LIMIT_RANGE)
    assert found.node is None
    assert found.problem.startswith(
        f'DaemonSet agent-ds gets too few pods (FailedCreate: Error creating: pods "agent-x" is forbidden: {MEMORY};'
    )
    assert "LimitRange small allows at most 256Mi of memory for each Container: change the board's resources.limits.memory" in found.problem
    assert await stopped(daemon_set(2, 0)) == (Stopped(),), "its controller may be about to say why"


async def test_the_events_of_a_few_pods_are_read_in_a_pass_and_those_of_all_in_turn() -> None:
    names = tuple(f"pi-{number:02}" for number in range(EVENTS_READ + 2))
    objects = [each for name in names for each in (agent(name, CREATING), told(f"agent-{name}", "FailedMount", MOUNT))]
    for passes, lacking in ((1, names[:EVENTS_READ]), (2, names), (3, names)):
        found = await stopped(*objects, nodes=names, passes=passes)
        assert [each.node for each in found if each.lacks_folder] == list(lacking)
        assert len(found) == len(names)


@pytest.mark.parametrize(
    "state", [pytest.param(CREATING, id="its pod was made anew"), pytest.param(KILLED, id="its pod is the one of before its reboot")]
)
async def test_a_board_without_its_folder_is_found_behind_many_agents_that_crash(state: dict[str, Any]) -> None:
    crashing = [f"a{number:02}" for number in range(EVENTS_READ)]
    pods = [agent(on, LOOPS, last={"terminated": {"exitCode": 3}}) for on in crashing]
    found = await stopped(*pods, agent("z", state), told("agent-z", "FailedMount", MOUNT), nodes=(*crashing, "z"))
    assert [each.node for each in found if each.lacks_folder] == ["z"]
