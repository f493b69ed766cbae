"""Which process of an agent speaks for a node, and whether two of them do at the same time. No I/O.

A node has one agent. Another process is its successor, because the agent's folder has a lock. A copied SD card, or a board that was
restored while the old one still runs, gives two machines one node name and one identity, and both report.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from bramble.contracts.report import OFFLINE_SECONDS, Report
from bramble.kinds.sources import TwoAgents

LATE_REPORTS = 2
"""So many reports of a process, each later than `OFFLINE_SECONDS` after the first one of its successor, show that it still runs. An agent
gives up a report after 15 s, so the last one of a process that has ended may arrive late, but not so many so late."""

TOLD_SECONDS = 60.0
"""How long after its last report such a process counts as running. A replica keeps the newest report only, so some are never seen."""

KEPT = 4
"""How many former processes of a node are known."""


class Process(NamedTuple):
    """One process of an agent."""

    boot_id: str
    instance: str

    @classmethod
    def of(cls, report: Report) -> Process:
        """The process that sent a report."""
        return cls(report.boot_id, report.instance)


@dataclass(slots=True)
class _Former:
    """A process after which another one has reported.

    Attributes:
        sequence: of its last report.
        since: when its successor's first report arrived.
        heard_at: when a report of it last arrived after that; None if none did.
        late: how many reports of it arrived so late that it must still run.
    """

    sequence: int
    since: float
    heard_at: float | None = None
    late: int = 0

    def runs(self, now: float) -> bool:
        return self.late >= LATE_REPORTS and self.heard_at is not None and now - self.heard_at < TOLD_SECONDS


NONE: OrderedDict[Process, _Former] = OrderedDict()


class AgentProcesses:
    """The former processes of each node's agent."""

    def __init__(self) -> None:
        self._former: dict[str, OrderedDict[Process, _Former]] = {}

    def succeeded(self, before: Report, report: Report, at: float) -> None:
        """Another process speaks for a node from now on."""
        former = self._former.setdefault(report.node, OrderedDict())
        former.pop(Process.of(report), None)
        former[Process.of(before)] = _Former(before.sequence, at)
        if len(former) > KEPT:
            former.popitem(last=False)

    def is_former(self, report: Report, at: float, present_at: float) -> bool:
        """Whether a report is of a former process, and so says nothing of the node.

        The process that reported first for the node last speaks for it, until it has been silent for `OFFLINE_SECONDS`. Otherwise the
        node's state, and its counts, would be those of one machine and of the other in turn.

        Args:
            at: when the report arrived.
            present_at: when the present process last reported.
        """
        known = self._known(report)
        if known is None or (report.sequence > known.sequence and at - present_at >= OFFLINE_SECONDS):
            return False
        if report.sequence > known.sequence and at > known.since:
            known.sequence, known.heard_at = report.sequence, at
            known.late += at - known.since >= OFFLINE_SECONDS
        return True

    def returned(self, report: Report) -> bool:
        """Whether this process, a former one, has reported after its successor."""
        known = self._known(report)
        return known is not None and known.heard_at is not None

    def two_agents(self, node: str, present: Report, now: float) -> TwoAgents | None:
        """The agents that report for a node at the same time; None if there is one."""
        running = [process for process, known in self._former.get(node, NONE).items() if known.runs(now)]
        return TwoAgents(machines=len({present.boot_id, *(process.boot_id for process in running)})) if running else None

    def _known(self, report: Report) -> _Former | None:
        """What is known of the process that sent a report; None unless it is a former one."""
        return self._former.get(report.node, NONE).get(Process.of(report))

    def forget(self, before: float) -> None:
        """Drop processes that have not been heard of since then."""
        kept = {
            node: OrderedDict((process, known) for process, known in former.items() if (known.heard_at or known.since) > before)
            for node, former in self._former.items()
        }
        self._former = {node: former for node, former in kept.items() if former}
