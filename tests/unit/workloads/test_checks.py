"""The checks of a dataset at their exact limits: a value on the limit passes, one beyond it does not."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.jobs.snapshot import Checks, Finding
from bramble.contracts.manifest import SPLITS, Split
from bramble.contracts.tasks.classification import CLASSIFICATION
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.checks import Divided, check

NO_CHECKS = Checks()


def divided(classes: dict[str, int], elsewhere: dict[str, dict[str, int]] | None = None, **more: Any) -> Divided:
    """Each split has all of these samples, unless `elsewhere` says otherwise. No split is too small, unless `sizes` says so."""
    counts: dict[Split, dict[str, int]] = {split: (elsewhere or {}).get(split, classes) for split in SPLITS}
    sizes = {split: 100 if any(counts[split].values()) else 0 for split in SPLITS}
    return Divided(**{"sizes": sizes, "counts": counts, "bound": {}, **more})


def found(classes: dict[str, int], checks: Checks = NO_CHECKS, elsewhere: dict[str, dict[str, int]] | None = None) -> dict[str, str]:
    """Severity of each finding by its check."""
    return {each.check: each.severity for each in check(divided(classes, elsewhere), checks, CLASSIFICATION)}


def only(dataset: Divided, checks: Checks = NO_CHECKS) -> Finding:
    (finding,) = check(dataset, checks, CLASSIFICATION)
    return finding


@pytest.mark.parametrize(
    ("classes", "checks", "expected"),
    [
        pytest.param({"a": 1, "b": 1}, NO_CHECKS, {}, id="two classes are enough"),
        pytest.param({"a": 2}, NO_CHECKS, {"classes": "error"}, id="one class is too few"),
        pytest.param({"a": 3, "b": 4}, Checks(min_samples_per_class=9), {}, id="exactly the smallest number of samples"),
        pytest.param({"a": 2, "b": 4}, Checks(min_samples_per_class=9), {"minSamplesPerClass": "error"}, id="one sample too few"),
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


@pytest.mark.parametrize(("val", "expected"), [(0, "has no samples"), (1, "val has 1 of the 4"), (3, "val has 3 of the 4"), (4, "")])
def test_val_has_as_many_samples_as_a_package_needs_golden_cases(val: int, expected: str) -> None:
    dataset = divided({"a": 2, "b": 2}, sizes={"train": 100, "val": val, "test": 1})
    messages = [each.message for each in check(dataset, NO_CHECKS, CLASSIFICATION) if each.severity == "error"]
    assert [expected in message for message in messages] == ([True] if expected else [])


@pytest.mark.parametrize(
    ("elsewhere", "sizes", "checks"),
    [
        pytest.param({"test": {}}, {}, NO_CHECKS, id="an empty split"),
        pytest.param({"test": {"a": 2}}, {}, NO_CHECKS, id="a class without a sample in test"),
        pytest.param({"train": {"a": 2}}, {}, NO_CHECKS, id="a class without a sample in train"),
        pytest.param({}, {"val": 3}, NO_CHECKS, id="a val split that is too small"),
        pytest.param({}, {}, Checks(min_samples_per_class=7), id="a class that is too small"),
    ],
)
def test_where_near_duplicates_may_be_the_reason_it_says_so(
    elsewhere: dict[str, dict[str, int]], sizes: dict[Split, int], checks: Checks
) -> None:
    dataset = divided({"a": 3, "b": 2}, elsewhere)
    sizes = {**dataset.sizes, **sizes}
    assert "near-duplicates" not in only(dataset._replace(sizes=sizes), checks).message
    assert "since 40 are near-duplicates" in only(dataset._replace(sizes=sizes, bound={"b": 40}), checks).message


def test_near_duplicates_of_other_classes_are_no_reason() -> None:
    assert "near-duplicates" not in only(divided({"a": 2, "b": 2}, {"test": {"a": 2}}, bound={"a": 40})).message


def test_a_message_names_few_of_thousands_of_classes() -> None:
    classes = {f"class {number}": 1 for number in range(5000)}
    finding = only(divided(classes), Checks(min_samples_per_class=9))
    assert (finding.count, len(finding.samples)) == (5000, 5000)
    assert len(finding.message) < 300


@pytest.mark.parametrize("checks", [Checks(max_imbalance="ten"), Checks(class_pattern="(")])
def test_a_check_that_cannot_be_carried_out_is_a_spec_error(checks: Checks) -> None:
    with pytest.raises(SpecError, match=r"not a regular expression|write a decimal number"):
        found({"a": 1, "b": 1}, checks)
