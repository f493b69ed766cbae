"""What is read of a Fleet, and what of the edge namespace is none of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bramble.api.fleet import Excluded
from bramble.api.labels import AGENT, MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.api.objects import Invalid, Object
from bramble.kinds.fleet.controller import CONTROLLER, depends_on
from bramble.kinds.fleet.folders import folder_of
from bramble.kinds.fleet.membership import Member, Membership
from bramble.kinds.fleet.node import PREPARED, Node
from bramble.kinds.fleet.observed import Child, Leaving, Observed, SetupJob
from bramble.kinds.jobs.job import Job
from bramble.kinds.sources import Devices
from bramble.kube.resources import DAEMON_SET, NODE, SERVICE, Key
from tests.unit.engine.replica import SETTINGS
from tests.unit.fleet.rows import fleet_manifest, node
from tests.unit.jobs.reading import gathered

row = pytest.param
KEY = Key("Fleet", "", "living-rooms")
UID = "uid-of-living-rooms"
ENDS = {"deletionTimestamp": "2026-11-21T11:00:00Z"}
FAILED = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-11-21T11:00:00Z", "reason": "BackoffLimitExceeded"}


async def seen_of(*objects: dict[str, Any], **metadata: Any) -> Any:
    fleet = fleet_manifest()
    fleet["metadata"] |= metadata
    return await gathered(CONTROLLER, KEY, [fleet, *objects], also=(NODE, SERVICE, DAEMON_SET))


def child(kind: str, name: str, uid: str = UID, namespace: str = "bramble-edge", step: str = "", **more: Any) -> dict[str, Any]:
    """An object that this Fleet, or the one of another uid, has made."""
    labels = {**MANAGED_BY_BRAMBLE, OWNER_UID: uid, **({STEP: step} if step else {})}
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "labels": labels, **more.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **more}


def setup(name: str, **more: Any) -> dict[str, Any]:
    return child("Job", name, **{"step": "node-setup", **more})


def pod(of: str, message: str, **more: Any) -> dict[str, Any]:
    """A pod of the Job of this name that ended with a message."""
    status = {"containerStatuses": [{"state": {"terminated": {"message": message}}}]}
    owners = {"ownerReferences": [{"uid": f"uid-of-{of}"}]}
    return child("Pod", f"{of}-{message}", **{"step": "node-setup", "metadata": owners, "status": status, **more})


def read(manifest: dict[str, Any], version: str = "3", **changes: Any) -> Node:
    """The node as it is read."""
    metadata = manifest["metadata"]
    values = {"name": metadata["name"], "uid": metadata["uid"], "resource_version": version, "labels": metadata["labels"]}
    return Node(**{**values, "machine_id": "m", "ready": True, **changes})


async def test_a_fleet_is_read_with_its_own_objects_alone() -> None:
    of_us, of_others = node("a", labels={AGENT: "living-rooms.rpi5"}), node("b", labels={AGENT: "living-rooms-2.rpi5"})
    left = node("c", "jetson", labels={AGENT: "living-rooms.rpi5"})
    seen = await seen_of(
        of_us,
        of_others,
        left,
        fleet_manifest("older", "2026-10-01T00:00:00Z", nodeSelector={AGENT: "living-rooms-2.rpi5"}),
        child("DaemonSet", "ours"),
        child("DaemonSet", "of-another-fleet", uid="uid-of-kitchens"),
        child("DaemonSet", "of-another-namespace", namespace="default"),
        child("DaemonSet", "leaving", metadata=ENDS),
        setup("failed", status={"conditions": [FAILED]}),
        setup("runs"),
        setup("of-another-step", step="other"),
        setup("of-another-fleet", uid="uid-of-kitchens"),
        setup("of-another-namespace", namespace="default"),
        pod("failed", "read-only"),
        pod("failed", "not-of-this-step", step="other"),
        pod("failed", "of-another-namespace", namespace="default"),
    )
    assert isinstance(seen, Observed)
    version = {each.name: each.resource_version for each in (*(member.node for member in seen.membership.members), *seen.labelled)}
    ours, leaver = read(of_us, version["a"]), read(left, version["c"])
    at, reasons = datetime(2026, 11, 21, 11, tzinfo=UTC), {each.node: each.reason for each in seen.membership.excluded}
    assert reasons["b"].startswith("Fleet older is older")
    runs = SetupJob(key=Key("Job", "bramble-edge", "runs"), uid="uid-of-runs", without_pod=Job(name="runs"))
    failed = SetupJob(key=Key("Job", "bramble-edge", "failed"), uid="uid-of-failed", state="failed", failed_at=at, problem="read-only")
    assert seen == Observed(
        fleet=seen.fleet,
        membership=Membership((Member(ours, "rpi5"),), tuple(Excluded(node=name, reason=reasons[name]) for name in "bc")),
        labelled=(ours, leaver),
        daemon_sets=(Child(Key("DaemonSet", "bramble-edge", "ours"), "uid-of-ours"),),
        setups=(failed, runs),
        devices=Devices({}, proves_silence=False),
        gateway_ca="",
        settings=SETTINGS,
    )
    assert (seen.owner.kind, seen.owner.namespace, seen.owner.name, seen.owner.uid) == ("Fleet", "", "living-rooms", UID)


async def test_a_fleet_that_is_gone_cannot_be_used_or_is_being_deleted() -> None:
    labelled = node("a", labels={AGENT: "living-rooms.rpi5"})
    assert await gathered(CONTROLLER, KEY, [], also=(NODE, SERVICE, DAEMON_SET)) is None
    invalid = fleet_manifest(boards=[])
    assert isinstance(await gathered(CONTROLLER, KEY, [invalid], also=(NODE, SERVICE, DAEMON_SET)), Invalid)
    leaving = await seen_of(labelled, node("b"), **ENDS)
    assert isinstance(leaving, Leaving)
    assert isinstance(leaving.fleet, Object)
    assert [each.name for each in leaving.labelled] == ["a"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        row({}, {}, id="a node as any other"),
        row({"metadata": {"annotations": {PREPARED: "mark"}}}, {"prepared": "mark"}, id="its folder was prepared"),
        row({"metadata": {"annotations": None, "labels": None}}, {"labels": {}}, id="it has neither labels nor annotations"),
        row({"metadata": ENDS}, {"deleted": True}, id="it is being deleted"),
        row({"status": None}, {"ready": False, "machine_id": ""}, id="it has no status yet"),
        row({"status": {"nodeInfo": {}}}, {"ready": False, "machine_id": ""}, id="its kubelet has not reported yet"),
    ],
)
def test_a_node(change: dict[str, Any], expected: dict[str, Any]) -> None:
    manifest = node("a")
    plain = read(manifest, "3", **expected)
    changed = {**manifest, **change, "metadata": {**manifest["metadata"], **change.get("metadata", {})}}
    if changed["status"] is None:
        del changed["status"]
    assert Node.of(changed) == plain


def test_what_wakes_a_fleet() -> None:
    assert depends_on(fleet_manifest()) == (Key("Node", "", "*"), Key("Fleet", "", "*"), Key("Report", "", "living-rooms"))


async def test_why_a_preparation_has_no_pod_is_read_of_the_first_alone() -> None:
    told = {"type": "Warning", "reason": "FailedCreate", "note": "exceeded quota: edge"}
    metadata = {"name": "of-first", "namespace": "bramble-edge"}
    nodes = node("a"), node("b")
    members = await seen_of(*nodes)
    first, second = (folder_of(members, each).job for each in members.membership.members)
    event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "regarding": {"uid": f"uid-of-{min(first, second)}"}, **told}
    seen = await seen_of(*nodes, setup("a-node-that-left"), setup(first), setup(second), event)
    assert isinstance(seen, Observed)
    assert {job.name: job.problem for job in seen.setups} == {
        "a-node-that-left": "",
        min(first, second): "FailedCreate: exceeded quota: edge",
        max(first, second): "",
    }
