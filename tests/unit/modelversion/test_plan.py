"""The order of the policies, and what wakes a version."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.modelversion import KIND
from bramble.api.objects import Invalid, parse
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.modelversion.controller import depends_on
from bramble.kinds.modelversion.observed import Unusable
from bramble.kinds.modelversion.plan import plan
from bramble.kinds.plan import Delete
from bramble.kube.resources import Key
from tests.unit.modelversion.seen import NOW, OTHER, TARGET, case, condition, manifest, message, observed

MEASURED = [{"fleet": "rooms", "board": "rpi5", "state": "Measured"}]
STALE = Child(Key("Job", "ns", "j"), "j1", "convert", 1)


def test_stale_children_are_deleted_as_soon_as_they_are_seen() -> None:
    assert plan(observed(stale_children=(STALE,)), NOW).items == (Delete(STALE.key, "j1"),)


def test_a_spec_that_passed_admission_and_cannot_be_used() -> None:
    parsed = parse(KIND, manifest({"benchmark": [{**TARGET, "limits": {"memory": "1.2.3"}}]}))
    assert isinstance(parsed, Invalid)
    verdict = plan(Unusable(parsed), NOW)
    assert condition(verdict) == ("False", "InvalidSpec")
    assert "spec.benchmark.0.limits.memory" in message(verdict)


@pytest.mark.parametrize(
    ("spec", "status", "names"),
    [
        case("its source is not pinned", {}, {}, {("TrainingRun", "run")}),
        case("its source is a package", {"source": {"package": {"digest": "sha256:1"}}}, {}, set()),
        case("it is converted", {}, {"lineage": {"package": "p"}}, {("Fleet", "rooms")}),
        case(
            "one board has been measured, the other has not",
            {"benchmark": [TARGET, {**OTHER, "fleet": "shops"}]},
            {"lineage": {"package": "p"}, "benchmarks": MEASURED},
            {("Fleet", "shops")},
        ),
        case("every board has been measured", {}, {"lineage": {"package": "p"}, "benchmarks": MEASURED}, set()),
    ],
)
def test_what_wakes_it(spec: dict[str, Any], status: dict[str, Any], names: set[tuple[str, str]]) -> None:
    assert {(key.kind, key.name) for key in depends_on({**manifest(spec), "status": status})} == names
