"""The five kinds, in the order that a model takes through them."""

from __future__ import annotations

from typing import Any

from bramble.kinds.dataset.model import KIND as DATASET
from bramble.kinds.fleet.model import KIND as FLEET
from bramble.kinds.modelversion.model import KIND as MODEL_VERSION
from bramble.kinds.objects import Kind
from bramble.kinds.rollout.model import KIND as ROLLOUT
from bramble.kinds.trainingrun.model import KIND as TRAINING_RUN

KINDS: tuple[Kind[Any, Any], ...] = (DATASET, TRAINING_RUN, MODEL_VERSION, FLEET, ROLLOUT)
