"""The files that a training program left in `$BRAMBLE_OUT`, wherever they lie now."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Output(Protocol):
    """Finds files by their names, which are paths below `$BRAMBLE_OUT`. A name only selects a file and is never used as a path."""

    def names(self) -> tuple[str, ...]:
        """Every file that can be read, sorted."""

    def opened(self, name: str) -> AbstractContextManager[Path]:
        """Open one of `names`. The path is valid inside the context only.

        Raises:
            SpecError: it is no longer a regular file.
            BadData: the store does not have it, or has other bytes.
        """
