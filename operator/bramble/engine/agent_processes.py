"""Which process of an agent speaks for a node, and whether two of them do at the same time. No I/O.

A node has one agent. Another process is its successor, because the agent's folder has a lock. A copied SD card, or a board that was
restored while the old one still runs, gives two machines one node name and one identity, and both report.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from bramble.contracts.report import OFFLINE_SECONDS, Report
from bramble.kinds.sources import TwoAgents

LATE_REPORTS = 2
"""So many reports of a process, each later than `OFFLINE_SECONDS` after the first one of its successor, show that it still runs. The last
report of a process that has ended may arrive late, but not so many so late."""

TOLD_SECONDS = 60.0
"""How long after its last report such a process counts as running. A replica keeps the newest report only, so some are never seen."""

RETURNS = 2
"""A machine that came back after another one had spoken for its node counts as running for so many times as long as it had been away: its
agent may crash at each start. That is an hour at most."""

LONGEST_TOLD_SECONDS = 3600.0

KEPT = 16
"""How many former processes of a node are known. Those that were not heard of for longest are dropped first, so an agent that crashes again
and again hides no other one. One card may have been copied many times."""


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
        self._former: OrderedDict[str, OrderedDict[Process, _Former]] = OrderedDict()
        self._back: dict[str, tuple[float, int]] = {}
        """Node whose present process was a former one before: since when it speaks again, and its `_Former.late`."""
        self._machines: dict[str, tuple[float, frozenset[str]]] = {}
        """Node of which a machine came back after another one had spoken for it: until when that is told, and the boots of both."""

    def succeeded(self, before: Report, before_at: float, report: Report, at: float) -> None:
        """Another process speaks for a node from now on. If it is a former one, that is a late report of it.

        Args:
            before_at: when the process that spoke for the node last reported.
        """
        former = self._former.setdefault(report.node, OrderedDict())
        self._former.move_to_end(report.node)
        if (away := self._away_for(before, report, at)) is not None:
            told = min(LONGEST_TOLD_SECONDS, max(TOLD_SECONDS, RETURNS * away))
            self._machines[report.node] = at + told, frozenset({before.boot_id, report.boot_id})
        back_at, late = self._back.pop(report.node, (at, 0))
        late = late if at - back_at < TOLD_SECONDS else 0
        if (back := former.pop(Process.of(report), None)) is not None:
            self._back[report.node] = at, back.late + 1
            late = max(late, back.late + 1) if back.late + 1 >= LATE_REPORTS else late
        former[Process.of(before)] = _Former(before.sequence, at, before_at if late else None, late)
        if len(former) > KEPT:
            former.popitem(last=False)

    def _away_for(self, before: Report, report: Report, at: float) -> float | None:
        """For how long another machine had spoken for the node before a new process of this one did; None unless that is so.

        No machine comes back to a boot after another boot. The first report of a process may be late, but not by `OFFLINE_SECONDS`.
        """
        if before.boot_id == report.boot_id or self.is_known(report):
            return None
        since = [known.since for process, known in self._former[report.node].items() if process.boot_id == report.boot_id]
        return at - max(since) if since and at - max(since) >= OFFLINE_SECONDS else None

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
            self._former[report.node].move_to_end(Process.of(report))
            self._former.move_to_end(report.node)
        return True

    def is_known(self, report: Report) -> bool:
        """Whether this process has spoken for the node before another one did."""
        return self._known(report) is not None

    def returned(self, report: Report) -> bool:
        """Whether this process, a former one, has reported after its successor."""
        known = self._known(report)
        return known is not None and known.heard_at is not None and known.heard_at > known.since

    @property
    def nodes(self) -> Collection[str]:
        """The nodes whose agent has started again: few of them, while there are thousands without a former process."""
        return self._former.keys()

    def two_agents(self, node: str, present: Report, now: float) -> TwoAgents | None:
        """The agents that report for a node at the same time; None if there is one."""
        running = [process.boot_id for process, known in self._former.get(node, NONE).items() if known.runs(now)]
        until, machines = self._machines.get(node, (now, frozenset()))
        running += machines if now < until else ()
        return TwoAgents(machines=len({present.boot_id, *running})) if running else None

    def _known(self, report: Report) -> _Former | None:
        """What is known of the process that sent a report; None unless it is a former one."""
        return self._former.get(report.node, NONE).get(Process.of(report))

    def forget(self, before: float) -> None:
        """Drop the nodes of which no former process has been heard of since then. They are in the order in which they were heard of."""
        while self._former:
            node, former = next(iter(self._former.items()))
            if any((known.heard_at or known.since) > before for known in former.values()):
                break
            del self._former[node]
            self._back.pop(node, None)
            self._machines.pop(node, None)
