"""Computes accuracy, precision, recall and F1 from right and wrong answers. Figures are exact fractions until they are written to a result.

Where a figure would divide by zero:
- The precision of a class that is never answered is 0.
- A class without samples has no figures, and macro means are over the classes that have samples. An answer of such a class still counts
  against the recall of the class that should have been answered.

Every sample counts once, whatever its weight, because copies of a picture only repeat the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.tasks.classification import ClassFigures, ClassificationScores, Label
from bramble_workloads.tasks.base import Scorer
from bramble_workloads.tasks.classification.answer import Classified

Counts = NDArray[np.int64]


class Exact(NamedTuple):
    """The metrics of `ClassFigures`, over at least one sample."""

    accuracy: Fraction
    precision: Fraction
    recall: Fraction
    f1: Fraction


class Confusion(Scorer[Label, Classified]):
    """Counts of samples by true and answered label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.size = len(labels) ** 2
        self.counts: Counts = np.zeros((len(labels), len(labels)), np.int64)
        """The rows are the true classes and the columns the answered classes, both in the order of `labels`."""
        self._positions = {label: position for position, label in enumerate(labels)}

    def add(self, truth: Label, answer: Classified) -> None:
        """Count one sample.

        Raises:
            KeyError: a label is not one of `labels`.
        """
        self.count(truth.label, answer.label)

    def count(self, true: str, answered: str) -> None:
        """Count one sample by its labels.

        Raises:
            KeyError: a label is not one of `labels`.
        """
        self.counts[self._positions[true], self._positions[answered]] += 1

    def figure(self, metric: str, label: str | None) -> Fraction | None:
        """One metric, of all samples or of one class."""
        figures = self.overall() if label is None else self.of_class(label)
        if figures is None:
            return None
        value: Fraction = getattr(figures, metric)
        return value

    def scores(self) -> ClassificationScores:
        """The figures of all samples and of each class, and the confusion matrix.

        Raises:
            ValueError: no sample was added.
        """
        figures = self.overall()
        if figures is None:
            raise ValueError("no samples: there is no score")
        return ClassificationScores(
            overall=_rounded(figures, int(self.counts.sum())),
            labels=self.labels,
            per_class={
                label: _rounded(own, int(self.counts[position].sum()))
                for position, label in enumerate(self.labels)
                if (own := self.of_class(label)) is not None
            },
            confusion=tuple(tuple(int(count) for count in row) for row in self.counts),
        )

    def of_class(self, label: str) -> Exact | None:
        """The figures of one class; None where it has no sample. Its accuracy is its recall: the share of its samples that is right."""
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
            accuracy=Fraction(int(np.trace(self.counts)), int(self.counts.sum())),
            precision=_mean([figures.precision for figures in classes]),
            recall=_mean([figures.recall for figures in classes]),
            f1=_mean([figures.f1 for figures in classes]),
        )


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _rounded(figures: Exact, samples: int) -> ClassFigures:
    accuracy, precision, recall, f1 = map(float, figures)
    return ClassFigures(samples=samples, accuracy=accuracy, precision=precision, recall=recall, f1=f1)
