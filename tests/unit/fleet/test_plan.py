"""What a Fleet needs next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bramble.api.fleet import KIND, Status
from bramble.api.labels import AGENT, APPLIED, FINALIZER, agent_label
from bramble.api.objects import Invalid, metadata_of, parse
from bramble.contracts.pod import TELEMETRY_OFF
from bramble.engine.status import shorten
from bramble.kinds.fleet.agents import Stopped
from bramble.kinds.fleet.folders import MISSING, PREPARED_AT_ONCE, RETRY_AFTER, folder_of
from bramble.kinds.fleet.node import PREPARED, Node
from bramble.kinds.fleet.nodes import MEMORY_MIB, PAGE_SIZE, PATCHED_AT_ONCE
from bramble.kinds.fleet.observed import Child, Leaving, Observed, SetupJob
from bramble.kinds.fleet.plan import LOOK_AGAIN, plan
from bramble.kinds.fleet.render import setup_job
from bramble.kinds.fleet.status import EXCLUDED_SHOWN
from bramble.kinds.plan import Apply, CreateOnce, Delete, Item, PatchFields, Plan, manifest_digest
from bramble.kube.resources import NODE, Key
from tests.unit.fleet.rows import NOW, devices, fleet, fleet_manifest, node, observed, prepared, with_image

FACTS = {MEMORY_MIB: "8192", PAGE_SIZE: "16384"}


def labelled(item: dict[str, Any]) -> dict[str, Any]:
    item["metadata"]["labels"].update(FACTS)
    return item


def of(plan: Plan, kind: type[Item], name: str = "") -> list[Any]:
    items: list[Any] = [item for item in plan.items if isinstance(item, kind)]
    return [item for item in items if item.manifest["kind"] == name] if name else items


def patches(plan: Plan) -> dict[str, Any]:
    found = of(plan, PatchFields)
    assert all(item.alone for item in found if item.key.kind == NODE.kind), "one node that changes must not stop the others"
    return {item.key.name: item.patch["metadata"] for item in found}


def ready(plan: Plan) -> tuple[str, str, str]:
    assert plan.status is not None
    (condition,) = plan.status["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def job(
    seen: Observed, name: str, *, ended: str = "", ago: timedelta = timedelta(), pods: tuple[dict[str, Any], ...] = (), applied: str = ""
) -> SetupJob:
    """The Job that prepares this node's folder. `applied`: the digest of what it was made from."""
    member = next(member for member in seen.membership.members if member.name == name)
    at = (NOW - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"type": ended, "status": "True", "lastTransitionTime": at, "reason": "BackoffLimitExceeded"}] if ended else []
    metadata = {
        "name": folder_of(seen, member).job,
        "namespace": "bramble-edge",
        "uid": f"job-of-{name}",
        "labels": {},
        "annotations": {APPLIED: applied},
    }
    return SetupJob.of({"kind": "Job", "metadata": metadata, "status": {"conditions": conditions}}, pods)


def test_a_finalizer_comes_first_so_that_nodes_can_be_given_back() -> None:
    manifest = fleet_manifest()
    manifest["metadata"]["finalizers"] = ["somebody.else/s"]
    bare = parse(KIND, manifest)
    assert not isinstance(bare, Invalid)
    (item,) = plan(observed([node("a")], of=bare), NOW).items
    assert isinstance(item, PatchFields)
    assert item.patch == {"metadata": {"finalizers": ["somebody.else/s", FINALIZER]}}


def test_a_new_fleet_has_its_children_before_anything_runs() -> None:
    planned = plan(observed([node("a"), node("b", "rpi4")]), NOW)
    assert [(item.manifest["kind"], item.manifest["metadata"]["name"]) for item in of(planned, Apply)] == [
        ("ConfigMap", "gateway-ca-living-rooms"),
        ("Service", "agent-living-rooms"),
        ("DaemonSet", "agent-living-rooms-rpi5"),
        ("DaemonSet", "agent-living-rooms-rpi4"),
    ]
    assert {item.manifest["metadata"]["namespace"] for item in of(planned, Apply)} == {"bramble-edge"}
    assert len(of(planned, CreateOnce, "Job")) == 2
    assert patches(planned) == {}, "no agent before its folder"
    assert ready(planned)[:2] == ("False", "AgentsStarting")


def test_libraries_of_a_device_are_told_not_to_report_to_their_makers() -> None:
    planned = plan(observed([node("a")]), NOW)
    workloads = [
        item.manifest for item in planned.items if isinstance(item, Apply | CreateOnce) and "template" in item.manifest.get("spec", {})
    ]
    assert {workload["kind"] for workload in workloads} == {"DaemonSet", "Job"}
    for workload in workloads:
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert TELEMETRY_OFF.items() <= {each["name"]: each.get("value") for each in container["env"]}.items()


def test_the_folder_is_prepared_on_its_node_and_nowhere_else() -> None:
    (item,) = of(plan(observed([node("a")]), NOW), CreateOnce, "Job")
    pod = item.manifest["spec"]["template"]["spec"]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    assert pod["serviceAccountName"] == "bramble-node-setup"


@pytest.mark.parametrize(
    ("ended", "ago", "patched", "retried"),
    [
        pytest.param("", timedelta(), False, False, id="its Job runs"),
        pytest.param("Complete", timedelta(), True, False, id="its Job is done: the node is marked and gets its agent"),
        pytest.param("Failed", timedelta(seconds=10), False, False, id="its Job has just failed"),
        pytest.param("Failed", RETRY_AFTER - timedelta(seconds=1), False, False, id="its Job failed almost five minutes ago"),
        pytest.param("Failed", RETRY_AFTER, False, True, id="its Job failed five minutes ago"),
    ],
)
def test_a_preparation_is_followed_to_its_end(ended: str, ago: timedelta, patched: bool, retried: bool) -> None:
    seen = observed([node("a")])
    planned = plan(observed([node("a")], setups=(job(seen, "a", ended=ended, ago=ago),)), NOW)
    mark = folder_of(seen, seen.membership.members[0]).mark
    assert patches(planned) == ({"a": {"labels": {AGENT: "living-rooms.rpi5"}, "annotations": {PREPARED: mark}}} if patched else {})
    assert [item.uid for item in of(planned, Delete)] == (["job-of-a"] if retried else [])
    assert of(planned, CreateOnce) == []
    assert planned.wake_at == (NOW - ago + RETRY_AFTER if ended == "Failed" and not retried else None)


LACKS = Stopped(node="a", problem="pod agent-x does not start", lacks_folder=True)


@pytest.mark.parametrize(
    ("setup", "made", "deleted_", "due"),
    [
        pytest.param(None, True, False, None, id="the Job of its first preparation is gone"),
        pytest.param(("Complete", RETRY_AFTER), False, True, None, id="that Job is still there, and ended five minutes ago"),
        pytest.param(
            ("Complete", timedelta(seconds=20)),
            False,
            False,
            RETRY_AFTER - timedelta(seconds=20),
            id="it has just ended: the kubelet looks again",
        ),
        pytest.param(("", timedelta()), False, False, None, id="it is being prepared again"),
    ],
)
def test_a_board_that_lost_its_folder_is_prepared_again(setup: Any, made: bool, deleted_: bool, due: timedelta | None) -> None:
    """Its name, its machine id and so its mark are those that it had before."""
    item = labelled(prepared(node("a")))
    seen = observed([item])
    jobs = (job(seen, "a", ended=setup[0], ago=setup[1]),) if setup is not None else ()
    planned = plan(observed([item], setups=jobs, stopped=(LACKS,)), NOW)
    assert len(of(planned, CreateOnce, "Job")) == made
    assert [each.uid for each in of(planned, Delete)] == (["job-of-a"] if deleted_ else [])
    assert patches(planned) == {}, "its agent's pod stays: the kubelet starts it once the folder is there"
    assert planned.wake_at is not None
    assert planned.wake_at == NOW + min(due or LOOK_AGAIN, LOOK_AGAIN)
    assert planned.status is not None
    assert planned.status["excluded"] == [{"node": "a", "reason": MISSING}]


def test_a_board_that_lost_its_folder_is_prepared_again_once_its_node_answers() -> None:
    assert of(plan(observed([labelled(prepared(node("a", ready=False)))], stopped=(LACKS,)), NOW), CreateOnce) == []


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        pytest.param(
            {}, ("False", "AgentsStarting", "0 of 2 nodes online yet; waiting for the agents of a, b: no image"), id="none was heard"
        ),
        pytest.param({"a": 99, "b": 99}, ("False", "NoneOnline", "0 of 2 nodes online; offline: a, b: no image"), id="none answers"),
        pytest.param({"b": 1}, ("True", "SomeOffline", "1 of 2 nodes online; offline: a: no image"), id="another one answers"),
    ],
)
def test_why_an_agent_does_not_run(ages: dict[str, float], expected: tuple[str, str, str]) -> None:
    items = [labelled(prepared(node(name))) for name in ("a", "b")]
    planned = plan(observed(items, ages=ages, stopped=(Stopped(node="a", problem="no image"), Stopped(node="b"))), NOW)
    assert ready(planned) == expected
    assert planned.status is not None
    assert planned.status["excluded"] == [{"node": "a", "reason": "its agent does not run: no image"}]
    assert planned.wake_at == NOW + LOOK_AGAIN, "no Event wakes the fleet"


def test_the_status_has_room_for_the_reasons_of_many_agents() -> None:
    """A container runtime says the whole reference of an image four times."""
    nodes = [labelled(prepared(node(f"pi-{number:02}"))) for number in range(EXCLUDED_SHOWN)]
    stopped = tuple(Stopped(node=each["metadata"]["name"], problem="x" * 900) for each in nodes)
    status = plan(observed(nodes, stopped=stopped), NOW).status
    assert status is not None
    assert len(shorten(status, Status.MEMORY)["excluded"]) == EXCLUDED_SHOWN


def test_how_many_more_agents_do_not_run() -> None:
    stopped = (Stopped(problem="DaemonSet agent-x gets too few pods"), Stopped(node="a", problem="no image"))
    assert ready(plan(observed([node("a")], stopped=stopped), NOW))[2].endswith("too few pods; 1 more agents do not run")


def pod(message: str, uid: str = "job-of-a") -> dict[str, Any]:
    """A pod of a Job that prepares a folder."""
    ended = {"name": "node-setup", "state": {"terminated": {"message": message}}}
    return {"metadata": {"name": "p", "ownerReferences": [{"uid": uid}]}, "status": {"containerStatuses": [ended]}}


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        pytest.param((pod("read-only file system\n"),), "read-only file system", id="its pod says why"),
        pytest.param((pod("no space"), pod("read-only file system"), pod("")), "read-only file system", id="the last pod that says why"),
        pytest.param((pod("another node's", "job-of-b"),), "BackoffLimitExceeded", id="only the Job says why"),
    ],
)
def test_a_failed_preparation_is_reported(pods: tuple[dict[str, Any], ...], reason: str) -> None:
    seen = observed([node("a")])
    planned = plan(observed([node("a")], setups=(job(seen, "a", ended="Failed", pods=pods),)), NOW)
    assert planned.status is not None
    assert planned.status["excluded"] == [{"node": "a", "reason": f"the node's folder could not be prepared: {reason}"}]


def test_a_setup_pod_without_a_status_says_nothing() -> None:
    job_ = {
        "kind": "Job",
        "metadata": {"name": "j", "uid": "u"},
        "status": {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    }
    assert SetupJob.of(job_, [{"metadata": {"ownerReferences": [{"uid": "u"}]}}]).problem == "the Job gives no reason"


def test_a_prepared_node_needs_nothing_more() -> None:
    planned = plan(observed([labelled(prepared(node("a")))], ages={"a": 2}), NOW)
    assert patches(planned) == {}
    assert of(planned, CreateOnce) == []
    assert ready(planned) == ("True", "AllOnline", "1 of 1 nodes online")


@pytest.mark.parametrize("ended", ["", "Failed", None])
def test_an_agent_goes_on_while_a_newer_image_prepares_its_folder_again(ended: str | None) -> None:
    newer = "bramble/edge@sha256:" + "9" * 64
    seen = with_image(observed([labelled(prepared(node("a")))], ages={"a": 2}), newer)
    setups = () if ended is None else (job(seen, "a", ended=ended),)
    planned = plan(with_image(observed([labelled(prepared(node("a")))], ages={"a": 2}, setups=setups), newer), NOW)
    assert patches(planned) == {}
    assert len(of(planned, CreateOnce, "Job")) == (1 if ended is None else 0)


def test_a_node_that_was_replaced_is_prepared_anew() -> None:
    before = prepared(node("a"))
    replaced = {**before, "metadata": {**before["metadata"], "uid": "another"}}
    assert len(of(plan(observed([replaced]), NOW), CreateOnce, "Job")) == 1


def test_a_node_that_does_not_answer_is_not_prepared() -> None:
    assert of(plan(observed([node("a", ready=False)]), NOW), CreateOnce) == []


def test_a_large_fleet_is_prepared_some_at_a_time() -> None:
    nodes = [node(f"pi-{number}") for number in range(PREPARED_AT_ONCE * 3)]
    seen = observed(nodes)
    running = tuple(job(seen, f"pi-{number}") for number in range(10))
    ended = tuple(job(seen, f"pi-{number}", ended="Failed") for number in range(10, 15))
    assert len(of(plan(observed(nodes, setups=(*running, *ended)), NOW), CreateOnce, "Job")) == PREPARED_AT_ONCE - 10


@pytest.mark.parametrize("number", [PATCHED_AT_ONCE, PATCHED_AT_ONCE + 1])
def test_at_most_a_hundred_nodes_are_patched_in_one_pass(number: int) -> None:
    nodes = [prepared(node(f"pi-{each}"), agent=False) for each in range(number)]
    assert len(patches(plan(observed(nodes), NOW))) == PATCHED_AT_ONCE
    assert len(patches(plan(deleted(*(prepared(node(f"pi-{each}")) for each in range(number))), NOW))) == PATCHED_AT_ONCE


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(node("a", labels={"bramble.dev/fleet": "other"}), id="it left the fleet"),
        pytest.param(node("a", "jetson"), id="it is another board now"),
    ],
)
def test_a_node_that_left_loses_its_agent(changed: dict[str, Any]) -> None:
    changed["metadata"]["labels"][AGENT] = "living-rooms.rpi5"
    assert patches(plan(observed([changed]), NOW)) == {"a": {"labels": {AGENT: None}}}


def test_a_node_of_another_board_gets_the_other_agent() -> None:
    moved = prepared(node("a", "rpi4"), "rpi5")
    assert patches(plan(observed([moved]), NOW)) == {"a": {"labels": {AGENT: "living-rooms.rpi4"}}}


def test_the_agent_of_a_board_that_is_no_more_goes() -> None:
    gone = Child(Key("DaemonSet", "bramble-edge", "agent-living-rooms-jetson"), "u")
    kept = Child(Key("DaemonSet", "bramble-edge", "agent-living-rooms-rpi5"), "v")
    assert [item.uid for item in of(plan(observed([node("a")], daemon_sets=(gone, kept)), NOW), Delete)] == ["u"]


def test_without_a_ca_no_agent_is_started() -> None:
    planned = plan(observed([node("a")], gateway_ca=""), NOW)
    assert planned.items == ()
    assert ready(planned)[:2] == ("False", "NoGatewayCA")


@pytest.mark.parametrize(
    ("ages", "proves", "expected"),
    [
        pytest.param({"a": 1, "b": 14.9}, True, ("True", "AllOnline", "2 of 2 nodes online"), id="all have reported"),
        pytest.param({"a": 1, "b": 15}, True, ("True", "SomeOffline", "1 of 2 nodes online; offline: b"), id="one was silent for 15 s"),
        pytest.param({"a": 1}, True, ("True", "SomeOffline", "1 of 2 nodes online; offline: b"), id="one has never reported"),
        pytest.param({"a": 20, "b": 16}, True, ("False", "NoneOnline", "0 of 2 nodes online; offline: a, b"), id="all are silent"),
        pytest.param({"b": 16}, True, ("False", "NoneOnline", "0 of 2 nodes online; offline: a, b"), id="one is silent, one never spoke"),
        pytest.param({}, True, ("False", "AgentsStarting", "0 of 2 nodes online yet; waiting for the agents of a, b"), id="none reported"),
        pytest.param({"a": 1, "b": 16}, False, ("Unknown", "SilenceUnproven", "b unknown"), id="the silence is not proven"),
        pytest.param({"a": 1, "b": 2}, False, ("True", "AllOnline", "2 of 2 nodes online"), id="no silence has to be proven"),
    ],
)
def test_who_is_online(ages: dict[str, float], proves: bool, expected: tuple[str, str, str]) -> None:
    found = ready(plan(observed([node("a"), node("b")], devices=devices(ages, proves_silence=proves)), NOW))
    assert found[:2] == expected[:2]
    assert expected[2] in found[2]


def test_figures_are_by_board() -> None:
    planned = plan(observed([node("a"), node("b"), node("c", "rpi4")], ages={"a": 1, "c": 1}), NOW)
    assert planned.status is not None
    assert {name: planned.status[name] for name in ("nodes", "online")} == {"nodes": 3, "online": 2}
    boards = [{"name": "rpi5", "nodes": 2, "online": 1}, {"name": "rpi4", "nodes": 1, "online": 1}]
    assert planned.status["boards"] == boards


@pytest.mark.parametrize(("number", "named"), [(10, "pi-00, pi-01"), (11, "pi-09 and 1 more")])
def test_at_most_ten_nodes_are_named(number: int, named: str) -> None:
    message = ready(plan(observed([node(f"pi-{each:02}") for each in range(number)]), NOW))[2]
    assert named in message
    assert ("more" in message) is (number > 10)


def test_at_most_fifty_excluded_nodes_are_listed() -> None:
    planned = plan(observed([node(f"pi-{each}", "jetson") for each in range(51)]), NOW)
    assert planned.status is not None
    assert len(planned.status["excluded"]) == 50


def test_a_fleet_without_nodes_says_which_labels_make_one() -> None:
    assert ready(plan(observed(), NOW))[1:] == (
        "NoNodes",
        "the fleet has no nodes yet: label nodes bramble.dev/fleet=living-rooms, and with the labels of one of its boards",
    )


def test_an_invalid_spec_is_a_condition() -> None:
    seen: Invalid[Status] = Invalid(metadata_of(fleet_manifest()), Status(), "spec.boards: []: too short")
    assert ready(plan(seen, NOW)) == ("False", "InvalidSpec", "spec.boards: []: too short")


def deleted(*labelled: dict[str, Any], finalizers: tuple[str, ...] = (FINALIZER,), **spec: Any) -> Leaving:
    manifest = fleet_manifest(**spec)
    manifest["metadata"].update(deletionTimestamp="2026-11-21T11:00:00Z", finalizers=list(finalizers))
    return Leaving(parse(KIND, manifest), tuple(Node.of(item) for item in labelled))


@pytest.mark.parametrize("spec", [pytest.param({}, id="its spec can be used"), pytest.param({"boards": []}, id="its spec cannot be used")])
def test_a_deleted_fleet_takes_its_agents_off_and_goes(spec: dict[str, Any]) -> None:
    first = plan(deleted(prepared(node("a")), **spec), NOW)
    assert patches(first) == {"a": {"labels": {AGENT: None}}}
    (last,) = plan(deleted(**spec), NOW).items
    assert last.patch == {"metadata": {"finalizers": []}}  # type: ignore[union-attr]
    assert plan(deleted(finalizers=(), **spec), NOW).items == ()


def test_names_and_keys_hold_for_the_longest_names() -> None:
    own = fleet("f" * 40, boards=[{"name": "b" * 40, "selector": {"bramble.dev/board": "rpi5"}}])
    for item in plan(observed([node("n" * 200)], of=own), NOW).items:
        assert isinstance(item, Apply | CreateOnce)
        assert len(item.manifest["metadata"]["name"]) <= 52


def test_the_agents_label_fits_and_tells_boards_apart() -> None:
    first, second = (agent_label("f" * 40, "b" * 39 + last) for last in "xy")
    assert first != second
    assert len(first) <= 63
    assert agent_label("living-rooms", "rpi5") == "living-rooms.rpi5"


@pytest.mark.parametrize(
    ("applied", "pods", "deleted"),
    [
        pytest.param("of other resources", (), True, id="it would be made otherwise now"),
        pytest.param("", (), False, id="an earlier operator made it"),
        pytest.param("of other resources", (pod("x"),), False, id="it has a pod"),
    ],
)
def test_a_preparation_without_a_pod_is_made_anew_once_the_chart_is_corrected(
    applied: str, pods: tuple[dict[str, Any], ...], deleted: bool
) -> None:
    seen = observed([node("a")])
    planned = plan(observed([node("a")], setups=(job(seen, "a", applied=applied, pods=pods),)), NOW)
    assert [item.uid for item in of(planned, Delete)] == (["job-of-a"] if deleted else [])


def test_a_preparation_without_a_pod_waits_while_it_would_be_made_so_again() -> None:
    seen = observed([node("a")])
    made = manifest_digest(setup_job(seen, folder_of(seen, seen.membership.members[0])).manifest)
    assert of(plan(observed([node("a")], setups=(job(seen, "a", applied=made),)), NOW), Delete) == []


def test_a_preparation_whose_pod_is_refused_says_why_and_is_looked_at_again() -> None:
    seen = observed([node("a")])
    refused = replace(job(seen, "a"), problem="FailedCreate: exceeded quota: edge")
    assert refused.without_pod is not None
    refused = replace(refused, without_pod=replace(refused.without_pod, since=NOW - timedelta(seconds=100)))
    planned = plan(observed([node("a")], setups=(refused,)), NOW)
    assert planned.status is not None
    (excluded,) = planned.status["excluded"]
    assert excluded["node"] == "a"
    assert excluded["reason"].endswith("has no pod (FailedCreate: exceeded quota: edge)")
    assert planned.wake_at == NOW + timedelta(seconds=20)


def test_a_preparation_without_a_pod_is_looked_at_again_before_anybody_says_why() -> None:
    seen = observed([node("a")])
    waits = job(seen, "a")
    assert waits.without_pod is not None
    waits = replace(waits, without_pod=replace(waits.without_pod, since=NOW - timedelta(seconds=10)))
    planned = plan(observed([node("a")], setups=(waits,)), NOW)
    assert planned.status is not None
    assert (planned.status.get("excluded"), planned.wake_at) == (None, NOW + timedelta(seconds=2))


@pytest.mark.parametrize(("ended", "deleted"), [("", ["job-of-b"]), ("Complete", [])])
def test_a_preparation_of_a_node_that_left_is_deleted_while_it_has_not_ended(ended: str, deleted: list[str]) -> None:
    before = observed([node("a"), node("b")])
    setups = job(before, "a"), job(before, "b", ended=ended)
    assert [item.uid for item in of(plan(observed([node("a")], setups=setups), NOW), Delete)] == deleted
