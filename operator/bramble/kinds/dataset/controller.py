"""The Dataset controller."""

from __future__ import annotations

from bramble.api.dataset import Status
from bramble.kinds.controller import Controller
from bramble.kinds.dataset.gather import gather
from bramble.kinds.dataset.observed import Seen
from bramble.kinds.dataset.plan import plan
from bramble.kube.resources import DATASET

CONTROLLER: Controller[Seen] = Controller(DATASET, gather, plan, depends_on=lambda _: (), memory=Status.MEMORY)
"""A Dataset names no other object. Its Jobs and pods wake it by their labels."""
