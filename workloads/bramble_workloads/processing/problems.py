"""Collects what is wrong with a description, so that a person is told all of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bramble_workloads.errors import SpecError
from bramble_workloads.processing.errors import DescriptionError

TOLD_AT_MOST = 8
"""Problems that a message has. Each may be as long as a list of labels."""


class Problems:
    """The problems that were found so far, in order."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Go on after the body although it raised a SpecError, and remember its message."""
        try:
            yield
        except SpecError as error:
            self.add(str(error))

    def add(self, problem: str) -> None:
        """Remember a problem, once."""
        if problem not in self._found:
            self._found.append(problem)

    def require_none(self) -> None:
        """Raise what was found.

        Raises:
            DescriptionError: there is a problem. The message has the first eight.
        """
        if self._found:
            told, more = self._found[:TOLD_AT_MOST], len(self._found) - TOLD_AT_MOST
            raise DescriptionError("; ".join([*told, f"and {more} more problems"] if more > 0 else told))
