"""What `gather` may read. The engine implements it; tests of a kind give plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bramble.contracts.report import SeenProgress, SeenReport
from bramble.kinds.blockers import Blocker
from bramble.kube.resources import Manifest, Resource
from bramble.settings import Settings


@dataclass(frozen=True, slots=True)
class Devices:
    """What the gateway's replicas know between them: the newest report of each node.

    Attributes:
        proves_silence: every replica has been up long enough, and all answered, so that a missing report means
            that the node is silent (design, §5).
    """

    reports: Mapping[str, SeenReport]
    proves_silence: bool


class Sources(Protocol):
    """Reads for one pass. All but `fetch` and `store_problem` come from memory.

    What a pass read is what its writes are conditional on: an Apply, of an object that `get` or `list` gave, carries
    that object's uid and resourceVersion.
    """

    @property
    def settings(self) -> Settings: ...

    @property
    def gateway_ca(self) -> str:
        """The PEM that the gateway's certificate is signed by, for the jobs' ConfigMaps; empty when none is mounted."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """From the cache; an absence there is confirmed by a GET."""

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        """From the cache, those whose labels hold all of `labels`, oldest first."""

    async def store_problem(self, namespace: str) -> Blocker | None:
        """None when the namespace's store answers and takes the key."""

    async def fetch(self, namespace: str, store_key: str) -> bytes | None:
        """A small document of the namespace's store, None when it is not there.

        Raises:
            bramble.errors.StoreUnavailable: the store did not answer; the pass is tried again.
        """

    def devices(self, fleet: str) -> Devices:
        """The fleet's devices as last heard."""

    def progress(self, uid: str, step: str) -> SeenProgress | None:
        """What the job of the object with this uid, which the pass has read, last said."""
