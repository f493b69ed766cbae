"""Scores the answers of a model for all samples, for the slices of a column, and for a gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from bramble.contracts.canonical import digest_of, short, text_bytes
from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Sample
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Scores
from bramble_workloads.tasks.base import Answer, Scorer
from bramble_workloads.tasks.catalogue import task_of

MOST_VALUES, MOST_VALUE_BYTES = 500, 256
"""Slices of a column that are scored, and bytes of the value of one in JSON. A longer one is scored under its beginning and a digest."""
DIGEST_DIGITS = 8
MOST_BYTES = 3 * 1024 * 1024
"""Bytes of the details of all slices of all columns, because the operator reads the result as one document (`LARGEST_DOCUMENT`). All slices
without details take at most 1.5 MiB, and the details of all samples 3.2 MiB with as many classes as a package can name."""


class Answered(NamedTuple):
    """One sample and a model's answer to it."""

    sample: Sample
    answer: Answer[Any]


class Slices(NamedTuple):
    """Scores of slices.

    Attributes:
        scores: the scores by column and value.
        unknown: the columns that no sample has.
        left_out: what is left out of the scores, in words.
    """

    scores: dict[str, dict[str, Scores]]
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def short_name(value: str) -> str:
    """The name of the slice of a value: the value or, if it has more than 256 bytes in JSON, its beginning and digits of its sha256."""
    if text_bytes(value) <= MOST_VALUE_BYTES:
        return value
    end = f"… ({short(digest_of(value.encode()))[:DIGEST_DIGITS]})"
    beginning, room = value[:MOST_VALUE_BYTES], MOST_VALUE_BYTES - text_bytes(end)
    while text_bytes(beginning) > room:
        beginning = beginning[:-1]
    return beginning + end


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

    def remark(self) -> str | None:
        """What the answers to all samples suggest."""
        return self._count(self._answered).remark()

    def slices(self, columns: Sequence[str]) -> Slices:
        """The scores for each value of each column, sorted by value; of a column that no sample has, none.

        Only the 500 values of a column with the most samples are scored, those of more than 256 bytes under `short_name`. Columns whose
        details would make the result too large have none.
        """
        scores: dict[str, dict[str, Scores]] = {}
        left_out: list[str] = []
        room = MOST_BYTES
        for column in columns:
            parts = self._parts(column)
            largest = sorted(parts, key=lambda value: (-len(parts[value]), value))
            counted = {short_name(value): self._count(parts[value]) for value in sorted(largest[:MOST_VALUES])}
            if len(counted) < len(parts):
                left_out.append(f"{len(parts) - len(counted)} of {len(parts)} values of {column}, those with the fewest samples")
            if (size := sum(each.size for each in counted.values())) <= room:
                room -= size
                scores[column] = {value: each.slice_scores() for value, each in counted.items()}
            else:
                left_out.append(f"all but the overall scores of the slices of {column}")
                scores[column] = {value: each.summary() for value, each in counted.items()}
        return Slices(scores, tuple(column for column in columns if column not in self._columns), tuple(left_out))

    def _parts(self, column: str) -> dict[str, list[Answered]]:
        """The samples by their value of a column; empty where no sample has the column."""
        parts: dict[str, list[Answered]] = {}
        for each in self._answered if column in self._columns else ():
            parts.setdefault(each.sample.meta.get(column, ""), []).append(each)
        return parts

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
