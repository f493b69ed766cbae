"""Patches that stand alone and fail are counted, logged and tried again, less and less often."""

from __future__ import annotations

import logging

import pytest

from bramble.engine.failed_patches import LAST_AGAIN_SECONDS, FailedPatches
from bramble.engine.faults import Faults
from bramble.engine.metrics import Metrics
from bramble.kinds.controller import Controller
from bramble.kinds.plan import PatchFields, Plan
from bramble.kube.resources import DATASET, Key, Manifest
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import FakeStore, Replica, Time

A, B = Key("Node", "", "a"), Key("Node", "", "b")


async def test_the_rest_is_carried_out_and_the_failures_are_told(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    for name in ("planned", "changed", "well"):
        api.put(made("Dataset", name, spec={}))
    replica = Replica(api, FakeStore(), (Controller(DATASET, None, None, lambda _: (), frozenset()),), Faults(), Time())  # type: ignore[arg-type]
    executor, relists = replica.reconciler._executor, list[str]()
    executor.failed_patches.on_gone.append(lambda: relists.append("relist"))

    def found(name: str) -> Manifest:
        return next(manifest for key, manifest in api.objects.items() if key.name == name)

    def patch(name: str, version: str) -> PatchFields:
        key = Key("Dataset", found("well")["metadata"]["namespace"], name)
        uid = found(name)["metadata"]["uid"] if name != "gone" else "gone"
        return PatchFields(key, uid, version, {"metadata": {"labels": {"x": "1"}}}, alone=True)

    def plan() -> Plan:
        return Plan(items=(patch("changed", "0"), patch("gone", "0"), patch("well", found("well")["metadata"]["resourceVersion"])))

    with caplog.at_level(logging.DEBUG, "bramble.engine.failed_patches"):
        assert [await executor.execute(found("planned"), plan(), {}) for _ in range(3)] == [1, 2, 4]
    assert found("well")["metadata"]["labels"]["x"] == "1"
    assert relists == ["relist"] * 3
    counted = executor._metrics.errors
    assert [counted.labels("Dataset", error)._value.get() for error in ("Conflict", "NotFound")] == [3, 3]
    assert {f"{message.split(':')[0]}: {message.split(': ')[1]}" for message in caplog.messages} == {
        "Dataset changed was not patched: Conflict",
        "Dataset gone was not patched: NotFound",
    }


def test_the_delay_doubles_while_the_same_objects_fail() -> None:
    patches = FailedPatches(Metrics())
    assert [patches.look_again("uid", frozenset({A})) for _ in range(8)] == [1, 2, 4, 8, 16, 32, LAST_AGAIN_SECONDS, LAST_AGAIN_SECONDS]
    assert patches.look_again("uid", frozenset({A, B})) == LAST_AGAIN_SECONDS
    assert patches.look_again("uid", frozenset({B})) == LAST_AGAIN_SECONDS
    assert patches.look_again("uid", frozenset({A})) == 1, "another one"
    assert patches.look_again("uid", frozenset()) is None
    assert patches.look_again("uid", frozenset({A})) == 1, "the last pass had no failure"
    patches.look_again("uid", frozenset({A}))
    patches.forget("uid")
    assert patches.look_again("uid", frozenset({A})) == 1


def test_what_fails_for_a_minute_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    patches = FailedPatches(Metrics())
    for _ in range(6):
        patches.look_again("uid", frozenset({A, B}))
    assert caplog.text == ""
    for _ in range(3):
        patches.look_again("uid", frozenset({A, B}))
    assert ["Node a, Node b" in record.message for record in caplog.records] == [True]
