"""Helm without a cluster, and the chart's objects on an API server."""

import json

import pytest

from tests.chart.edge_pods import restricted
from tools.cluster.cluster import find_binaries
from tools.cluster.errors import KubectlFailed
from tools.cluster.progress import silent
from tools.cluster.providers.base import AnyCluster
from tools.installation import CHART, LOCAL_VALUES, NAMESPACE, RELEASE, Helm

POLICY_SECONDS = 30.0


@pytest.fixture(scope="session")
def helm() -> Helm:
    """For what only renders; built with the cluster's other binaries where it is missing."""
    return Helm(find_binaries(silent)["helm"])


@pytest.fixture(scope="session")
def chart_api(served_kinds: AnyCluster) -> AnyCluster:
    """An API server that holds the chart's objects, with its admission policy in force; nothing runs there."""
    place = (f"--namespace={NAMESPACE}", "--create-namespace")
    # The kinds were made by kubectl.
    Helm.of(served_kinds)(
        "upgrade", RELEASE, str(CHART), "--install", "--take-ownership", "--force-conflicts", *place, f"--values={LOCAL_VALUES}"
    )
    served_kinds.wait(lambda: _refuses_host_network(served_kinds), POLICY_SECONDS, "the edge namespace's admission policy is not in force")
    return served_kinds


def _refuses_host_network(cluster: AnyCluster) -> bool:
    pod = restricted("probe")
    pod["spec"]["hostNetwork"] = True
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except KubectlFailed as refusal:
        return "ValidatingAdmissionPolicy" in refusal.stderr
    return False
