"""Fleet as the engine sees it."""

from __future__ import annotations

from bramble.api.fleet import Status
from bramble.kinds.controller import Controller
from bramble.kinds.fleet.gather import gather
from bramble.kinds.fleet.observed import Seen
from bramble.kinds.fleet.plan import plan
from bramble.kube.resources import FLEET, NODE, Key, Manifest


def depends_on(manifest: Manifest) -> tuple[Key, ...]:
    """Every node may join or leave, every other fleet may claim one, and the devices say how they are."""
    return Key(NODE.kind, "", "*"), Key(FLEET.kind, "", "*"), Key("Report", "", manifest["metadata"]["name"])


CONTROLLER: Controller[Seen] = Controller(FLEET, gather, plan, depends_on, Status.MEMORY)
