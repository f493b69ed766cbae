"""Rollout as the engine runs it."""

from __future__ import annotations

from bramble.api.objects import Invalid
from bramble.api.rollout import Status
from bramble.kinds.controller import Controller
from bramble.kinds.rollout.gather import depends_on, gather
from bramble.kinds.rollout.gauges import gauges_of
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.plan import plan
from bramble.kinds.version_users import versions_of
from bramble.kube.resources import ROLLOUT

CONTROLLER: Controller[Observed | Invalid[Status]] = Controller(
    ROLLOUT, gather, plan, depends_on, Status.MEMORY, wakes=versions_of, gauges=gauges_of
)
