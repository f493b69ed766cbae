"""From any state of the nodes, with a crash at any write, a Fleet ends with its agents where they belong, and nowhere after its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.api.labels import AGENT
from bramble.kinds.fleet.controller import CONTROLLER
from bramble.kinds.fleet.node import PREPARED
from bramble.kube.resources import DAEMON_SET, NODE, SERVICE, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import SETTINGS, CountedFaults, FakeStore, Replica, Time, live_through
from tests.unit.fleet.rows import fleet_manifest, node

FLEET = Key("Fleet", "", "living-rooms")
CHILDREN = {"ConfigMap": 1, "Service": 1, "DaemonSet": 2}

nodes = st.lists(
    st.fixed_dictionaries(
        {
            "board": st.sampled_from(["rpi5", "rpi4", "jetson", None]),
            "member": st.booleans(),
            "ready": st.booleans(),
            "agent": st.sampled_from([None, "living-rooms.rpi5", "living-rooms.rpi4", "living-rooms.gone", "kitchens.rpi5"]),
            "prepared": st.sampled_from([None, "of.another"]),
        }
    ),
    max_size=5,
)
crashes = st.sets(st.integers(min_value=0, max_value=60), max_size=10)


def cluster(drawn: Iterable[dict[str, Any]]) -> FakeApi:
    api = FakeApi()
    manifest = fleet_manifest()
    del manifest["metadata"]["finalizers"]
    api.put(manifest)
    for number, each in enumerate(drawn):
        made = node(f"pi-{number}", each["board"], ready=each["ready"])
        if not each["member"]:
            made["metadata"]["labels"]["bramble.dev/fleet"] = "kitchens"
        if each["agent"]:
            made["metadata"]["labels"][AGENT] = each["agent"]
        if each["prepared"]:
            made["metadata"]["annotations"][PREPARED] = each["prepared"]
        api.put(made)
    return api


def end_jobs(api: FakeApi) -> bool:
    """What the Job controller and the kubelets do; False when nothing ran."""
    running = [job for job in api.of_kind("Job") if not job.get("status")]
    for job in running:
        api.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    return bool(running)


async def live_on(api: FakeApi, faults: CountedFaults) -> None:
    time, own = Time(), replace(SETTINGS, gateway_ca=__file__)  # any file will do for a PEM that nobody reads
    also = (NODE, SERVICE, DAEMON_SET)
    await live_through(
        lambda: Replica(api, FakeStore(), (CONTROLLER,), faults, time, settings=own, also=also), lambda: end_jobs(api), most=100
    )


def check(api: FakeApi) -> None:
    for item in api.of_kind("Node"):
        labels, ready = item["metadata"]["labels"], item["status"]["conditions"][0]["status"] == "True"
        of_us, board = labels["bramble.dev/fleet"] == "living-rooms", labels.get("bramble.dev/board")
        agent = labels.get(AGENT)
        if not of_us or board not in ("rpi5", "rpi4"):
            assert agent is None or agent.startswith("kitchens."), item["metadata"]
        elif ready or PREPARED in item["metadata"]["annotations"]:
            assert agent == f"living-rooms.{board}", item["metadata"]
    made = {kind: len(list(api.of_kind(kind))) for kind in CHILDREN}
    assert made == CHILDREN
    assert all(count == 1 for count in api.created.values()), api.created


@given(drawn=nodes, crashed=crashes)
@settings(max_examples=60)
def test_agents_end_where_they_belong(drawn: list[dict[str, Any]], crashed: set[int]) -> None:
    async def run() -> None:
        api = cluster(drawn)
        await live_on(api, CountedFaults(crashed))
        check(api)

    asyncio.run(run())


async def test_a_typo_in_its_spec_gives_its_nodes_to_no_other_fleet() -> None:
    api = cluster([{"board": "rpi5", "member": True, "ready": True, "agent": None, "prepared": None}])
    await live_on(api, CountedFaults(()))
    api.objects[FLEET]["spec"]["boards"][0]["resources"] = {"limits": {"memory": "1e400"}}
    api.put(fleet_manifest("younger", "2026-11-02T00:00:00Z"))
    await live_on(api, CountedFaults(()))
    (pi,) = api.of_kind("Node")
    assert pi["metadata"]["labels"][AGENT] == "living-rooms.rpi5"
    assert api.objects[FLEET]["status"]["phase"] == "Invalid"
    (excluded,) = api.objects[Key("Fleet", "", "younger")]["status"]["excluded"]
    assert "Fleet living-rooms is older" in excluded["reason"]


@given(drawn=nodes, crashed=crashes, after=st.integers(0, 30), spoiled=st.booleans())
@settings(max_examples=60)
def test_after_its_end_no_node_carries_its_agent(drawn: list[dict[str, Any]], crashed: set[int], after: int, spoiled: bool) -> None:
    async def run() -> None:
        api = cluster(drawn)
        await live_on(api, CountedFaults({after}))
        found = api.objects[FLEET]
        if spoiled:
            found["spec"]["boards"][0]["resources"] = {"limits": {"memory": "280mi"}}
        await api.delete(CONTROLLER.resource, "", FLEET.name, found["metadata"]["uid"], "Background")
        await live_on(api, CountedFaults(crashed))
        assert not [item for item in api.of_kind("Node") if item["metadata"]["labels"].get(AGENT, "").startswith("living-rooms.")]
        assert api.objects[FLEET]["metadata"]["finalizers"] == []

    asyncio.run(run())
