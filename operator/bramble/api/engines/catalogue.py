"""Which engines there are, and the field `spec.engine` that chooses one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, create_model

from bramble.api.engines.base import EngineSettings
from bramble.api.engines.torchrun import Torchrun
from bramble.api.schema import Rule, SpecPart, exactly_one

ENGINES: tuple[type[EngineSettings], ...] = (Torchrun,)
"""The first is what a run without `spec.engine` uses."""


class EngineChoice(SpecPart):
    """How several nodes train together: exactly one engine with its settings."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one(*(engine.NAME for engine in ENGINES)),)

    @property
    def chosen(self) -> EngineSettings:
        """The settings of the engine that is set; the API server refuses a run that sets none or several."""
        given: tuple[EngineSettings | None, ...] = tuple(getattr(self, engine.NAME) for engine in ENGINES)
        return next(settings for settings in given if settings is not None)


def _fields() -> dict[str, Any]:
    """An optional field for each engine, described by the docstring of its settings."""
    return {engine.NAME: (engine | None, Field(default=None, description=engine.__doc__)) for engine in ENGINES}


if TYPE_CHECKING:

    class Engine(EngineChoice):
        """`EngineChoice` with a field for each engine, which only exists at run time."""

else:
    Engine = create_model("Engine", __base__=EngineChoice, __doc__=EngineChoice.__doc__, **_fields())

DEFAULT = Engine.model_validate({ENGINES[0].NAME: {}})
"""What a run without `spec.engine` uses."""
