"""What a node is told, who is woken, and what is never taken away by mistake."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bramble.contracts.assignment import KEY, Assignment, Blob, PackageBlobs
from bramble.contracts.canonical import canonical_json
from bramble.gateway.assignments import Assignments, Grant

V1, V2, OTHER = ("sha256:" + digit * 64 for digit in "123")
BLOB_1, BLOB_2 = ("sha256:" + digit * 64 for digit in "ab")


def assignment(**changes: Any) -> Assignment:
    values: dict[str, Any] = {
        "fleet": "living-rooms",
        "namespace": "ads",
        "model": "digits",
        "rollout_uid": "uid-of-rollout",
        "attempt": 2,
        "seq": 5,
        "nodes": {"rpi5": ("pi-0", "pi-1"), "rpi4": ("pi-4",)},
        "stable": {"rpi5": V1, "rpi4": OTHER},
        "candidate": {"rpi5": V2, "rpi4": OTHER},
        "candidate_nodes": ("pi-0",),
        "packages": {
            V1: PackageBlobs(blobs=(Blob(sha256=V1, bytes=10), Blob(sha256=BLOB_1, bytes=100))),
            V2: PackageBlobs(blobs=(Blob(sha256=V2, bytes=20), Blob(sha256=BLOB_2, bytes=200))),
            OTHER: PackageBlobs(blobs=(Blob(sha256=OTHER, bytes=30),)),
        },
    }
    return Assignment(**{**values, **changes})


def config_map(value: Assignment, name: str = "assignment-1") -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": {KEY: canonical_json(value).decode()}}


def known(*values: Assignment) -> Assignments:
    assignments = Assignments()
    assignments.replace(config_map(value, f"assignment-{number}") for number, value in enumerate(values))
    return assignments


def parts(assignments: Assignments, node: str) -> list[Assignment]:
    body = json.loads(assignments.of(node).body)
    assert body["etag"] == assignments.of(node).etag
    return [Assignment.model_validate(part) for part in body["assignments"]]


def test_a_canary_is_told_of_both_versions_and_of_itself_alone() -> None:
    (part,) = parts(known(assignment()), "pi-0")
    assert part.package_of("pi-0") == V2
    assert part.nodes == {"rpi5": ("pi-0",)}
    assert (part.stable, part.candidate, part.candidate_nodes) == ({"rpi5": V1}, {"rpi5": V2}, ("pi-0",))
    assert part.packages.keys() == {V1, V2}


def test_a_node_on_stable_is_not_told_of_the_candidate() -> None:
    (part,) = parts(known(assignment()), "pi-1")
    assert part.package_of("pi-1") == V1
    assert (part.candidate, part.candidate_nodes) == (None, ())
    assert part.packages.keys() == {V1}


def test_a_node_of_no_fleet_is_told_of_nothing() -> None:
    assert parts(known(assignment()), "laptop") == []


@pytest.mark.parametrize(
    ("node", "digest", "granted"),
    [
        pytest.param("pi-0", V2, Grant("ads", 20), id="the package of a canary"),
        pytest.param("pi-0", BLOB_2, Grant("ads", 200), id="what that package lists"),
        pytest.param("pi-0", BLOB_1, Grant("ads", 100), id="the stable package too, to go back to"),
        pytest.param("pi-1", BLOB_2, None, id="the candidate's, on a node that is no canary"),
        pytest.param("pi-1", OTHER, None, id="another board's"),
        pytest.param("laptop", V1, None, id="a node of no fleet"),
        pytest.param("pi-0", "sha256:" + "f" * 64, None, id="what nobody names"),
    ],
)
def test_a_node_may_read_what_its_own_part_names(node: str, digest: str, granted: Grant | None) -> None:
    assert known(assignment()).grants(node, digest) == granted


def test_the_tag_changes_with_what_the_node_is_told_and_with_nothing_else() -> None:
    assignments = known(assignment())
    before = assignments.of("pi-1").etag
    assignments.put(config_map(assignment(candidate_nodes=("pi-0", "pi-4")), "assignment-0"))
    assert assignments.of("pi-1").etag == before
    assignments.put(config_map(assignment(seq=6), "assignment-0"))
    assert assignments.of("pi-1").etag != before


def test_several_models_are_told_in_one_answer() -> None:
    assignments = known(assignment(), assignment(model="letters"))
    assert [part.model for part in parts(assignments, "pi-1")] == ["digits", "letters"]
    assignments.remove("assignment-0")
    assert [part.model for part in parts(assignments, "pi-1")] == ["letters"]


def test_an_assignment_that_cannot_be_read_leaves_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    assignments = known(assignment())
    before = assignments.of("pi-0")
    assignments.put({"metadata": {"name": "assignment-0"}, "data": {KEY: "{"}})
    assignments.put({"metadata": {"name": "assignment-0"}})
    assert assignments.of("pi-0") == before
    assert "stays in force" in caplog.text


def test_what_a_new_list_does_not_hold_is_gone() -> None:
    assignments = known(assignment(), assignment(model="letters"))
    assignments.replace([config_map(assignment(model="letters"), "assignment-1")])
    assert [part.model for part in parts(assignments, "pi-1")] == ["letters"]
    assignments.replace([])
    assert parts(assignments, "pi-1") == []
    assert len(assignments) == 0


async def woken(assignments: Assignments, node: str, act: Any) -> bool:
    task = asyncio.create_task(assignments.wait_for_change(node, 5))
    await asyncio.sleep(0)
    assert assignments.waiting == 1
    act()
    for _ in range(10):  # turns of the loop, no time: whom it wakes, it wakes now
        await asyncio.sleep(0)
    woke = task.done()
    task.cancel()
    await asyncio.wait((task,))
    assert assignments.waiting == 0
    return woke


@pytest.mark.parametrize(
    ("changes", "wakes"),
    [
        pytest.param({"seq": 6}, True, id="a new seq"),
        pytest.param({}, False, id="the same again, as a relist brings it"),
        pytest.param({"nodes": {"rpi4": ("pi-4",)}}, True, id="the node is not of the fleet any more"),
    ],
)
async def test_a_change_wakes_those_it_names(changes: dict[str, Any], wakes: bool) -> None:
    assignments = known(assignment())
    assert await woken(assignments, "pi-1", lambda: assignments.put(config_map(assignment(**changes), "assignment-0"))) is wakes


async def test_a_removed_assignment_a_new_node_and_a_leaving_replica_wake_too() -> None:
    assignments = known(assignment())
    assert await woken(assignments, "pi-1", lambda: assignments.remove("assignment-0"))
    assert await woken(assignments, "pi-9", lambda: assignments.put(config_map(assignment(nodes={"rpi5": ("pi-9",)}))))
    assert await woken(assignments, "laptop", assignments.wake_all)


async def test_waiting_ends_by_itself() -> None:
    assignments = known()
    await assignments.wait_for_change("pi-0", 0.01)
    assert assignments.waiting == 0
