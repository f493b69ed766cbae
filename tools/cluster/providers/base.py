"""What is asked of a provider of clusters."""

from __future__ import annotations

from typing import Protocol

from tools.cluster.cluster import Cluster
from tools.cluster.progress import Progress
from tools.cluster.providers.existing_cluster import ExistingCluster

AnyCluster = Cluster | ExistingCluster
"""A local cluster, whose nodes can be killed, or one that only its API server reaches."""


class Provider(Protocol):
    """Starts a cluster with images and a store, or finds one."""

    @property
    def name(self) -> str:
        """The name by which it is chosen: `make demo PROVIDER=…`."""

    def up(self, name: str | None, *, attached: bool, progress: Progress) -> AnyCluster:
        """A cluster that is ready: nodes, the project's images, a store with its bucket. `down()` of it ends what this started.

        Args:
            name: what to call it; a name of its own where it is None.
            attached: it ends with this process, where the provider can see to that.

        Raises:
            tools.cluster.errors.MissingRequirement: this machine lacks something; the message says what to install.
        """
