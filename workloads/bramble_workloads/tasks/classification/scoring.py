"""Computes accuracy, precision, recall and F1 from right and wrong answers. Figures are exact fractions until they are written to a result.

Where a figure would divide by zero:
- The precision of a class that is never answered is 0.
- A class without samples has no figures, and macro means are over the classes that have samples. An answer of such a class still counts
  against the recall of the class that should have been answered.

Every sample counts once, whatever its weight, because copies of a picture only repeat the same answer.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from bramble.contracts.canonical import text_bytes
from bramble.contracts.names import first_names
from bramble.contracts.tasks.classification import ClassFigures, ClassificationScores, Label
from bramble_workloads.tasks.base import Scorer
from bramble_workloads.tasks.classification.answer import Classified

NAMED_AT_MOST = 4
MOST_CELLS = 50_000
"""Cells of a confusion matrix that are kept, about 1 MiB."""
CELL_BYTES, CLASS_BYTES = 20, 132
"""About as many bytes of JSON has a cell, and a class beside its name."""
EXCHANGED = Fraction(9, 10)
"""Labels count as exchanged if another assignment of them would reach this accuracy, and theirs does not."""


class Exact(NamedTuple):
    """The metrics of `ClassFigures`, over at least one sample."""

    accuracy: Fraction
    precision: Fraction
    recall: Fraction
    f1: Fraction


class Confusion(Scorer[Label, Classified]):
    """Counts of samples by true and answered label. It holds the counts that are not zero, since there may be thousands of classes."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._positions = _positions(self.labels)
        self._cells = Counter[tuple[int, int]]()
        self._true, self._answered = Counter[int](), Counter[int]()

    @property
    def size(self) -> int:
        """The bytes of the classes that have a sample, and of the cells that are not zero."""
        names = sum(text_bytes(self.labels[position]) for position in self._true)
        return names + CLASS_BYTES * len(self._true) + CELL_BYTES * min(len(self._cells), MOST_CELLS)

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
        row, column = self._positions[true], self._positions[answered]
        self._cells[row, column] += 1
        self._true[row] += 1
        self._answered[column] += 1

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
        return self.slice_scores().model_copy(update={"labels": self.labels})

    def slice_scores(self) -> ClassificationScores:
        """The same without the labels.

        Raises:
            ValueError: no sample was added.
        """
        return self.summary().model_copy(
            update={
                "per_class": {self.labels[true]: _rounded(self._figures(true), self._true[true]) for true in sorted(self._true)},
                "cells": tuple(sorted((*cell, self._cells[cell]) for cell in self._largest_first()[:MOST_CELLS])),
            }
        )

    def summary(self) -> ClassificationScores:
        """The figures of all samples.

        Raises:
            ValueError: no sample was added.
        """
        figures = self.overall()
        if figures is None:
            raise ValueError("no samples: there is no score")
        return ClassificationScores(overall=_rounded(figures, self._true.total()))

    def remark(self) -> str | None:
        """Names labels that seem to be exchanged: if each class were the one that it is mostly answered as, nearly all would be right."""
        mostly = dict(reversed(self._largest_first()))
        right = sum(self._cells[true, true] for true in self._true)
        otherwise = sum(self._cells[cell] for cell in mostly.items())
        if len(set(mostly.values())) < len(mostly) or not right < EXCHANGED * self._true.total() <= otherwise:
            return None
        moved = [f"{self.labels[true]} as {self.labels[answered]}" for true, answered in sorted(mostly.items()) if true != answered]
        return (
            f"labels may be exchanged between train and test: {first_names(moved, NAMED_AT_MOST)} would make"
            f" {otherwise} of {self._true.total()} answers right instead of {right}"
        )

    def of_class(self, label: str) -> Exact | None:
        """The figures of one class; None where it has no sample. Its accuracy is its recall: the share of its samples that is right."""
        position = self._positions.get(label)
        return self._figures(position) if position is not None and self._true[position] else None

    def overall(self) -> Exact | None:
        """Accuracy over all samples; macro means of precision, recall and F1. None without samples."""
        classes = [self._figures(position) for position in sorted(self._true)]
        if not classes:
            return None
        return Exact(
            accuracy=Fraction(sum(self._cells[position, position] for position in self._true), self._true.total()),
            precision=_mean([figures.precision for figures in classes]),
            recall=_mean([figures.recall for figures in classes]),
            f1=_mean([figures.f1 for figures in classes]),
        )

    def _largest_first(self) -> list[tuple[int, int]]:
        return sorted(self._cells, key=lambda cell: (-self._cells[cell], cell))

    def _figures(self, position: int) -> Exact:
        """The figures of a class that has a sample."""
        right, true, answered = self._cells[position, position], self._true[position], self._answered[position]
        recall = Fraction(right, true)
        return Exact(
            accuracy=recall,
            precision=Fraction(right, answered) if answered else Fraction(0),
            recall=recall,
            f1=Fraction(2 * right, true + answered),
        )


@functools.lru_cache(maxsize=1)
def _positions(labels: tuple[str, ...]) -> Mapping[str, int]:
    """The position of each label. All scorers of one model share it: there is one for each slice, and thousands of labels."""
    return {label: position for position, label in enumerate(labels)}


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _rounded(figures: Exact, samples: int) -> ClassFigures:
    accuracy, precision, recall, f1 = map(float, figures)
    return ClassFigures(samples=samples, accuracy=accuracy, precision=precision, recall=recall, f1=f1)
