"""Why an attempt failed, and which of several reports explains the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict

from bramble.contracts.base import ExtensibleDocument

CauseKind = Literal["SpecError", "BadData", "Error", "Signal", "NodeLost", "Disrupted", "TryAgain", "PeerLost", "Terminated", "Unknown"]

PRECEDENCE: tuple[CauseKind, ...] = get_args(CauseKind)
"""The kind that comes earlier explains the kinds that come later. A rank's own error explains that other ranks lost their peer, and never
the other way round. `Signal` (SIGKILL, SIGSEGV) ended a rank from outside or by a crash. `Disrupted` is a pod that was asked to end
(SIGTERM): it was preempted, evicted, drained or deleted. `Terminated` is a rank that stopped because another one had to. Times are not
compared, because pods do not fail in the order of their causes."""


LONGEST_MESSAGE, MOST_LINES, LONGEST_LINE = 1024, 20, 300
Line = Annotated[str, AfterValidator(lambda text: text[:LONGEST_LINE])]


class Cause(ExtensibleDocument):
    """One report of a failure. Texts are cut and not refused, because the user's program may have written them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: CauseKind
    """The kind of failure: SpecError, BadData, Error, Signal, NodeLost, Disrupted, TryAgain, PeerLost, Terminated or Unknown."""
    message: Annotated[str, AfterValidator(lambda text: text[:LONGEST_MESSAGE])]
    """What happened, why, and what to do, in one line."""
    rank: int | None = None
    """The rank of the process, counted over all pods of the attempt."""
    node_rank: int | None = None
    """The rank of its pod in the attempt."""
    node: str | None = None
    """The name of the node that it ran on."""
    pod: str | None = None
    """The name of its pod."""
    exit_code: int | None = None
    """Its exit code, if it has one."""
    signal: str | None = None
    """The signal that ended it, such as SIGKILL."""
    lines: Annotated[tuple[Line, ...], AfterValidator(lambda lines: lines[-MOST_LINES:])] = ()
    """The last lines of the rank's output, at most 20 lines of at most 300 characters."""


def describe_cause(cause: Cause) -> str:
    """The cause in one line: its kind, which rank on which node, how it ended, and the message."""
    rank = f"rank {cause.rank}" if cause.rank is not None else f"node rank {cause.node_rank}" if cause.node_rank is not None else ""
    node = f"node {cause.node}" if cause.node else ""
    code = f"exit code {cause.exit_code}" if cause.exit_code is not None else ""
    details = ", ".join(detail for detail in (rank, node, code, cause.signal) if detail)
    return f"{cause.kind}{f' ({details})' if details else ''}: {cause.message}"


def first_cause(causes: Iterable[Cause]) -> Cause | None:
    """The report that explains the others: the first by kind, then by rank. None if there is no report."""
    return min(causes, key=lambda cause: (PRECEDENCE.index(cause.kind), cause.rank if cause.rank is not None else 1 << 30), default=None)
