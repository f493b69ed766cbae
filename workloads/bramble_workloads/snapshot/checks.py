"""Checks whether training may use the samples. The functions are pure. Each check gives findings, in the order of the spec."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import NamedTuple

from bramble.contracts.jobs.snapshot import Checks, Finding
from bramble.contracts.manifest import Split
from bramble.contracts.names import first_names
from bramble.contracts.package import MIN_CASES
from bramble.contracts.tasks.base import TaskContract
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.findings import finding

NEEDED_FOR: Mapping[Split, str] = {"val": "training chooses the best epoch by them", "test": "models are judged by them"}
"""The splits beside train, and what their samples are for."""

NAMED_AT_MOST = 10


class Divided(NamedTuple):
    """Samples that were divided into splits.

    Attributes:
        sizes: for each split, the number of samples.
        counts: for each split and class, the number of samples that show the class.
        bound: for each class, how many of its pictures are left out as near-duplicates, or are in a group with one.
    """

    sizes: Mapping[Split, int]
    counts: Mapping[Split, Mapping[str, int]]
    bound: Mapping[str, int]

    @property
    def classes(self) -> Counter[str]:
        """For each class, the number of samples that show it."""
        total = Counter[str]()
        for shown in self.counts.values():
            total.update(shown)
        return total


def check(dataset: Divided, checks: Checks, task: TaskContract) -> tuple[Finding, ...]:
    """Check the classes and splits of a dataset and return the findings.

    Args:
        dataset: the samples.
        checks: the checks in the specification.
        task: the task of the dataset.

    Raises:
        SpecError: a check cannot be carried out as written.
    """
    classes = dataset.classes
    found = chain(
        _classes(classes, task),
        _alike(classes),
        _minimum(classes, dataset.bound, checks),
        _imbalance(classes, checks),
        _pattern(classes, checks),
        _splits(dataset),
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


def _minimum(classes: Mapping[str, int], bound: Mapping[str, int], checks: Checks) -> Iterator[Finding]:
    minimum = checks.min_samples_per_class
    if minimum is not None and (small := sorted(name for name, count in classes.items() if count < minimum)):
        have = first_names([f"{name} {classes[name]}" for name in small], NAMED_AT_MOST)
        advice = _bound(bound, small) or "add samples or lower it"
        yield finding("minSamplesPerClass", "error", f"classes with fewer than {minimum} samples ({have}): {advice}", small)


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


def _splits(dataset: Divided) -> Iterator[Finding]:
    classes, counts = dataset.classes, dataset.counts
    if untrained := sorted(name for name in classes if not counts["train"].get(name)):
        advice = _bound(dataset.bound, untrained) or "add samples, or raise splits.train"
        yield finding("splits", "error", f"classes without a sample in train: {advice}", untrained)
    for split, needed in NEEDED_FOR.items():
        if not dataset.sizes[split]:
            advice = _bound(dataset.bound) or "add samples, or more groups if splits.groupBy joins them"
            yield finding("splits", "error", f"{split} has no samples, and {needed}: {advice}", ())
        elif unseen := sorted(name for name in classes if not counts[split].get(name)):
            advice = _bound(dataset.bound, unseen)
            message = f"classes without a sample in {split}: they cannot be scored there"
            yield finding("splits", "warning", f"{message}. To change that, {advice}" if advice else message, unseen)
    if 0 < dataset.sizes["val"] < MIN_CASES:
        have = f"val has {dataset.sizes['val']} of the {MIN_CASES} samples that a ModelVersion needs for its golden cases"
        advice = _bound(dataset.bound) or "add samples, or raise splits.val"
        yield finding("splits", "error", f"{have}: {advice}", ())


def _bound(bound: Mapping[str, int], names: Iterable[str] | None = None) -> str:
    """What to do where near-duplicates may be why a split lacks samples of these classes, or of any; empty if they are not."""
    count = sum(bound.get(name, 0) for name in names) if names is not None else sum(bound.values())
    if not count:
        return ""
    return (
        f"add pictures of other scenes, since {count} are near-duplicates, which are left out or share a split; or divide them with"
        f" checks.duplicates: separate, if scores that are too high do no harm"
    )
