"""What a replica does when leadership turns, and what it says of itself meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bramble.engine.engine import Engine
from bramble.kinds.registry import CONTROLLERS
from bramble.kube.resources import JOB, ROLLOUT, Resource
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


def rollout(name: str, **status: object) -> dict[str, object]:
    candidate = {"ref": "digits-2", "uid": "u", "model": "digits", "version": "2.0.0", "packages": {}}
    verdicts = [{"metric": "errors", "drift": 0.21}, {"metric": "accuracy", "drift": 0.1}, {"metric": "accuracy", "drift": 0.3}]
    return {**made(ROLLOUT.kind, name), "status": {"candidate": candidate, "analysis": {"guardrails": verdicts}, **status}}


def figures(engine: Engine, gauge: str = "drift") -> dict[tuple[str, str], float]:
    """The samples of a gauge by Rollout and metric."""
    engine._measure()
    (found,) = engine.metrics.of_rollouts[gauge].collect()
    return {(sample.labels["rollout"], sample.labels["metric"]): sample.value for sample in found.samples}


def test_the_leader_exports_the_drift_of_rollouts_that_try_a_version(engine: Engine) -> None:
    engine.changes.updated(rollout("a"))
    engine.changes.updated(rollout("b", candidate=None))
    engine.changes.updated(rollout("c", analysis={"guardrails": [{"metric": "lost"}, {"metric": "anything", "drift": 1.0}]}))
    engine.changes.updated(rollout("d", analysis={"guardrails": [{"metric": "errors", "drift": "much"}]}))
    assert not figures(engine)
    engine._lease.leading.set()
    assert figures(engine) == {("a", "errors"): 0.21, ("a", "accuracy"): 0.3}
    assert engine.metrics.registry.get_sample_value("bramble_rollout_drift_ratio", {"namespace": "ads", "rollout": "a", "metric": "errors"})
    engine.changes.deleted(rollout("a"))
    assert not figures(engine), "it goes with its object"


def test_the_leader_exports_how_much_evidence_there_is_of_rollouts_that_try_or_watch_a_version(engine: Engine) -> None:
    verdicts = [{"metric": "lost", "toFail": 0.1, "toPass": 1.0}, *({"metric": "recall", "toFail": f, "toPass": f} for f in (0.4, 0.7))]
    watched = {"state": "Watching", "guardrails": [{"metric": "errors", "toFail": 0.25, "toPass": 0.0}]}
    engine.changes.updated(rollout("a", analysis={"guardrails": verdicts}, watch={**watched, "state": "Paused"}))
    engine.changes.updated(rollout("b", candidate=None, watch=watched))
    engine.changes.updated(rollout("c", candidate=None, watch={**watched, "state": "Over"}))
    engine._lease.leading.set()
    assert figures(engine, "to_fail") == {("a", "lost"): 0.1, ("a", "recall"): 0.7, ("b", "errors"): 0.25}
    assert figures(engine, "to_pass") == {("a", "lost"): 1.0, ("a", "recall"): 0.4}


def test_the_number_of_rollouts_with_a_drift_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble.engine.engine.MOST_ROLLOUTS", 2)
    engine._lease.leading.set()
    for name in "cab":
        engine.changes.updated(rollout(name))
    assert {name for name, _ in figures(engine)} == {"a", "b"}


def test_what_a_kind_makes_is_watched_once() -> None:
    """A kind may name objects that are watched anyway."""
    ray_job = Resource("ray.io", "v1", "rayjobs", "RayJob")
    controllers = [replace(each, children=(ray_job, JOB)) for each in CONTROLLERS]
    watched = Engine(FakeApi(), SETTINGS, controllers).watched
    assert [watched.count(resource) for resource in (ray_job, JOB)] == [1, 1]
