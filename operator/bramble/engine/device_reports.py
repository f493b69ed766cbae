"""The newest report of each device and the newest progress of each job, merged from what all gateway replicas received. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bramble.boottime import boottime
from bramble.contracts.report import LOST_SECONDS, OFFLINE_SECONDS, ObjectRef, Observed, Progress, Report, SeenProgress, SeenReport
from bramble.engine.agent_processes import AgentProcesses
from bramble.kinds.sources import Devices, Interruption, TwoAgents
from bramble.kube.resources import Key

REPORT_KIND = "Report"
"""`Key(REPORT_KIND, "", fleet)` stands for the reports of a fleet's devices, so that a kind can depend on them."""

NEWS = tuple(name for name in Report.model_fields if name not in ("sequence", "uptime_ms"))
"""The fields of a report that do not change in every report anyway."""

FORGET_SECONDS = 3600
"""A report older than this is dropped, and so is an interruption. The node may have belonged to another fleet for most of that time."""

SAME_AGE_SECONDS = 0.01
"""The same progress, read from two replicas or twice from one, differs in its time by no more than rounding."""


class DeviceReports:
    """Reports by node, progress by object and step, and whether silence is proven.

    Attributes:
        proves_silence: True when a missing report means that the device is silent: for `OFFLINE_SECONDS`, every gateway replica has
            answered and none of them was too young to have heard from every device.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._interrupted: dict[str, tuple[float, float, Report]] = {}
        self._ended: dict[str, tuple[float, Report]] = {}
        self._progress: dict[tuple[ObjectRef, str], tuple[float, Progress]] = {}
        self._processes = AgentProcesses()
        self._state: dict[str, tuple[bool, bool]] = {}
        """Node to whether it is online and whether two agents report for it, as of the last `turned`."""
        self._complete_since: float | None = None
        self.proves_silence = False

    def record_reading(self, *, complete: bool) -> None:
        """Record whether all replicas were read, and so whether silence is proven.

        One complete reading is not enough: while the API server is away, the gateway cannot check the devices' tokens and refuses their
        reports.
        """
        now = self._clock()
        if not complete:
            self._complete_since = None
        elif self._complete_since is None:
            self._complete_since = now
        self.proves_silence = self._complete_since is not None and now - self._complete_since >= OFFLINE_SECONDS

    def merge(self, part: Observed) -> tuple[set[str], set[Key]]:
        """Merge a part of what a replica received.

        Returns:
            The fleets of which a device reported something new, and the objects whose jobs made progress.
        """
        now, fleets, objects = self._clock(), set[str](), set[Key]()
        for report in part.reports:
            if self._keep_report(now - report.age_seconds, report.report):
                fleets.add(report.report.fleet)
        for progress in part.progress:
            if self._keep_progress(now - progress.age_seconds, progress.progress):
                ref = progress.progress.object
                objects.add(Key(ref.kind, ref.namespace, ref.name))
        return fleets, objects

    def devices(self, fleet: str) -> Devices:
        """The newest reports of the fleet's devices, with their ages now.

        That a node rebooted is told once the process before has been silent for a while: it may go on, on another machine.
        """
        now = self._clock()
        of_fleet = {node: known for node, known in self._reports.items() if known[1].fleet == fleet}
        interruptions = {
            node: Interruption(before, now - silent_since, now - back_since)
            for node, (silent_since, back_since, before) in self._interrupted.items()
            if before.fleet == fleet and (back_since - silent_since > LOST_SECONDS or now - back_since >= OFFLINE_SECONDS)
        }
        ended = {node: before for node, (_, before) in self._ended.items() if before.fleet == fleet}
        return Devices(_WithAges(of_fleet, now), self.proves_silence, interruptions, ended, self._two_agents(of_fleet, now))

    def _two_agents(self, known: Mapping[str, tuple[float, Report]], now: float) -> dict[str, TwoAgents]:
        """Of these nodes, those for which two agents report at the same time."""
        found = ((node, self._processes.two_agents(node, known[node][1], now)) for node in self._processes.nodes if node in known)
        return {node: agents for node, agents in found if agents is not None}

    def progress(self, ref: ObjectRef, step: str) -> SeenProgress | None:
        """The newest progress of this object's step.

        The whole reference is compared, not the uid alone: a job may only speak for objects of its own namespace.
        """
        known = self._progress.get((ref, step))
        return SeenProgress(age_seconds=max(0.0, self._clock() - known[0]), progress=known[1]) if known is not None else None

    def forget(self, uid: str) -> None:
        """Drop the progress of a deleted object."""
        for key in [key for key in self._progress if key[0].uid == uid]:
            del self._progress[key]

    def count(self) -> int:
        """The number of devices with a report."""
        return len(self._reports)

    def _keep_report(self, at: float, report: Report) -> bool:
        """Keep a report that is newer than the known one. Returns whether it says something new."""
        known = self._reports.get(report.node)
        if known is not None and self._processes.is_former(report, at, known[0]):
            self._forget_false_reboot(report)
            return False
        if known is not None and not _newer(report, at, known[1], known[0]):
            return False
        if known is not None and self._interrupted_between(known[0], at, known[1], report):
            self._interrupted[report.node] = (known[0], at, known[1])
        if known is not None and not _same_process(known[1], report):
            self._ended[report.node] = known
            self._processes.succeeded(known[1], known[0], report, at)
        self._reports[report.node] = (at, report)
        return known is None or any(getattr(known[1], name) != getattr(report, name) for name in NEWS)

    def _interrupted_between(self, before_at: float, at: float, before: Report, report: Report) -> bool:
        """Whether the node rebooted between two reports, or was silent for long enough to be lost while every replica was read.

        A process that has reported before another one did has not ended, so its machine did not reboot. Where two agents report, the
        other process may be on the other machine.
        """
        if before.boot_id != report.boot_id and not self._processes.is_known(report):
            return self._processes.two_agents(report.node, before, at) is None
        return self._complete_since is not None and at - max(before_at, self._complete_since) > LOST_SECONDS

    def _forget_false_reboot(self, report: Report) -> None:
        """A process that reports after its successor has not ended by a reboot, and the node was not interrupted."""
        interrupted = self._interrupted.get(report.node)
        if interrupted is not None and _same_process(interrupted[2], report) and self._processes.returned(report):
            del self._interrupted[report.node]

    def _keep_progress(self, at: float, progress: Progress) -> bool:
        """Keep progress of a later attempt, or later progress of the same. Returns whether it says something new."""
        key = (progress.object, progress.step)
        known = self._progress.get(key)
        if known is not None:
            known_at, before = known
            if before.attempt > progress.attempt or (before.attempt == progress.attempt and at <= known_at + SAME_AGE_SECONDS):
                return False
        self._progress[key] = (at, progress)
        return known is None or known[1] != progress

    def turned(self) -> set[str]:
        """The fleets of which a device came online or fell silent, or got or lost a second agent, since the last call.

        What is very old is dropped.
        """
        now = self._clock()
        self._reports = {node: (at, report) for node, (at, report) in self._reports.items() if now - at < FORGET_SECONDS}
        self._interrupted = {node: found for node, found in self._interrupted.items() if now - found[1] < FORGET_SECONDS}
        self._ended = {node: found for node, found in self._ended.items() if now - found[0] < FORGET_SECONDS}
        self._processes.forget(now - FORGET_SECONDS)
        twice = self._two_agents(self._reports, now)
        state = {node: (now - at < OFFLINE_SECONDS, node in twice) for node, (at, _) in self._reports.items()}
        turned = {self._reports[node][1].fleet for node, present in state.items() if self._state.get(node) != present}
        self._state = state
        return turned


class _WithAges(Mapping[str, SeenReport]):
    """Reports with their ages at one moment. Each is made when it is asked for, which is in the thread of a plan."""

    def __init__(self, reports: Mapping[str, tuple[float, Report]], now: float) -> None:
        self._reports, self._now = reports, now
        self._made: dict[str, SeenReport] = {}

    def __getitem__(self, node: str) -> SeenReport:
        if (made := self._made.get(node)) is None:
            at, report = self._reports[node]
            made = self._made[node] = SeenReport(age_seconds=max(0.0, self._now - at), report=report)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)


def _newer(report: Report, at: float, known: Report, known_at: float) -> bool:
    """True if a report is newer than the known one: by its sequence within one agent process, by its time between two processes."""
    return report.sequence > known.sequence if _same_process(known, report) else at > known_at


def _same_process(one: Report, other: Report) -> bool:
    return (one.boot_id, one.instance) == (other.boot_id, other.instance)
