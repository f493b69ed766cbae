"""The calls that the engine makes, as a protocol. `Client` makes them over HTTP; property tests use a model of the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bramble.kube.resources import Manifest, Resource

Propagation = Literal["Background", "Foreground"]


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a list, and the resourceVersion of the list."""

    items: tuple[Manifest, ...]
    resource_version: int


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer to an apply. `created` is False if the object existed before."""

    manifest: Manifest
    created: bool


class Api(Protocol):
    """Typed calls. Each raises the errors of `bramble.errors`. The namespace of a cluster-scoped object is empty."""

    @property
    def server(self) -> str:
        """URL of the API server."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """One object, or None when it does not exist."""

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:
        """All objects of a namespace that the selectors select, or of all namespaces when `namespace` is empty."""

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object. With `dry_run` it passes admission, quotas included, and is not stored (KEP-576).

        Raises:
            bramble.errors.AlreadyExists: an object with this name exists.
        """

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        """Server-side apply (KEP-555). `metadata.uid` and `metadata.resourceVersion` in the manifest are preconditions.

        Without `force`, a field that another manager owns is a Conflict.
        """

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        """Apply a JSON merge patch (RFC 7386). `metadata.uid` and `metadata.resourceVersion` in the patch are preconditions."""

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace the status. The manifest's uid and resourceVersion are preconditions."""

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace a whole object. The manifest's uid and resourceVersion are preconditions."""

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        """Delete the object with this uid. If it does not exist, or has another uid, nothing happens."""
