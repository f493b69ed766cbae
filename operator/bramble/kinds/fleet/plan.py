"""What a Fleet needs next. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.objects import Invalid
from bramble.kinds.finalizer import add_finalizer, has_finalizer, remove_finalizer
from bramble.kinds.fleet import status
from bramble.kinds.fleet.folders import Preparation, prepare
from bramble.kinds.fleet.nodes import changes, remove_agents
from bramble.kinds.fleet.observed import NODE_SETUP, Leaving, Observed, Seen, SetupJob
from bramble.kinds.fleet.render import agents, ca_config_map, daemon_set_name, service, setup_job
from bramble.kinds.jobs.waiting import is_outdated
from bramble.kinds.plan import NOTHING, Delete, Item, Plan
from bramble.kinds.status_update import report

LOOK_AGAIN = timedelta(seconds=10)
"""While an agent does not run. Only Events, which are not watched, say why."""


def plan(seen: Seen, now: datetime) -> Plan:
    """Keep an agent on every node of the fleet, and report which agents answer."""
    if isinstance(seen, Leaving):
        return _remove_agents(seen, now)
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
        fields=status.fields(seen, preparation.unprepared),
        wake_at=preparation.wake_at,
    ).no_later_than(now + LOOK_AGAIN if seen.stopped else None)


def _items(seen: Observed, preparation: Preparation) -> tuple[Item, ...]:
    """The writes in the order that agents need them: what they mount, their DaemonSets, their folders, then the labels of their nodes."""
    if not seen.gateway_ca:
        return ()  # without a CA an agent cannot check that it talks to the gateway
    wanted = {daemon_set_name(seen.name, board.name) for board in seen.fleet.spec.boards}
    return (
        ca_config_map(seen),
        service(seen),
        *(agents(seen, board) for board in seen.fleet.spec.boards),
        *(Delete(child.key, child.uid) for child in seen.daemon_sets if child.key.name not in wanted),
        *(Delete(job.key, job.uid) for job in (*preparation.retry, *preparation.unneeded, *_outdated(seen, preparation))),
        *(setup_job(seen, folder) for folder in preparation.begin),
        *changes(seen, preparation.done),
    )


def _outdated(seen: Observed, preparation: Preparation) -> list[SetupJob]:
    """Jobs without a pod that would be made otherwise now. The next pass makes them anew."""
    return [job for folder, job in preparation.without_pod if is_outdated(job.without_pod, (), (NODE_SETUP,), (setup_job(seen, folder),))]


def _remove_agents(seen: Leaving, now: datetime) -> Plan:
    """Take the agents off their nodes, then remove the finalizer.

    The garbage collector deletes the children. What agents have stored on their nodes stays there.
    """
    metadata = seen.fleet.metadata
    if not has_finalizer(metadata):
        return NOTHING
    if seen.labelled:
        message = f"removing the agents from {len(seen.labelled)} nodes"
        return report(seen.fleet, status.deleting(message), now, items=remove_agents(seen.labelled))
    return Plan(items=(remove_finalizer(metadata),))
