"""What `gather` may read. The engine implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bramble.contracts.report import Report, SeenProgress, SeenReport
from bramble.kinds.blockers import Blocker
from bramble.kube.resources import Manifest, Resource
from bramble.settings import Settings


@dataclass(frozen=True, slots=True)
class Interruption:
    """A node was silent for long enough to be lost, or rebooted, and reports again.

    Attributes:
        before: its last report before.
        silent_since_seconds: how long ago it sent that report.
        back_since_seconds: how long ago it reported again.
    """

    before: Report
    silent_since_seconds: float
    back_since_seconds: float


@dataclass(frozen=True, slots=True)
class TwoAgents:
    """Two agents, or more, report for one node at the same time.

    Attributes:
        machines: on how many machines they run, as far as their boots tell.
    """

    machines: int


@dataclass(frozen=True, slots=True)
class Devices:
    """The newest report of each node of a fleet, from all replicas of the gateway.

    Attributes:
        reports: node to its newest report.
        proves_silence: whether a node without a recent report is silent. That is so once every replica answers and has run long enough
            for every node to report to it.
        interruptions: node to its last interruption of the last hour, as far as this process has seen it.
        ended: node to the last report of the agent's process before the present one, as far as this process has seen it.
        two_agents: the nodes for which two agents report at the same time. Nobody can tell which of them is meant.
    """

    reports: Mapping[str, SeenReport]
    proves_silence: bool
    interruptions: Mapping[str, Interruption] = field(default_factory=dict)
    ended: Mapping[str, Report] = field(default_factory=dict)
    two_agents: Mapping[str, TwoAgents] = field(default_factory=dict)


class Sources(Protocol):
    """The reads of one pass. All but `fetch`, `store_problem`, `warning`, `warnings` and `limit_ranges` are answered from the engine's
    cache.

    The writes of the pass are conditional on what it read: they fail if an object that `get` or `list` gave has changed since.
    """

    @property
    def settings(self) -> Settings:
        """The operator's settings."""

    @property
    def gateway_ca(self) -> str:
        """The CA of the gateway's certificate (PEM), for ConfigMaps of jobs and agents; empty if the operator has none."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """The object, or None if there is none. If the cache does not have it, the API server is asked."""

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        """The cached objects that have all of these labels, oldest first; None stands for all namespaces, or for any labels."""

    async def store_problem(self, namespace: str) -> Blocker | None:
        """Why the namespace's store cannot be used; None if it answers and accepts the key."""

    async def fetch(self, namespace: str, store_key: str, most: int) -> bytes | None:
        """A document of the namespace's store that has at most so many bytes; None if there is none.

        Raises:
            bramble.errors.StoreUnavailable: the store did not answer.
            bramble.errors.DocumentTooLarge: the document is larger.
            bramble.errors.StoreRefused: there is no usable Secret, or the store refuses its key.
        """

    async def warning(self, namespace: str, uid: str) -> str:
        """The newest Event about an object of the namespace, if it is a Warning, as `reason: text`; else an empty text.

        Raises:
            bramble.errors.BrambleError: the API server did not answer.
        """

    async def warnings(self, namespace: str, uids: Sequence[str], most: int) -> Mapping[str, str]:
        """The same of several objects, by uid. At most so many are asked about in a pass, in turn; of the others it is what was said last,
        or nothing while they have not been asked about.

        Raises:
            bramble.errors.BrambleError: the API server did not answer.
        """

    async def limit_ranges(self, namespace: str) -> tuple[Manifest, ...]:
        """The LimitRanges of the namespace.

        Raises:
            bramble.errors.BrambleError: the API server did not answer.
        """

    def devices(self, fleet: str) -> Devices:
        """The newest reports of the fleet's devices."""

    def elapsed(self, uid: str, measured: Mapping[str, float]) -> Mapping[str, float]:
        """The seconds since each event of an object, by a clock that nobody sets; of what this process has not seen, what was measured
        before. An event is named by any text.

        Args:
            measured: each event, with the seconds since then that are known from before; 0 if none are.
        """

    def progress(self, uid: str, step: str) -> SeenProgress | None:
        """The newest progress of a step's Job, by the uid of the object that owns it; None if it has not reported."""
