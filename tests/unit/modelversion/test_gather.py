"""What is known of a version while the store does not answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.modelversion.controller import CONTROLLER
from bramble.kinds.modelversion.plan import plan
from bramble.kinds.plan import Plan
from bramble.kube.resources import Key
from tests.unit.jobs.reading import BrokenStore, gathered
from tests.unit.modelversion.seen import DATASET, EXPORT, NOW, RPI5, case, condition, manifest, message

LINEAGE = {"package": EXPORT, "dataset": DATASET}
RUNNING = {"attempt": 1, "state": "Running"}
PACKAGE = {"source": {"package": {"digest": EXPORT}}}
MEASURING = {"lineage": LINEAGE, "conversion": {"attempt": 1, "state": "Converted"}, "benchmarks": [{**RPI5._asdict(), **RUNNING}]}


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), StoreRefused("no such key")])
@pytest.mark.parametrize(
    ("spec", "status"),
    [
        case("its package is read", PACKAGE, {}),
        case("it is converted", {}, {"lineage": LINEAGE, "conversion": RUNNING}),
        case("a board is measured", {}, MEASURING),
    ],
)
async def test_a_store_that_fails_is_told_at_every_stage(spec: Any, status: Any, error: Exception) -> None:
    version = {**manifest(spec), "status": status}
    told = plan(await gathered(CONTROLLER, Key("ModelVersion", "ns", "ads-1-0-0"), [version], BrokenStore(error)), NOW)
    assert (condition(told), message(told)) == (("False", type(error).__name__), str(error))
    assert told == Plan(status=told.status, events=told.events, wake_at=NOW + timedelta(seconds=5))
