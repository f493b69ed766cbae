"""A suspended run ends its attempt and begins none."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.blockers import Blocker
from bramble.kinds.trainingrun.policies.suspended import suspended
from tests.unit.trainingrun.kept import spec
from tests.unit.trainingrun.seen import NOW, PIN, TRAINED_PACKAGE, attempt, case, condition, message, observed, remembered, stated, training

WISH = {"suspend": True}


@pytest.mark.parametrize(
    "seen",
    [
        case("the run is not suspended", training()),
        case(
            "the store cannot say yet whether the attempt left a result",
            training(spec=WISH, store=Blocker("StoreUnavailable", "no answer")),
        ),
        case("the run has trained, and its evaluation goes on", observed(WISH, status={"dataset": PIN, "package": TRAINED_PACKAGE})),
    ],
)
def test_not_suspended(seen: Any) -> None:
    assert suspended(seen, NOW) is None


def test_the_present_attempt_ends_and_costs_nothing() -> None:
    plan = suspended(training(spec=WISH, status={"failures": 1}), NOW)
    memory = remembered(plan)
    assert "current" not in memory
    assert (memory["attempt"], memory["failures"], memory["spentSeconds"]) == (1, 1, 600)
    assert condition(plan) == ("False", "Suspended")


def test_the_wait_for_a_pod_is_not_charged() -> None:
    present = attempt({}, {}, warning="FailedCreate: exceeded quota: tenant")
    assert remembered(suspended(training(present, spec=WISH), NOW))["spentSeconds"] == 0


def test_no_attempt_begins() -> None:
    plan = suspended(observed(WISH), NOW)
    assert plan is not None
    assert (stated(plan)["phase"], plan.remember, plan.items) == ("Suspended", False, ())


def test_a_run_that_waits_for_all_of_its_pods_begins_at_once_when_it_is_resumed() -> None:
    released = {"times": 7, "message": "1 of 2 pods are not there"}
    memory = remembered(suspended(observed(WISH, status={"dataset": PIN, "attempt": 7, "released": released}), NOW))
    assert "released" not in memory


def test_a_run_that_packages_a_kept_output_has_no_checkpoint_to_go_on_from() -> None:
    said = message(suspended(observed({**WISH, **spec()}), NOW))
    assert said == "suspended by spec.suspend; set it to false to package the kept output"
