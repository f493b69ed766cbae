"""Who may write: one replica at a time, by a Lease, with a deadline of its own.

The rules are client-go's (tools/leaderelection): a Lease is judged by how long it has not *changed* on this replica's
clock, never by the times written in it. A Lease does not fence: a leader that stalls after its last check may still
send one write, so every write is conditional as well (`engine.execute`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from bramble.engine.clock import boottime, utcnow
from bramble.errors import BrambleError, Conflict, NotLeader
from bramble.kube.api import Api
from bramble.kube.resources import LEASE, Manifest

NAME = "bramble-operator"
SURE = 0.8
"""Share of the lease after which a leader that could not renew it stops writing."""
RENEW = 0.25
"""Share of the lease between two renewals."""
LOOK = 0.1
"""Share of the lease between two looks of a replica that waits."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """The Lease as it was when it last changed, and when that was on our clock."""

    version: str
    at: float


class Holder(NamedTuple):
    """Where the Lease lies, as whom it is held, and for how many seconds without a renewal."""

    namespace: str
    identity: str
    seconds: int


class Lease:
    """Holds, or waits for, the Lease of the operator.

    Attributes:
        leading: set while this replica leads. A pass that began under it still checks before each write.
    """

    def __init__(self, api: Api, holder: Holder, turned: Callable[[bool], None], clock: Callable[[], float] = boottime) -> None:
        """`turned` is called with True when this replica begins to lead, with False when it no longer does."""
        self._api, self._turned, self._clock = api, turned, clock
        self._namespace, self._identity, self._seconds = holder
        self._deadline = -1.0
        self._sight: Sight | None = None
        self.leading = asyncio.Event()

    def check(self) -> None:
        """Raises NotLeader: this replica cannot be sure to lead any more."""
        if self._clock() >= self._deadline:
            raise NotLeader(f"lease {self._namespace}/{NAME} was not renewed in time; another replica may lead")

    async def run(self) -> None:
        """Take the Lease when it is free or expired, renew it, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._seconds * SURE / 2):
                    await self.step()
            except Conflict:
                log.info("the lease changed while it was being taken")
            except (BrambleError, TimeoutError) as error:
                log.warning("the lease could not be read or renewed: %s", error)
            self._settle()
            await asyncio.sleep(self._seconds * (RENEW if self.leading.is_set() else LOOK))

    async def step(self) -> None:
        """One look at the Lease, and one try to take or renew it when it is ours to take.

        Raises:
            BrambleError: the API server did not answer, or another replica was faster.
        """
        sent = self._clock()
        found = await self._api.get(LEASE, self._namespace, NAME)
        if found is None:
            await self._api.create(LEASE, self._manifest(None, utcnow()))
        elif self._may_take(found):
            await self._api.replace(LEASE, self._manifest(found, utcnow()))
        else:
            self._deadline = -1.0
            self._settle()
            return
        self._deadline = sent + self._seconds * SURE
        self._settle()

    async def release(self) -> None:
        """Give the Lease up, so that another replica need not wait for its end."""
        if not self.leading.is_set():
            return
        self._deadline = -1.0
        self._settle()
        found = await self._api.get(LEASE, self._namespace, NAME)
        if found is not None and found["spec"].get("holderIdentity") == self._identity:
            spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(utcnow())}
            await self._api.replace(LEASE, {**found, "spec": spec})
            log.info("the lease is released")

    def _settle(self) -> None:
        leads = self._clock() < self._deadline
        if leads and not self.leading.is_set():
            log.info("this replica (%s) leads", self._identity)
            self.leading.set()
            self._turned(True)
        elif not leads and self.leading.is_set():
            log.warning("this replica (%s) no longer leads", self._identity)
            self.leading.clear()
            self._turned(False)

    def _may_take(self, found: Manifest) -> bool:
        version, spec = found["metadata"]["resourceVersion"], found["spec"]
        if self._sight is None or self._sight.version != version:
            self._sight = Sight(version, self._clock())
        if not spec.get("holderIdentity") or spec["holderIdentity"] == self._identity:
            return True
        return self._clock() >= self._sight.at + float(spec.get("leaseDurationSeconds", self._seconds))

    def _manifest(self, found: Manifest | None, now: datetime) -> Manifest:
        spec: dict[str, Any] = dict(found["spec"]) if found is not None else {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = micro_time(now)
            spec["leaseTransitions"] = int(spec.get("leaseTransitions", 0)) + (1 if found is not None else 0)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": self._seconds, "renewTime": micro_time(now)}
        if found is not None:
            return {**found, "spec": spec}
        metadata = {"name": NAME, "namespace": self._namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def micro_time(moment: datetime) -> str:
    """Kubernetes' MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
