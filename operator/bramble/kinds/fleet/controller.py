"""The Fleet controller."""

from __future__ import annotations

from bramble.api.fleet import Status
from bramble.kinds.controller import Controller
from bramble.kinds.fleet.gather import gather
from bramble.kinds.fleet.observed import Seen
from bramble.kinds.fleet.plan import plan
from bramble.kube.resources import FLEET, NODE, Key, Manifest


def depends_on(manifest: Manifest) -> tuple[Key, ...]:
    """Every node, since it may join or leave; every other Fleet, since it may select the same nodes; and the reports of its devices."""
    return Key(NODE.kind, "", "*"), Key(FLEET.kind, "", "*"), Key("Report", "", manifest["metadata"]["name"])


CONTROLLER: Controller[Seen] = Controller(FLEET, gather, plan, depends_on, Status.MEMORY)
