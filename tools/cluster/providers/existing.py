"""A cluster that somebody has already, by its kube context."""

from __future__ import annotations

import os

from tools.cluster.errors import MissingRequirement
from tools.cluster.progress import Progress
from tools.cluster.providers.existing_cluster import ExistingCluster


class Existing:
    """The context that BRAMBLE_KUBE_CONTEXT names."""

    name = "context"

    def up(self, name: str | None, *, attached: bool, progress: Progress) -> ExistingCluster:  # noqa: ARG002
        context = os.environ.get("BRAMBLE_KUBE_CONTEXT")
        if not context:
            raise MissingRequirement("BRAMBLE_KUBE_CONTEXT is not set: name the context of your kubeconfig that the cluster has")
        progress(f"using the cluster of context {context}")
        return ExistingCluster(context)
