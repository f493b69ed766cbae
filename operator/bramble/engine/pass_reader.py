"""What one pass reads, and a record of it: the writes of the pass are conditional on exactly the states that it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bramble.contracts.report import ObjectRef, SeenProgress
from bramble.engine.changes import Changes, is_watched
from bramble.engine.device_reports import DeviceReports
from bramble.engine.elapsed import Elapsed
from bramble.engine.object_events import ObjectEvents
from bramble.engine.trim import trim
from bramble.kinds.blockers import Blocker
from bramble.kinds.sources import Devices
from bramble.kube.api import Api
from bramble.kube.resources import LIMIT_RANGE, Key, Manifest, Resource, key_of
from bramble.settings import Settings


class Documents(Protocol):
    """The part of the namespaces' stores that a pass reads."""

    async def problem(self, namespace: str) -> Blocker | None:
        """Why the store cannot be used, or None."""

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:
        """A document of at most so many bytes, or None when it does not exist."""


class PassReader:
    """`bramble.kinds.sources.Sources` for one pass.

    Attributes:
        states: the state of every object that this pass read, by key; None for one that a GET did not find.
    """

    def __init__(
        self,
        api: Api,
        settings: Settings,
        changes: Changes,
        stores: Documents,
        reports: DeviceReports,
        events: ObjectEvents,
        elapsed: Elapsed,
    ) -> None:
        self._api, self._settings, self._changes, self._stores, self._reports = api, settings, changes, stores, reports
        self._events, self._elapsed = events, elapsed
        self.states: dict[Key, Manifest | None] = {}

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def gateway_ca(self) -> str:
        """The PEM as it is mounted now; empty when none is mounted."""
        path = Path(self._settings.gateway_ca)
        return path.read_text() if path.is_file() else ""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Read from the cache. An object that is not in it, or whose kind is not watched, is read by a GET."""
        key = Key(resource.kind, namespace if resource.namespaced else "", name)
        found = self._changes.cache.get(key)
        if found is None:
            read = await self._api.get(resource, key.namespace, name)
            if read is not None and is_watched(read):
                self._changes.updated(read)
            found = trim(read) if read is not None else None
        self.states[key] = found
        return found

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        """List from the cache the objects that have all of `labels`, the oldest first."""
        found = self._changes.cache.list(resource.kind, namespace, labels)
        self.states.update((key_of(manifest), manifest) for manifest in found)
        return found

    async def store_problem(self, namespace: str) -> Blocker | None:
        """None when the namespace's store answers and accepts the credentials."""
        return await self._stores.problem(namespace)

    async def fetch(self, namespace: str, store_key: str, most: int) -> bytes | None:
        """A small document of the namespace's store, or None when it does not exist."""
        return await self._stores.fetch(namespace, store_key, most)

    async def warning(self, namespace: str, uid: str) -> str:
        """The newest Event about an object, if it is a Warning; asked of the API server."""
        return await self._events.warning(namespace, uid)

    async def warnings(self, namespace: str, uids: Sequence[str], most: int) -> dict[str, str]:
        """The same of several objects, of which at most so many are asked about; by uid."""
        return await self._events.warnings(namespace, uids, most)

    async def limit_ranges(self, namespace: str) -> tuple[Manifest, ...]:
        """The LimitRanges of the namespace; asked of the API server, since they matter to few objects and for a short time."""
        return (await self._api.list(LIMIT_RANGE, namespace)).items

    def devices(self, fleet: str) -> Devices:
        """The newest reports of the fleet's devices."""
        return self._reports.devices(fleet)

    def elapsed(self, uid: str, measured: Mapping[str, float]) -> Mapping[str, float]:
        """The seconds since each event of an object."""
        return self._elapsed.read(uid, measured)

    def progress(self, uid: str, step: str) -> SeenProgress | None:
        """The newest progress of a job of this object, which the pass must have read before."""
        read = (key for key, manifest in self.states.items() if manifest is not None and manifest["metadata"]["uid"] == uid)
        refs = (ObjectRef(kind=key.kind, namespace=key.namespace, name=key.name, uid=uid) for key in read)
        return next((progress for ref in refs if (progress := self._reports.progress(ref, step)) is not None), None)
