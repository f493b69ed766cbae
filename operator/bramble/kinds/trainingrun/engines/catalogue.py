"""Which engines there are."""

from __future__ import annotations

from bramble.api.trainingrun import Spec
from bramble.kinds.trainingrun.engines.base.engine import Engine
from bramble.kinds.trainingrun.engines.torchrun.engine import TorchrunEngine

ENGINES: tuple[Engine, ...] = (TorchrunEngine(),)
"""One for each of `bramble.api.engines.catalogue.ENGINES`."""


def engine_of(spec: Spec) -> Engine:
    """The engine that the run has chosen in `spec.engine`."""
    return next(engine for engine in ENGINES if isinstance(spec.engine.chosen, engine.settings))
