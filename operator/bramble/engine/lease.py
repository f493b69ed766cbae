"""Leader election: one replica at a time may write. It holds a Lease and stops by a deadline of its own.

The rules are client-go's (tools/leaderelection). A replica judges a Lease by how long it has not *changed* on the replica's own clock,
never by the times written in it, because wall clocks differ. A Lease does not fence: a leader that stalls right after its last check may
still send one write. So every write is conditional as well (`bramble.engine.execute`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from bramble.boottime import boottime
from bramble.engine.clock import utcnow
from bramble.errors import BrambleError, Conflict, NotLeader
from bramble.kube.api import Api
from bramble.kube.resources import LEASE, Manifest

NAME = "bramble-operator"

DEADLINE_SHARE = 0.8
"""Share of the lease duration after which a leader that could not renew stops writing. The rest is a margin for clocks that run apart."""

RENEW_SHARE = 0.25
"""Share of the lease duration between two renewals by the leader."""

POLL_SHARE = 0.1
"""Share of the lease duration between two looks by a replica that waits."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LastChange:
    """The resourceVersion that the Lease had when it last changed, and when this replica saw that, in seconds of its own clock."""

    version: str
    at: float


class Holder(NamedTuple):
    """The namespace of the Lease, the name to hold it by, and the seconds for which it is valid without a renewal."""

    namespace: str
    identity: str
    seconds: int


class Lease:
    """Waits for the operator's Lease, takes it and renews it.

    Attributes:
        leading: set while this replica leads. A pass that began while it was set must still call `check` before each write.
    """

    def __init__(self, api: Api, holder: Holder, leads: Callable[[bool], None], clock: Callable[[], float] = boottime) -> None:
        """`leads` is called with True when this replica begins to lead, and with False when it stops."""
        self._api, self._leads, self._clock = api, leads, clock
        self._namespace, self._identity, self._seconds = holder
        self._deadline = -1.0
        self._last_change: LastChange | None = None
        self.leading = asyncio.Event()

    def check(self) -> None:
        """Raise NotLeader unless this replica is sure to lead."""
        if self._clock() >= self._deadline:
            raise NotLeader(f"lease {self._namespace}/{NAME} was not renewed in time; another replica may lead")

    async def run(self) -> None:
        """Take the Lease when it is free or expired, and renew it, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._seconds * DEADLINE_SHARE / 2):
                    await self.step()
            except Conflict:
                log.info("another replica changed the lease while this one was taking it")
            except (BrambleError, TimeoutError) as error:
                log.warning("the lease could not be read or renewed: %s", error)
            self._update_leading()
            await asyncio.sleep(self._seconds * (RENEW_SHARE if self.leading.is_set() else POLL_SHARE))

    async def step(self) -> None:
        """Read the Lease once, and take or renew it if this replica may.

        The deadline counts from before the request was sent. Counted from the answer, a slow renewal would let this replica write after
        another one has taken the Lease.

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
            self._update_leading()
            return
        self._deadline = sent + self._seconds * DEADLINE_SHARE
        self._update_leading()

    async def release(self) -> None:
        """Give the Lease up, so that another replica need not wait until it expires."""
        if not self.leading.is_set():
            return
        self._deadline = -1.0
        self._update_leading()
        found = await self._api.get(LEASE, self._namespace, NAME)
        if found is not None and found["spec"].get("holderIdentity") == self._identity:
            spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(utcnow())}
            await self._api.replace(LEASE, {**found, "spec": spec})
            log.info("the lease is released")

    def _update_leading(self) -> None:
        leads = self._clock() < self._deadline
        if leads and not self.leading.is_set():
            log.info("this replica (%s) leads", self._identity)
            self.leading.set()
            self._leads(True)
        elif not leads and self.leading.is_set():
            log.warning("this replica (%s) no longer leads", self._identity)
            self.leading.clear()
            self._leads(False)

    def _may_take(self, found: Manifest) -> bool:
        """True if the Lease is free, already ours, or has not changed for as long as it says it is valid."""
        version, spec = found["metadata"]["resourceVersion"], found["spec"]
        if self._last_change is None or self._last_change.version != version:
            self._last_change = LastChange(version, self._clock())
        if not spec.get("holderIdentity") or spec["holderIdentity"] == self._identity:
            return True
        return self._clock() >= self._last_change.at + float(spec.get("leaseDurationSeconds", self._seconds))

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
    """A time in Kubernetes' MicroTime format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
