"""Which pictures choose the ranges of int8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from bramble.contracts.manifest import Sample
from bramble_workloads.evaluate.samples import hash_order

PURPOSE = "calibration"


def choose(train: Iterable[Sample], count: int) -> tuple[Sample, ...]:
    """So many samples of the train split, or all where there are fewer: classes in turn, so that rare ones widen the ranges too.

    Within a class the order is by hash: the same samples on every machine, whatever the order of `train`.
    """
    classes: dict[str, list[Sample]] = {}
    for sample in hash_order(train, PURPOSE):
        classes.setdefault(sample.label, []).append(sample)
    return round_robin([classes[label] for label in sorted(classes)])[:count]


def round_robin(lists: Sequence[Sequence[Sample]]) -> tuple[Sample, ...]:
    """The first of each list, then the second of each, until all are taken."""
    return tuple(sample for sample in chain.from_iterable(zip_longest(*lists)) if sample is not None)
