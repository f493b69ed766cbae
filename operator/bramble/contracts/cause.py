"""Why an attempt failed, and which of many reports of it comes first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict

from bramble.contracts.base import ExtensibleDocument

CauseKind = Literal["SpecError", "BadData", "Error", "Signal", "NodeLost", "PeerLost", "TryAgain", "Terminated", "Unknown"]

PRECEDENCE: tuple[CauseKind, ...] = ("SpecError", "BadData", "Error", "Signal", "NodeLost", "TryAgain", "PeerLost", "Terminated", "Unknown")
"""A rank's own error explains a lost peer and never the other way round; a signal from outside (SIGKILL, SIGSEGV) is
a rank's own end; `Terminated` is a rank that the launcher itself stopped because another had failed. Times are not
compared: pods do not fail in the order of their causes."""


LONGEST_MESSAGE, MOST_LINES, LONGEST_LINE = 1024, 20, 300
Line = Annotated[str, AfterValidator(lambda text: text[:LONGEST_LINE])]


class Cause(ExtensibleDocument):
    """One report of a failure. Texts are cut, for a cause lies in the store where a tenant may have written it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: CauseKind
    """What sort of failure: SpecError, BadData, Error, Signal, NodeLost, TryAgain, PeerLost, Terminated or Unknown."""
    message: Annotated[str, AfterValidator(lambda text: text[:LONGEST_MESSAGE])]
    """What, why and what to do, in a line."""
    rank: int | None = None
    """Of the process, counted over all pods of the attempt."""
    node_rank: int | None = None
    """Of its pod."""
    node: str | None = None
    """The Node that it ran on."""
    pod: str | None = None
    """Its pod."""
    exit_code: int | None = None
    """Its exit code, where it left one."""
    signal: str | None = None
    """The signal that ended it, such as SIGKILL."""
    lines: Annotated[tuple[Line, ...], AfterValidator(lambda lines: lines[-MOST_LINES:])] = ()
    """The last lines of that rank's output, at most 20 of at most 300 characters."""


def describe_cause(cause: Cause) -> str:
    """The cause in one line: its kind, which rank on which node, how it ended, and the message."""
    rank = f"rank {cause.rank}" if cause.rank is not None else f"node rank {cause.node_rank}" if cause.node_rank is not None else ""
    node = f"node {cause.node}" if cause.node else ""
    code = f"exit code {cause.exit_code}" if cause.exit_code is not None else ""
    details = ", ".join(detail for detail in (rank, node, code, cause.signal) if detail)
    return f"{cause.kind}{f' ({details})' if details else ''}: {cause.message}"


def first_cause(causes: Iterable[Cause]) -> Cause | None:
    """The report that explains the others: by kind, then by rank; None without any."""
    return min(causes, key=lambda cause: (PRECEDENCE.index(cause.kind), cause.rank if cause.rank is not None else 1 << 30), default=None)
