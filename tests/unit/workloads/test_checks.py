"""The checks of a dataset at their exact limits: a value on the limit passes, one beyond it does not."""

from __future__ import annotations

import pytest

from bramble.contracts.jobs.snapshot import Checks
from bramble.contracts.manifest import SPLITS, Split
from bramble.contracts.tasks.classification import CLASSIFICATION
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.checks import check

NO_CHECKS = Checks()


def found(classes: dict[str, int], checks: Checks = NO_CHECKS, elsewhere: dict[str, dict[str, int]] | None = None) -> dict[str, str]:
    """Severity of each finding by its check. All splits have all samples, unless `elsewhere` says otherwise."""
    placed: dict[Split, dict[str, int]] = {split: (elsewhere or {}).get(split, classes) for split in SPLITS}
    return {each.check: each.severity for each in check(classes, placed, checks, CLASSIFICATION)}


@pytest.mark.parametrize(
    ("classes", "checks", "expected"),
    [
        pytest.param({"a": 1, "b": 1}, NO_CHECKS, {}, id="two classes are enough"),
        pytest.param({"a": 2}, NO_CHECKS, {"classes": "error"}, id="one class is too few"),
        pytest.param({"a": 3, "b": 4}, Checks(min_samples_per_class=3), {}, id="exactly the smallest number of samples"),
        pytest.param({"a": 2, "b": 4}, Checks(min_samples_per_class=3), {"minSamplesPerClass": "error"}, id="one sample too few"),
        pytest.param({"a": 2, "b": 5}, Checks(max_imbalance="2.5"), {}, id="exactly the largest imbalance"),
        pytest.param({"a": 2, "b": 6}, Checks(max_imbalance="2.5"), {"maxImbalance": "error"}, id="beyond the largest imbalance"),
        pytest.param({"a1": 1, "b": 1}, Checks(class_pattern="[a-z]"), {"classPattern": "error"}, id="the pattern is for whole names"),
        pytest.param({"a": 1, "b": 1}, Checks(class_pattern="[a-z]"), {}, id="every name matches the pattern"),
    ],
)
def test_a_check_fails_beyond_its_limit(classes: dict[str, int], checks: Checks, expected: dict[str, str]) -> None:
    assert found(classes, checks) == expected


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        pytest.param({}, {}, id="every class is in every split"),
        pytest.param({"train": {"a": 2}}, {"splits": "error"}, id="a class without a sample in train blocks training"),
        pytest.param({"val": {"b": 1}}, {"splits": "warning"}, id="a class without a sample in val is a warning"),
        pytest.param({"test": {"b": 1}}, {"splits": "warning"}, id="a class without a sample in test is a warning"),
        pytest.param({"val": {}}, {"splits": "error"}, id="an empty val split blocks training"),
        pytest.param({"test": {}}, {"splits": "error"}, id="an empty test split blocks training"),
    ],
)
def test_every_class_is_in_every_split(placed: dict[str, dict[str, int]], expected: dict[str, str]) -> None:
    assert found({"a": 2, "b": 2}, elsewhere=placed) == expected


@pytest.mark.parametrize("checks", [Checks(max_imbalance="ten"), Checks(class_pattern="(")])
def test_a_check_that_cannot_be_carried_out_is_a_spec_error(checks: Checks) -> None:
    with pytest.raises(SpecError, match=r"not a regular expression|write a decimal number"):
        found({"a": 1, "b": 1}, checks)
