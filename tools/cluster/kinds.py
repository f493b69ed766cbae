"""Our kinds on an API server, without the chart."""

from __future__ import annotations

from tools.cluster.kubectl import Kubectl
from tools.cluster.lifecycle import REPOSITORY

CRDS = REPOSITORY / "crds"


def serve_kinds(cluster: Kubectl) -> None:
    """Apply the CustomResourceDefinitions, also over those that Helm made, and wait until they are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
