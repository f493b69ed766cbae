"""A run whose hyperparameters were changed although the API server should have refused that."""

from __future__ import annotations

import pytest

from bramble.contracts.canonical import document_digest
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.hyperparameters_changed import hyperparameters_changed
from tests.unit.trainingrun.seen import NOW, PIN, case, condition, message, observed


def pinned(admitted: dict[str, int] | None, present: dict[str, int]) -> Observed:
    digest = document_digest(admitted) if admitted is not None else ""
    return observed({"hyperparameters": present}, status={"dataset": PIN, "hyperparameters": digest})


@pytest.mark.parametrize(
    ("admitted", "present", "held"),
    [
        case("as many fields of other names", {"epochs": 1, "batchSize": 5}, {"warmupEpochs": 1, "gradAccumulation": 7}, True),
        case("another value", {"epochs": 1}, {"epochs": 2}, True),
        case("the same", {"epochs": 1, "batchSize": 5}, {"batchSize": 5, "epochs": 1}, False),
        case("admitted by an operator that did not remember them", None, {"epochs": 1}, False),
    ],
)
def test_a_run_is_held_until_the_former_values_are_back(admitted: dict[str, int] | None, present: dict[str, int], held: bool) -> None:
    found = hyperparameters_changed(pinned(admitted, present), NOW)
    assert (found is not None) == held
    if found is not None:
        assert condition(found) == ("False", "InvalidSpec")
        assert "write the former values back" in message(found)


def test_it_is_held_before_any_result_is_read_or_filed() -> None:
    assert condition(plan(pinned({"epochs": 1}, {"epochs": 2}), NOW)) == ("False", "InvalidSpec")
