"""Right and wrong answers to accuracy, precision, recall and F1. Pure, and exact: fractions until the figures leave.

Where a figure would divide by zero:
- precision of a class that is never answered is 0: nothing that it claimed was right;
- a class without samples has no figures, and macro means are over the classes that have some. Answers of such a class still count
  against the recall of the classes they should have been.

Every sample counts once, whatever its weight: copies of one picture would only repeat one outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.jobs.evaluate import Part, Scores

Counts = NDArray[np.int64]
METRICS = ("accuracy", "precision", "recall", "f1")


class Exact(NamedTuple):
    """The figures of `Scores`, over at least one sample."""

    accuracy: Fraction
    precision: Fraction
    recall: Fraction
    f1: Fraction


class Confusion:
    """Counts of samples by true and answered label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.counts: Counts = np.zeros((len(labels), len(labels)), np.int64)
        """Rows are true classes, columns answered ones, both in the order of `labels`."""
        self._positions = {label: position for position, label in enumerate(labels)}

    def add(self, true: str, answered: str) -> None:
        """One sample. Raises KeyError: a label is not one of `labels`."""
        self.counts[self._positions[true], self._positions[answered]] += 1

    @property
    def samples(self) -> int:
        """How many there are in all."""
        return int(self.counts.sum())

    def of_class(self, label: str) -> Exact | None:
        """The figures of one class, None where it has no sample. Its accuracy is the share of its own samples that is right: its recall."""
        position = self._positions.get(label)
        if position is None or not self.counts[position].any():
            return None
        right = int(self.counts[position, position])
        true, answered = int(self.counts[position].sum()), int(self.counts[:, position].sum())
        recall = Fraction(right, true)
        return Exact(
            accuracy=recall,
            precision=Fraction(right, answered) if answered else Fraction(0),
            recall=recall,
            f1=Fraction(2 * right, true + answered),
        )

    def overall(self) -> Exact | None:
        """Accuracy over all samples; macro means of precision, recall and F1. None without samples."""
        classes = [figures for label in self.labels if (figures := self.of_class(label)) is not None]
        if not classes:
            return None
        return Exact(
            accuracy=Fraction(int(np.trace(self.counts)), self.samples),
            precision=_mean([figures.precision for figures in classes]),
            recall=_mean([figures.recall for figures in classes]),
            f1=_mean([figures.f1 for figures in classes]),
        )


def scores_of(confusion: Confusion) -> Scores:
    """The overall scores.

    Raises:
        ValueError: there is no sample, so there is no score.
    """
    figures = confusion.overall()
    if figures is None:
        raise ValueError("no samples: there is no score")
    return _scores(figures, confusion.samples)


def scores_by_class(confusion: Confusion) -> dict[str, Scores]:
    """The scores of every class that has samples; `samples` are those of the class."""
    support = confusion.counts.sum(axis=1)
    return {
        label: _scores(figures, int(count))
        for label, count in zip(confusion.labels, support, strict=True)
        if (figures := confusion.of_class(label)) is not None
    }


def part_of(confusion: Confusion) -> Part:
    """Everything told of some samples. Raises ValueError: there is none."""
    counts = tuple(tuple(int(count) for count in row) for row in confusion.counts)
    return Part(overall=scores_of(confusion), per_class=scores_by_class(confusion), confusion=counts)


def metrics_of(scores: Scores) -> dict[str, float]:
    """The four metrics by name, as results and limits on drops name them."""
    return {name: getattr(scores, name) for name in METRICS}


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _scores(figures: Exact, samples: int) -> Scores:
    accuracy, precision, recall, f1 = map(float, figures)
    return Scores(samples=samples, accuracy=accuracy, precision=precision, recall=recall, f1=f1)
