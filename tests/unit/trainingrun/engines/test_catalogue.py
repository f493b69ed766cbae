"""The engines of the API and those of the controller are the same."""

from __future__ import annotations

import pytest

from bramble.api.engines.base import EngineSettings
from bramble.api.engines.catalogue import DEFAULT, Engine
from bramble.api.engines.catalogue import ENGINES as SETTINGS
from bramble.kinds.trainingrun.controller import CONTROLLER
from bramble.kinds.trainingrun.engines.catalogue import ENGINES, engine_of
from tests.unit.trainingrun.seen import observed


def test_each_engine_of_the_api_has_one_in_the_controller() -> None:
    assert [engine.settings for engine in ENGINES] == list(SETTINGS)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.NAME)
def test_a_run_gets_the_engine_that_it_sets(settings: type[EngineSettings]) -> None:
    assert engine_of(observed({"engine": {settings.NAME: {}}}).spec).settings is settings


def test_the_objects_of_every_engine_are_watched() -> None:
    assert set(CONTROLLER.children) == {resource for engine in ENGINES for resource in engine.more_resources}


def test_a_run_without_an_engine_gets_the_first() -> None:
    assert engine_of(observed({"engine": None}).spec) is ENGINES[0]
    assert isinstance(DEFAULT.chosen, SETTINGS[0])


def test_the_api_server_wants_exactly_one_engine() -> None:
    (rule,) = Engine.RULES
    assert rule.message == f"set exactly one of {', '.join(each.NAME for each in SETTINGS)}"
    assert [f"has(self.{each.NAME})" in rule.rule for each in SETTINGS] == [True] * len(SETTINGS)


def test_each_engine_describes_its_field() -> None:
    described = {name: field.description for name, field in Engine.model_fields.items()}
    assert described == {each.NAME: each.__doc__ for each in SETTINGS}
