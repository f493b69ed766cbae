"""Chooses the calibration samples, which decide the ranges of a quantised graph's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from bramble.contracts.manifest import Sample
from bramble_workloads.evaluate.samples import hash_order

PURPOSE = "calibration"


def choose_samples(train: Iterable[Sample], count: int) -> tuple[Sample, ...]:
    """Choose `count` samples of the train split, or all when there are fewer.

    Classes take turns, so that the ranges cover rare classes as well. Within a class the order is by hash, so that every machine chooses
    the same samples whatever the order of `train`.
    """
    classes: dict[str, list[Sample]] = {}
    for sample in hash_order(train, PURPOSE):
        classes.setdefault(sample.annotation.stratum, []).append(sample)
    return round_robin([classes[label] for label in sorted(classes)])[:count]


def round_robin(lists: Sequence[Sequence[Sample]]) -> tuple[Sample, ...]:
    """Take the first item of each list, then the second of each, until all are taken."""
    return tuple(sample for sample in chain.from_iterable(zip_longest(*lists)) if sample is not None)
