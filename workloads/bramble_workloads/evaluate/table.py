"""Scores the answers of a model for all samples, for the slices of a column, and for a gate."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Sample
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Scores
from bramble_workloads.errors import SpecError
from bramble_workloads.tasks.base import Answer, Scorer
from bramble_workloads.tasks.catalogue import task_of

MOST_NUMBERS = 200_000
"""The most numbers that all slices of a column may have together, because the result is one small document."""


class Answered(NamedTuple):
    """One sample and a model's answer to it."""

    sample: Sample
    answer: Answer[Any]


class Table:
    """The answers of one model. A sample without a column that other samples have belongs to the slice of the empty value."""

    def __init__(self, answered: Iterable[Answered], description: ModelDescription) -> None:
        self._answered = tuple(answered)
        self._description = description
        self._columns = {column for each in self._answered for column in each.sample.meta}

    def scores(self) -> Scores:
        """The scores of all samples."""
        return self._count(self._answered).scores()

    def figure(self, gate: Gate) -> Fraction | None:
        """The value of the metric that a gate names; None where there is no sample to measure it on."""
        counted = self._answered if gate.slice is None else self._within(gate.slice)
        return self._count(counted).figure(gate.metric, gate.label) if counted else None

    def slices(self, column: str) -> dict[str, Scores]:
        """The scores for each value of a column, sorted by value; empty where no sample has the column.

        Raises:
            SpecError: the column has so many values that their scores would make the result too large.
        """
        if column not in self._columns:
            return {}
        parts: dict[str, list[Answered]] = {}
        for each in self._answered:
            parts.setdefault(each.sample.meta.get(column, ""), []).append(each)
        size = self._count(()).size
        if len(parts) * size > MOST_NUMBERS:
            raise SpecError(
                f"evaluation.slices: {column!r} has {len(parts)} values, each with about {size} numbers: name a column with fewer values"
            )
        return {value: self._count(parts[value]).scores() for value in sorted(parts)}

    def _within(self, where: str) -> tuple[Answered, ...]:
        """The samples of the slice `column=value`."""
        column, _, value = where.partition("=")
        if column not in self._columns:
            return ()
        return tuple(each for each in self._answered if each.sample.meta.get(column, "") == value)

    def _count(self, answered: Iterable[Answered]) -> Scorer[Any, Any]:
        scorer = task_of(self._description.task).scorer(self._description)
        for each in answered:
            scorer.add(each.sample.annotation, each.answer)
        return scorer
