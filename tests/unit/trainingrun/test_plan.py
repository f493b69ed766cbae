"""The order of the policies, and what each pass may do."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.objects import Invalid, parse
from bramble.api.trainingrun import KIND, Outcome
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.plan import NOTHING
from bramble.kinds.trainingrun.controller import depends_on
from bramble.kinds.trainingrun.plan import plan
from bramble.kube.resources import Key
from tests.unit.trainingrun.seen import (
    NODES,
    NOW,
    PIN,
    attempt,
    case,
    cause,
    condition,
    made,
    manifest,
    message,
    observed,
    pod,
    remembered,
    stored,
    training,
)

OWN = {"trainer": {"container": {"image": "me/train:1", "command": ["python", "a.py"]}}}
STALE = Child(Key("Job", "ns", "run-train-1"), "j1", "train", 1)


def nested(levels: int) -> dict[str, Any]:
    """Hyperparameters of so many levels, objects and lists in turn."""
    inner: Any = 1
    for level in range(levels - 1):
        inner = [inner] if level % 2 else {"a": inner}
    return {"a": inner}


def test_a_run_that_is_being_deleted_does_nothing() -> None:
    assert plan(observed(deleted=True, stale_children=(STALE,)), NOW) == NOTHING


def test_stale_children_are_deleted_first() -> None:
    assert made(plan(training(stale_children=(STALE,)), NOW)) == [("Delete", "Job")]


def test_a_result_counts_although_the_run_is_suspended_or_a_rank_failed_since() -> None:
    seen = training(attempt(pod(0, 0), pod(1, 1), stored=stored(), reported={1: cause("Error", 1)}), spec={"suspend": True}, nodes=NODES)
    assert "package" in remembered(plan(seen, NOW))


def test_a_run_that_is_over_cannot_be_suspended() -> None:
    seen = observed({"suspend": True}, status={"dataset": PIN, "outcome": Outcome(reason="SpecError", message="no")})
    assert condition(plan(seen, NOW)) == ("False", "SpecError")


@pytest.mark.parametrize(
    ("spec", "fragments"),
    [
        case(
            "a quantity cannot be read", {"resources": {"limits": {"memory": "5.5.5"}}}, ("spec.resources.limits.memory", "5.5.5", "280Mi")
        ),
        case("a number is too large for portable JSON", {"hyperparameters": {"n": 2**60}}, ("spec.hyperparameters", "2**53")),
        case(
            "hyperparameters have a thousand levels",
            {"hyperparameters": nested(1100)},
            ("spec.hyperparameters: nested", "16 levels", "as texts"),
        ),
        case(
            "hyperparameters have one level too many",
            {**OWN, "hyperparameters": nested(17)},
            ("spec.hyperparameters", "more than 16 levels deep"),
        ),
        case("a hyperparameter is unknown", {"hyperparameters": {"epoch": 3}}, ("spec.hyperparameters: epoch is not known", "epochs,")),
        case(
            "a hyperparameter is out of its bounds",
            {"hyperparameters": {"epochs": 0}},
            ("epochs: Input should be greater than or equal to 1",),
        ),
        case("a field is of a later version of the API", {"tuning": {}}, ("spec.tuning", "not permitted")),
    ],
)
def test_a_spec_that_admission_could_not_see_through(spec: dict[str, Any], fragments: tuple[str, ...]) -> None:
    parsed = parse(KIND, manifest(spec))
    assert isinstance(parsed, Invalid)
    verdict = plan(parsed, NOW)
    assert condition(verdict) == condition(verdict, "Admitted") == ("False", "InvalidSpec")
    assert [fragment for fragment in fragments if fragment not in message(verdict)] == [], message(verdict)


def test_sixteen_levels_are_free() -> None:
    assert not isinstance(parse(KIND, manifest({**OWN, "hyperparameters": nested(16)})), Invalid)


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        case("a new run waits for its Dataset", {}, {"Dataset"}),
        case("a run between attempts waits for nothing", {"dataset": {"name": "tape"}}, set()),
        case("a run that trains depends on the nodes", {"dataset": {"name": "tape"}, "current": {"number": 1}}, {"Node"}),
        case("an evaluated run waits for its ModelVersion", {"dataset": {"name": "tape"}, "evaluation": {"samples": 1}}, {"ModelVersion"}),
        case("a run that is over waits for nothing", {"outcome": {"reason": "Succeeded"}}, set()),
    ],
)
def test_what_wakes_it(status: dict[str, Any], kinds: set[str]) -> None:
    assert {key.kind for key in depends_on({**manifest(), "status": status})} == kinds
