"""The controllers that the operator runs."""

from __future__ import annotations

from typing import Any

from bramble.kinds.controller import Controller
from bramble.kinds.dataset import controller as dataset
from bramble.kinds.fleet import controller as fleet
from bramble.kinds.modelversion import controller as modelversion
from bramble.kinds.rollout import controller as rollout
from bramble.kinds.trainingrun import controller as trainingrun

CONTROLLERS: tuple[Controller[Any], ...] = (
    dataset.CONTROLLER,
    trainingrun.CONTROLLER,
    modelversion.CONTROLLER,
    fleet.CONTROLLER,
    rollout.CONTROLLER,
)
"""In the order in which a model passes through the kinds."""
