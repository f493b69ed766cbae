"""Counts the values of the columns of samples' `meta`, as far as the header of a version has room for them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bramble.contracts.canonical import text_bytes

MOST_COLUMNS, MOST_VALUES, MOST_BYTES = 32, 200, 256
"""Columns, values of a column, and bytes of the name of a column or of a value in JSON. Together less than 2 MiB of the header. The
operator reads it whole."""


class Slices:
    """The slices of some samples: for each column, how many samples have each value."""

    def __init__(self) -> None:
        self._samples = 0
        self._columns: dict[str, Counter[str] | None] = {}

    def add(self, meta: Mapping[str, str]) -> None:
        """Count one sample."""
        self._samples += 1
        for column, value in meta.items():
            values = self._columns.setdefault(column, Counter())
            if values is None:
                continue
            values[value] += 1
            if values[value] == 1 and (len(values) > MOST_VALUES or text_bytes(value) > MOST_BYTES):
                self._columns[column] = None

    def counts(self) -> dict[str, dict[str, int] | None] | None:
        """For each column the number of samples with each value, both sorted; a sample without the column has the empty value.

        Returns:
            None for a column with more than 200 values, or one of more than 256 bytes; None in place of everything if there are more than
            32 columns, or if the name of one is as long.
        """
        if len(self._columns) > MOST_COLUMNS or any(text_bytes(column) > MOST_BYTES for column in self._columns):
            return None
        return {column: self._complete(values) if values is not None else None for column, values in sorted(self._columns.items())}

    def _complete(self, values: Counter[str]) -> dict[str, int]:
        without = self._samples - values.total()
        return dict(sorted((values + Counter({"": without})).items()))
