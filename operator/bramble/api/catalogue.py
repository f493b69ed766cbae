"""The five kinds, in the order in which a model passes through them."""

from __future__ import annotations

from typing import Any

from bramble.api.dataset import KIND as DATASET
from bramble.api.fleet import KIND as FLEET
from bramble.api.modelversion import KIND as MODEL_VERSION
from bramble.api.objects import Kind
from bramble.api.rollout import KIND as ROLLOUT
from bramble.api.trainingrun import KIND as TRAINING_RUN

KINDS: tuple[Kind[Any, Any], ...] = (DATASET, TRAINING_RUN, MODEL_VERSION, FLEET, ROLLOUT)
