"""Reads a Fleet, its nodes, and what runs on them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bramble.api.fleet import KIND
from bramble.api.labels import AGENT, OWNER_UID, STEP
from bramble.api.objects import Invalid, parse
from bramble.kinds.fleet.agents import read_stopped
from bramble.kinds.fleet.folders import folder_of
from bramble.kinds.fleet.membership import Claim, membership
from bramble.kinds.fleet.node import Node
from bramble.kinds.fleet.observed import CONTAINERS, NODE_SETUP, Child, Leaving, Observed, Seen, SetupJob
from bramble.kinds.fleet.status import presence
from bramble.kinds.jobs.waiting import read_warning
from bramble.kinds.sources import Sources
from bramble.kube.resources import DAEMON_SET, FLEET, JOB, NODE, POD, Key


async def gather(key: Key, sources: Sources) -> Seen | None:
    """Read what `plan` decides by; None when the Fleet is gone."""
    manifest = await sources.get(FLEET, "", key.name)
    if manifest is None:
        return None
    fleet = parse(KIND, manifest)
    manifests, namespace = sources.list(NODE), sources.settings.edge_namespace
    nodes = await asyncio.to_thread(lambda: [Node.of(node) for node in manifests])  # thousands, as in the other threads
    labelled = tuple(node for node in nodes if has_agent(node, key.name))
    if fleet.metadata.deleted is not None:
        return Leaving(fleet, labelled)
    if isinstance(fleet, Invalid):
        return fleet
    ours = {OWNER_UID: fleet.metadata.uid}
    setups = {**ours, STEP: NODE_SETUP}
    pods, claims = sources.list(POD, namespace, setups), [Claim.of(each) for each in sources.list(FLEET)]
    members = await asyncio.to_thread(membership, fleet, nodes, claims)
    seen = Observed(
        fleet=fleet,
        membership=members,
        labelled=labelled,
        daemon_sets=tuple(
            Child.of(each) for each in sources.list(DAEMON_SET, namespace, ours) if "deletionTimestamp" not in each["metadata"]
        ),
        setups=tuple(SetupJob.of(job, pods) for job in sources.list(JOB, namespace, setups)),
        devices=sources.devices(key.name),
        gateway_ca=sources.gateway_ca,
        settings=sources.settings,
    )
    silent = await asyncio.to_thread(lambda: {member.name for member in members.members if presence(seen.devices, member.name) != "online"})
    stopped = await read_stopped(sources, namespace, fleet.metadata.uid, silent)
    return replace(seen, setups=await _with_warning(seen, sources), stopped=stopped)


async def _with_warning(seen: Observed, sources: Sources) -> tuple[SetupJob, ...]:
    """The fleet's preparations. The first one of a member without a pod has the reason why it has none.

    There may be many, which are refused for the same reason.
    """
    if all(each.without_pod is None for each in seen.setups):
        return seen.setups
    needed = await asyncio.to_thread(lambda: {folder_of(seen, member).job for member in seen.membership.members})
    waits = next((each for each in seen.setups if each.without_pod is not None and each.name in needed), None)
    if waits is None:
        return seen.setups
    problem = await read_warning(sources, sources.settings.edge_namespace, waits.without_pod, (), CONTAINERS)
    return tuple(replace(each, problem=problem) if each is waits else each for each in seen.setups)


def has_agent(node: Node, fleet: str) -> bool:
    """Whether the node has the label by which an agent of this fleet runs there."""
    return node.labels.get(AGENT, "").startswith(f"{fleet}.")
