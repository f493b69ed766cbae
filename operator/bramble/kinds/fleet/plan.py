"""What a Fleet needs next. Pure."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import Invalid
from bramble.kinds.finalizer import add_finalizer, has_finalizer, remove_finalizer
from bramble.kinds.fleet import status
from bramble.kinds.fleet.folders import Preparation, prepare
from bramble.kinds.fleet.nodes import AT_ONCE, changes, unlabel
from bramble.kinds.fleet.observed import Leaving, Observed, Seen
from bramble.kinds.fleet.render import agents, ca_config_map, daemon_set_name, service, setup_job
from bramble.kinds.plan import NOTHING, Delete, Item, Plan
from bramble.kinds.status_update import report
from bramble.kube.resources import key_of


def plan(seen: Seen, now: datetime) -> Plan:
    """Keep an agent on every node of the fleet, and say which of them answer."""
    if isinstance(seen, Leaving):
        return _withdraw(seen, now)
    if isinstance(seen, Invalid):
        return report(seen, status.invalid(seen.problem), now)
    if not has_finalizer(seen.fleet.metadata):
        return Plan(items=(add_finalizer(seen.fleet.metadata),))
    preparation = prepare(seen, now)
    return report(
        seen.fleet,
        status.state(seen),
        now,
        items=_items(seen, preparation),
        fields=status.fields(seen, preparation.failed),
        wake_at=preparation.wake_at,
    )


def _items(seen: Observed, preparation: Preparation) -> tuple[Item, ...]:
    """What the agents need before the agents, the agents before their nodes' labels."""
    if not seen.gateway_ca:
        return ()  # agents could not check whom they talk to
    wanted = {daemon_set_name(seen.name, board.name) for board in seen.fleet.spec.boards}
    surplus = [item for item in seen.daemon_sets if item["metadata"]["name"] not in wanted and "deletionTimestamp" not in item["metadata"]]
    return (
        ca_config_map(seen),
        service(seen),
        *(agents(seen, board) for board in seen.fleet.spec.boards),
        *(Delete(key_of(item), item["metadata"]["uid"]) for item in surplus),
        *(Delete(key_of(job), job["metadata"]["uid"]) for job in preparation.retry),
        *(setup_job(seen, folder) for folder in preparation.begin),
        *changes(seen, preparation.done),
    )


def _withdraw(seen: Leaving, now: datetime) -> Plan:
    """Take the agents off their nodes; the garbage collector has the children. What the devices have on their disks stays."""
    metadata = seen.fleet.metadata
    if not has_finalizer(metadata):
        return NOTHING
    if seen.labelled:
        message = f"taking the agents off {len(seen.labelled)} nodes"
        return report(seen.fleet, status.deleting(message), now, items=unlabel(seen.labelled[:AT_ONCE]))
    return Plan(items=(remove_finalizer(metadata),))
