"""Every sample's true and answered label, counted whole or by slice. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bramble.contracts.jobs.evaluate import Part
from bramble.contracts.manifest import Sample
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.scoring import Confusion, part_of

MOST_CELLS = 200_000
"""Of all confusion matrices of a column: the result is one small document."""


class Answered(NamedTuple):
    """One sample and the label that the model gave it."""

    sample: Sample
    label: str


class Table:
    """Answers, counted as asked. A sample that lacks a column which others have stands there with the empty value."""

    def __init__(self, answered: Iterable[Answered], labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._answered = tuple(answered)
        self._columns = {column for each in self._answered for column in each.sample.meta}

    def whole(self) -> Confusion:
        """All samples."""
        return self._count(self._answered)

    def within(self, where: str) -> Confusion:
        """The samples of the slice `column=value`; it may be empty."""
        column, _, value = where.partition("=")
        if column not in self._columns:
            return self._count(())
        return self._count(each for each in self._answered if each.sample.meta.get(column, "") == value)

    def slices(self, column: str) -> dict[str, Part]:
        """Scores by value of a column, in order of value; empty where no sample has the column.

        Raises:
            SpecError: the column has too many values to keep a confusion matrix of each.
        """
        if column not in self._columns:
            return {}
        parts: dict[str, list[Answered]] = {}
        for each in self._answered:
            parts.setdefault(each.sample.meta.get(column, ""), []).append(each)
        if len(parts) * len(self.labels) ** 2 > MOST_CELLS:
            what = f"{column!r} has {len(parts)} values, each with {len(self.labels)} classes"
            raise SpecError(f"evaluation.slices: {what}: name a column with fewer values")
        return {value: part_of(self._count(parts[value])) for value in sorted(parts)}

    def _count(self, answered: Iterable[Answered]) -> Confusion:
        confusion = Confusion(self.labels)
        for each in answered:
            confusion.add(each.sample.label, each.label)
        return confusion
