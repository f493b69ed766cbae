"""Children on a real API server: created once, applied as ours, never taken from others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from bramble.api.labels import owner_labels
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.errors import Conflict, NameConflict, NotLeader
from bramble.kinds.plan import Apply, CreateOnce, Delete, PatchFields, Plan
from bramble.kube.client import Client
from bramble.kube.resources import CONFIG_MAP, Key, Manifest, key_of
from tests.engine.running import client
from tools.cluster.providers.base import AnyCluster

pytestmark = pytest.mark.cluster


class Leads:
    def check(self) -> None:
        return


class LeadsNoMore:
    def check(self) -> None:
        raise NotLeader("the Lease's deadline has passed")


class NoStore:
    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        raise AssertionError(f"{namespace}/{key} ({len(content)} bytes) was not to be filed")


def executor(api: Client, guard: Any = None) -> Executor:
    changes, rules = Changes(Cache(), WorkQueue(), {}), Rules(status_seconds=0, instance="test")
    return Executor(api, NoStore(), changes, guard or Leads(), Faults(), Metrics(), rules)


def child(namespace: str, data: Mapping[str, str], name: str = "child", uid: str = "owner-1") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": owner_labels("Rollout", "digits", uid)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


PLANNED: Manifest = {"kind": "Rollout", "metadata": {"name": "digits", "namespace": "any", "uid": "owner-1"}}


@pytest.fixture
async def api(server: AnyCluster) -> AsyncIterator[Client]:
    async with client(server) as opened:
        yield opened


async def read(api: Client, namespace: str, name: str = "child") -> Manifest:
    found = await api.get(CONFIG_MAP, namespace, name)
    assert found is not None
    return found


async def carry_out(api: Client, *items: Any, seen: Mapping[Key, Manifest | None] | None = None, guard: Any = None) -> None:
    await executor(api, guard).execute(PLANNED, Plan(items=tuple(items)), seen or {})


async def test_an_apply_creates_then_changes_then_removes_a_field(api: Client, namespace: str) -> None:
    await carry_out(api, Apply(child(namespace, {"a": "1", "b": "1"})))
    await carry_out(api, Apply(child(namespace, {"a": "2"})))
    assert (await read(api, namespace))["data"] == {"a": "2"}


async def test_an_equal_apply_writes_nothing(api: Client, namespace: str) -> None:
    await carry_out(api, Apply(child(namespace, {"a": "1"})))
    before = await read(api, namespace)
    await carry_out(api, Apply(child(namespace, {"a": "1"})))
    assert (await read(api, namespace))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_what_somebody_changed_is_put_right(api: Client, namespace: str) -> None:
    await carry_out(api, Apply(child(namespace, {"a": "1"})))
    await api.merge(CONFIG_MAP, namespace, "child", {"data": {"a": "edited"}})
    await carry_out(api, Apply(child(namespace, {"a": "1"})))
    assert (await read(api, namespace))["data"] == {"a": "1"}


async def test_an_apply_onto_a_state_that_has_passed_changes_nothing(api: Client, namespace: str) -> None:
    """What a leader planned before it stalled must not undo what the next one did."""
    await carry_out(api, Apply(child(namespace, {"seq": "1"})))
    stale = await read(api, namespace)
    await carry_out(api, Apply(child(namespace, {"seq": "2"})))
    with pytest.raises(Conflict):
        await carry_out(api, Apply(child(namespace, {"seq": "old plan"})), seen={key_of(stale): stale})
    assert (await read(api, namespace))["data"] == {"seq": "2"}


@pytest.mark.parametrize("item", [Apply, CreateOnce])
async def test_somebody_elses_object_is_named_and_left(api: Client, namespace: str, item: Any) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "namespace": namespace}, "data": {"theirs": "1"}}
    await api.create(CONFIG_MAP, theirs)
    with pytest.raises(NameConflict, match=f"ConfigMap {namespace}/child exists and is not ours .* delete or rename it"):
        await carry_out(api, item(child(namespace, {"a": "1"})))
    assert (await read(api, namespace))["data"] == {"theirs": "1"}


async def test_somebody_who_comes_between_is_not_overwritten(api: Client, namespace: str) -> None:
    """The pass saw nothing under the name; when it applies, there is something."""
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "namespace": namespace}, "data": {"a": "theirs"}}
    await api.create(CONFIG_MAP, theirs)
    wanted = child(namespace, {"a": "1"})
    with pytest.raises(NameConflict):
        await carry_out(api, Apply(wanted), seen={key_of(wanted): None})
    assert (await read(api, namespace))["data"] == {"a": "theirs"}


async def test_the_child_of_an_earlier_object_of_the_name_is_waited_for(api: Client, namespace: str) -> None:
    await carry_out(api, CreateOnce(child(namespace, {"a": "1"}, uid="owner-0")))
    with pytest.raises(Conflict, match="belongs to an earlier Rollout of this name and is still being removed"):
        await carry_out(api, CreateOnce(child(namespace, {"a": "1"}, uid="owner-1")))


async def test_a_child_is_created_once_and_never_changed(api: Client, namespace: str) -> None:
    await carry_out(api, CreateOnce(child(namespace, {"a": "1"})))
    await carry_out(api, CreateOnce(child(namespace, {"a": "2"})))
    assert (await read(api, namespace))["data"] == {"a": "1"}


async def test_a_delete_takes_the_uid_it_names_and_no_other(api: Client, namespace: str) -> None:
    await carry_out(api, CreateOnce(child(namespace, {"a": "1"})))
    found = await read(api, namespace)
    await carry_out(api, Delete(key_of(found), "another-uid"))
    assert await api.get(CONFIG_MAP, namespace, "child") is not None
    await carry_out(api, Delete(key_of(found), found["metadata"]["uid"]))
    assert await api.get(CONFIG_MAP, namespace, "child") is None
    await carry_out(api, Delete(key_of(found), found["metadata"]["uid"]))


async def test_a_patch_holds_for_the_version_it_names(api: Client, namespace: str) -> None:
    await carry_out(api, CreateOnce(child(namespace, {"a": "1"})))
    found = await read(api, namespace)
    metadata = found["metadata"]
    patch = PatchFields(key_of(found), metadata["uid"], metadata["resourceVersion"], {"metadata": {"labels": {"x": "1"}}})
    await carry_out(api, patch)
    assert (await read(api, namespace))["metadata"]["labels"]["x"] == "1"
    with pytest.raises(Conflict):
        await carry_out(api, patch)


async def test_who_leads_no_more_writes_nothing(api: Client, namespace: str) -> None:
    with pytest.raises(NotLeader):
        await carry_out(api, CreateOnce(child(namespace, {"a": "1"})), guard=LeadsNoMore())
    assert await api.get(CONFIG_MAP, namespace, "child") is None
