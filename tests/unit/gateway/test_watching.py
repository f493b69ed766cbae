"""The assignments follow the API server through broken watches, and stand still while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bramble.errors import ApiUnavailable
from bramble.gateway import watching
from bramble.gateway.assignments import Assignments
from bramble.kube.api import Listing
from bramble.kube.resources import Resource
from tests.unit.gateway.conftest import until
from tests.unit.gateway.test_assignments import assignment, config_map


def at(version: int, name: str = "a", **changes: Any) -> dict[str, Any]:
    manifest = config_map(assignment(**changes), name)
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(version)}}


Event = tuple[str, dict[str, Any]]


@dataclass
class Script:
    """What an API server says: to each list, then to each watch. Then it is silent."""

    lists: list[Listing | ApiUnavailable]
    watches: list[list[Event | ApiUnavailable]]
    asked: list[int] = field(default_factory=list)

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:  # noqa: ARG002
        assert (resource.kind, namespace, label_selector) == ("ConfigMap", "bramble-system", "bramble.dev/assignment")
        answer = self.lists.pop(0)
        if isinstance(answer, ApiUnavailable):
            raise answer
        return answer

    async def watch(
        self, resource: Resource, namespace: str, label_selector: str, since: int, seconds: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        assert (resource.kind, namespace, label_selector, seconds) == ("ConfigMap", "bramble-system", "bramble.dev/assignment", 300)
        self.asked.append(since)
        if not self.watches:
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            if isinstance(event, ApiUnavailable):
                raise event
            yield event


AWAY = ApiUnavailable("the API server is away")


def listing(version: int, *items: dict[str, Any]) -> Listing:
    return Listing(items, version)


async def followed(script: Script, watches: int) -> Assignments:
    """The assignments once so many watches have been begun."""
    assignments = Assignments()
    task = asyncio.create_task(watching.follow(script, "bramble-system", assignments, random_share=lambda: 0.0))
    await until(lambda: len(script.asked) == watches or task.done())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return assignments


def seqs(assignments: Assignments) -> dict[str, int]:
    return {name: value.seq for name, value in assignments._by_name.items()}


async def test_a_watch_goes_on_from_where_the_last_one_ended() -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "30"}})
    script = Script([listing(10, at(9))], [[("MODIFIED", at(20, seq=6))], [bookmark], [("ADDED", at(31, "b"))]])
    assert seqs(await followed(script, 4)) == {"a": 6, "b": 5}
    assert script.asked == [10, 20, 30, 31]


async def test_what_is_deleted_is_gone() -> None:
    script = Script([listing(10, at(9), at(8, "b"))], [[("DELETED", at(11))]])
    assert seqs(await followed(script, 2)) == {"b": 5}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_WAIT", 0.001)


@pytest.mark.usefixtures("at_once")
async def test_a_watch_that_lost_its_place_lists_again_and_misses_nothing() -> None:
    gone = ApiUnavailable("410 Expired")
    script = Script([listing(10, at(9), at(8, "b")), listing(50, at(49, seq=9))], [[gone]])
    assert seqs(await followed(script, 2)) == {"a": 9}
    assert script.asked == [10, 50]


@pytest.mark.usefixtures("at_once")
async def test_while_the_api_server_is_away_the_last_stays_in_force() -> None:
    script = Script([listing(10, at(9)), AWAY, AWAY, listing(10, at(9))], [[AWAY]])
    assert seqs(await followed(script, 2)) == {"a": 5}


@pytest.mark.usefixtures("at_once")
async def test_nothing_is_synced_before_the_first_list() -> None:
    assignments = Assignments()
    script = Script([AWAY, AWAY, AWAY, listing(1)], [])
    task = asyncio.create_task(watching.follow(script, "bramble-system", assignments, random_share=lambda: 0.0))
    await asyncio.sleep(0)
    assert not assignments.synced.is_set()
    await asyncio.wait_for(assignments.synced.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
