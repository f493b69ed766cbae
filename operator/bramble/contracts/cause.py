"""Why an attempt failed, and which of many reports of it comes first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bramble.contracts.base import Document

CauseKind = Literal["SpecError", "BadData", "Error", "Signal", "NodeLost", "PeerLost", "TryAgain", "Terminated", "Unknown"]

PRECEDENCE: tuple[CauseKind, ...] = ("SpecError", "BadData", "Error", "Signal", "NodeLost", "TryAgain", "PeerLost", "Terminated", "Unknown")
"""A rank's own error explains a lost peer and never the other way round; a signal from outside (SIGKILL, SIGSEGV) is
a rank's own end; `Terminated` is a rank that the launcher itself stopped because another had failed. Times are not
compared: pods do not fail in the order of their causes."""


class Cause(Document):
    """One report of a failure."""

    kind: CauseKind
    message: str
    """What, why and what to do, in a line."""
    rank: int | None = None
    node_rank: int | None = None
    node: str | None = None
    pod: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    lines: tuple[str, ...] = ()
    """The last lines of that rank's output, at most 20 of at most 300 characters."""


def first_cause(causes: Iterable[Cause]) -> Cause | None:
    """The report that explains the others: by kind, then by rank; None without any."""
    return min(causes, key=lambda cause: (PRECEDENCE.index(cause.kind), cause.rank if cause.rank is not None else 1 << 30), default=None)
