"""The engines, in the order in which docs and messages name them."""

from __future__ import annotations

from .base import Engine
from .torchrun.engine import TorchrunEngine

ENGINES: tuple[Engine, ...] = (TorchrunEngine(),)


def engine_named(name: str) -> Engine:
    """The engine of this name.

    Raises:
        KeyError: this release has no such engine.
    """
    return {engine.name: engine for engine in ENGINES}[name]
