"""Where a cluster comes from: one file a provider, found through `PROVIDERS`."""

from __future__ import annotations

from tools.cluster.errors import ClusterError
from tools.cluster.providers.base import Provider
from tools.cluster.providers.existing import Existing
from tools.cluster.providers.kind import Kind
from tools.cluster.providers.local import Local

PROVIDERS: tuple[Provider, ...] = (Local("nodebox"), Local("containerd"), Kind(), Existing())
"""The first is the default."""


def provider_named(name: str) -> Provider:
    """The provider of this name. Raises ClusterError, naming those there are."""
    for provider in PROVIDERS:
        if provider.name == name:
            return provider
    raise ClusterError(f"no provider {name!r}: choose one of {', '.join(each.name for each in PROVIDERS)}")
