"""Reading a Fleet, its nodes, and what runs on them."""

from __future__ import annotations

from bramble.api.fleet import KIND
from bramble.api.labels import AGENT, OWNER_UID, STEP
from bramble.api.objects import Invalid, parse
from bramble.kinds.fleet.folders import SETUP
from bramble.kinds.fleet.membership import Claim, labels_of, membership
from bramble.kinds.fleet.observed import Leaving, Observed, Seen
from bramble.kinds.sources import Sources
from bramble.kube.resources import DAEMON_SET, FLEET, JOB, NODE, POD, Key, Manifest


async def gather(key: Key, sources: Sources) -> Seen | None:
    """Everything that `plan` looks at; None when the Fleet is gone."""
    manifest = await sources.get(FLEET, "", key.name)
    if manifest is None:
        return None
    fleet = parse(KIND, manifest)
    nodes, edge = sources.list(NODE), sources.settings.edge_namespace
    labelled = tuple(node for node in nodes if is_labelled(node, key.name))
    if fleet.metadata.deleted is not None:
        return Leaving(fleet, labelled)
    if isinstance(fleet, Invalid):
        return fleet
    mine = {OWNER_UID: fleet.metadata.uid}
    return Observed(
        fleet=fleet,
        membership=membership(fleet, nodes, (Claim.of(each) for each in sources.list(FLEET))),
        labelled=labelled,
        daemon_sets=sources.list(DAEMON_SET, edge, mine),
        setups=sources.list(JOB, edge, {**mine, STEP: SETUP}),
        pods=sources.list(POD, edge, {**mine, STEP: SETUP}),
        devices=sources.devices(key.name),
        gateway_ca=sources.gateway_ca,
        settings=sources.settings,
    )


def is_labelled(node: Manifest, fleet: str) -> bool:
    """Whether a node carries the label that brings this fleet's agent."""
    return labels_of(node).get(AGENT, "").startswith(f"{fleet}.")
