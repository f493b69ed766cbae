"""Checks whether training may use the samples. The functions are pure. Each check gives findings, in the order of the spec."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from itertools import chain

from bramble.contracts.jobs.snapshot import Checks, Finding
from bramble.contracts.manifest import Split
from bramble.contracts.tasks.base import TaskContract
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.findings import finding

NEEDED_FOR: Mapping[Split, str] = {"val": "training chooses the best epoch by them", "test": "models are judged by them"}
"""The splits beside train, and what their samples are for."""


def check(classes: Mapping[str, int], counts: Mapping[Split, Mapping[str, int]], checks: Checks, task: TaskContract) -> tuple[Finding, ...]:
    """Check the classes of a dataset and return the findings.

    Args:
        classes: for each class, the number of samples that show it.
        counts: for each split and class, the number of samples that show the class.
        checks: the checks in the specification.
        task: the task of the dataset.

    Raises:
        SpecError: a check cannot be carried out as written.
    """
    found = chain(
        _classes(classes, task),
        _alike(classes),
        _minimum(classes, checks),
        _imbalance(classes, checks),
        _pattern(classes, checks),
        _splits(classes, counts),
    )
    return tuple(found)


def _classes(classes: Mapping[str, int], task: TaskContract) -> Iterator[Finding]:
    if len(classes) < task.fewest_classes:
        message = f"the sources have {len(classes)} classes: {task.name} needs at least {task.fewest_classes}"
        yield finding("classes", "error", message, sorted(classes))


def _alike(classes: Mapping[str, int]) -> Iterator[Finding]:
    """Names that look the same to a person: they differ in case, in spaces, or in how Unicode composes letters (NFC and NFD)."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(classes):
        alike[" ".join(unicodedata.normalize("NFC", name).casefold().split())].append(name)
    if found := [name for names in alike.values() if len(names) > 1 for name in names]:
        yield finding(
            "classes", "warning", "class names that look alike are different classes: rename their folders if they are one", found
        )


def _minimum(classes: Mapping[str, int], checks: Checks) -> Iterator[Finding]:
    minimum = checks.min_samples_per_class
    if minimum is not None and (small := sorted(name for name, count in classes.items() if count < minimum)):
        have = ", ".join(f"{name} {classes[name]}" for name in small)
        yield finding("minSamplesPerClass", "error", f"classes with fewer than {minimum} samples ({have}): add samples or lower it", small)


def _imbalance(classes: Mapping[str, int], checks: Checks) -> Iterator[Finding]:
    if checks.max_imbalance is None or not classes:
        return
    try:
        limit = Decimal(checks.max_imbalance)
    except InvalidOperation as error:
        raise SpecError(f"checks.maxImbalance is {checks.max_imbalance!r}: write a decimal number, such as '10'") from error
    most, least = max(classes, key=lambda name: classes[name]), min(classes, key=lambda name: classes[name])
    if Decimal(classes[most]) > limit * classes[least]:
        message = f"{most} has {classes[most]} samples and {least} has {classes[least]}: more than {limit} to 1 (maxImbalance)"
        yield finding("maxImbalance", "error", message, [most, least])


def _pattern(classes: Mapping[str, int], checks: Checks) -> Iterator[Finding]:
    if checks.class_pattern is None:
        return
    try:
        pattern = re.compile(checks.class_pattern)
    except re.error as error:
        raise SpecError(f"checks.classPattern is {checks.class_pattern!r}, which is not a regular expression: {error}") from error
    if wrong := sorted(name for name in classes if not pattern.fullmatch(name)):
        yield finding("classPattern", "error", f"class names that do not match {checks.class_pattern}: rename their folders", wrong)


def _splits(classes: Mapping[str, int], counts: Mapping[Split, Mapping[str, int]]) -> Iterator[Finding]:
    if untrained := sorted(name for name in classes if not counts["train"].get(name)):
        yield finding("splits", "error", "classes without a sample in train: add samples, or raise splits.train", untrained)
    for split, needed in NEEDED_FOR.items():
        if classes and not any(counts[split].values()):
            message = (
                f"{split} has no samples, and {needed}: add samples, or more groups if splits.groupBy joins them; or raise splits.{split}"
            )
            yield finding("splits", "error", message, ())
        elif unseen := sorted(name for name in classes if not counts[split].get(name)):
            yield finding("splits", "warning", f"classes without a sample in {split}: they cannot be scored there", unseen)
