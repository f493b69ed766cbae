"""What a replica does when leadership turns, and what it says of itself meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bramble.engine.engine import Engine
from bramble.kinds.registry import CONTROLLERS
from bramble.kube.resources import JOB, Resource
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS


@pytest.fixture
def engine() -> Engine:
    return Engine(FakeApi(), SETTINGS, CONTROLLERS)


def depth(engine: Engine) -> tuple[float | None, float | None]:
    engine._measure()
    sample = engine.metrics.registry.get_sample_value
    return sample("bramble_queue_depth"), sample("bramble_queue_oldest_seconds")


async def test_a_replica_that_waits_has_no_queue_to_speak_of(engine: Engine) -> None:
    engine.changes.updated(made("Fleet", "living-rooms"))
    assert depth(engine) == (0, 0)
    engine._lease.leading.set()
    assert depth(engine)[0] == 1


async def test_who_begins_to_lead_compares_with_a_full_list(engine: Engine) -> None:
    """Its watches may be behind the last writes of the replica before."""
    await engine._relist.compare()
    engine._leads(False)
    assert not engine._relist._requested.is_set()
    engine._leads(True)
    assert engine._relist._requested.is_set()


def test_what_a_kind_makes_is_watched_once() -> None:
    """A kind may name objects that are watched anyway."""
    ray_job = Resource("ray.io", "v1", "rayjobs", "RayJob")
    controllers = [replace(each, children=(ray_job, JOB)) for each in CONTROLLERS]
    watched = Engine(FakeApi(), SETTINGS, controllers).watched
    assert [watched.count(resource) for resource in (ray_job, JOB)] == [1, 1]
