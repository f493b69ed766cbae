"""What the data must be for training to begin. Pure: each check gives findings, in the order of the specification."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import chain

from bramble.contracts.jobs.snapshot import Checks, Finding
from bramble.contracts.manifest import Split
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.findings import finding

CLASSES = 2
"""Fewer cannot be told apart."""


def check(labels: Sequence[str], counts: Mapping[Split, Mapping[str, int]], checks: Checks) -> tuple[Finding, ...]:
    """All findings about the classes of a dataset.

    Args:
        labels: one a sample.
        counts: split to class to number of samples.
        checks: as the specification has them.

    Raises:
        SpecError: a check cannot be carried out as written.
    """
    classes = Counter(labels)
    found = (_classes(classes), _minimum(classes, checks), _imbalance(classes, checks), _pattern(classes, checks), _splits(classes, counts))
    return tuple(chain.from_iterable(found))


def _classes(classes: Mapping[str, int]) -> Iterator[Finding]:
    if len(classes) < CLASSES:
        yield finding("classes", "error", f"{len(classes)} classes: at least {CLASSES} folders are needed in the sources", sorted(classes))


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
        raise SpecError(f"checks.classPattern is {checks.class_pattern!r}: no regular expression ({error})") from error
    if wrong := sorted(name for name in classes if not pattern.fullmatch(name)):
        yield finding("classPattern", "error", f"class names that do not match {checks.class_pattern}: rename their folders", wrong)


def _splits(classes: Mapping[str, int], counts: Mapping[Split, Mapping[str, int]]) -> Iterator[Finding]:
    if untrained := sorted(name for name in classes if not counts["train"].get(name)):
        yield finding("splits", "error", "classes without a sample in train: add samples, or raise splits.train", untrained)
    for split in ("val", "test"):
        if unseen := sorted(name for name in classes if counts[split] and not counts[split].get(name)):
            yield finding("splits", "warning", f"classes without a sample in {split}: no figure can be given for them there", unseen)
