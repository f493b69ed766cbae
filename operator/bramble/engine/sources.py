"""What one pass reads, and a record of it: the pass's writes are conditional on exactly these states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bramble.contracts.report import ObjectRef, SeenProgress
from bramble.engine.feed import Feed, is_watched
from bramble.engine.observe import Board
from bramble.engine.trim import trim
from bramble.kinds.blockers import Blocker
from bramble.kinds.sources import Devices
from bramble.kube.api import Api
from bramble.kube.resources import Key, Manifest, Resource, key_of
from bramble.settings import Settings


class Documents(Protocol):
    """The namespaces' stores, as far as a pass reads them."""

    async def problem(self, namespace: str) -> Blocker | None:
        """Why the store cannot be used, or None."""

    async def fetch(self, namespace: str, key: str) -> bytes | None:
        """A small document, None when it is not there."""


class Reader:
    """`kinds.sources.Sources` for one pass.

    Attributes:
        seen: the state of every object this pass read, by key; None: it was not there, by a GET.
    """

    def __init__(self, api: Api, settings: Settings, feed: Feed, stores: Documents, board: Board) -> None:
        self._api, self._settings, self._feed, self._stores, self._board = api, settings, feed, stores, board
        self.seen: dict[Key, Manifest | None] = {}

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def gateway_ca(self) -> str:
        """The PEM as mounted now."""
        path = Path(self._settings.gateway_ca)
        return path.read_text() if path.is_file() else ""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """From the cache; an absence there is confirmed by a GET, and so is every read of a kind that is not watched."""
        key = Key(resource.kind, namespace if resource.namespaced else "", name)
        found = self._feed.cache.get(key)
        if found is None:
            read = await self._api.get(resource, key.namespace, name)
            if read is not None and is_watched(read):
                self._feed.seen(read)
            found = trim(read) if read is not None else None
        self.seen[key] = found
        return found

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        """From the cache, those whose labels hold all of `labels`, oldest first."""
        found = self._feed.cache.list(resource.kind, namespace, labels)
        self.seen.update((key_of(manifest), manifest) for manifest in found)
        return found

    async def store_problem(self, namespace: str) -> Blocker | None:
        """None when the namespace's store answers and takes the key."""
        return await self._stores.problem(namespace)

    async def fetch(self, namespace: str, store_key: str) -> bytes | None:
        """A small document of the namespace's store, None when it is not there."""
        return await self._stores.fetch(namespace, store_key)

    def devices(self, fleet: str) -> Devices:
        """The fleet's devices as last heard."""
        return self._board.devices(fleet)

    def progress(self, uid: str, step: str) -> SeenProgress | None:
        """What the job of this object, which the pass has read, last said."""
        read = (key for key, manifest in self.seen.items() if manifest is not None and manifest["metadata"]["uid"] == uid)
        refs = (ObjectRef(kind=key.kind, namespace=key.namespace, name=key.name, uid=uid) for key in read)
        return next((told for ref in refs if (told := self._board.progress(ref, step)) is not None), None)
