"""The calls that the engine makes, as a protocol: `Client` makes them over HTTP, a model of them serves property tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bramble.kube.resources import Manifest, Resource

Propagation = Literal["Background", "Foreground"]


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a list, and the resourceVersion that they are the state of."""

    items: tuple[Manifest, ...]
    resource_version: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply gave; `created` tells a new object from one that was there."""

    manifest: Manifest
    created: bool


class Api(Protocol):
    """Typed calls. Each raises the errors of `bramble.errors`; a resource's namespace is empty when cluster-scoped."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """One object, or None when there is none."""

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "") -> Listing:
        """All objects (of a namespace when one is given), page by page."""

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Raises bramble.errors.AlreadyExists."""

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        """Server-side apply. `metadata.uid` and `metadata.resourceVersion` in the manifest are preconditions."""

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        """A JSON merge patch (RFC 7386). `metadata.uid` and `metadata.resourceVersion` in it are preconditions."""

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        """PUT of the status subresource; the manifest's uid and resourceVersion are preconditions."""

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """PUT of a whole object; the manifest's uid and resourceVersion are preconditions."""

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        """Delete the object with this uid; one that is gone, or has another uid, is left."""
