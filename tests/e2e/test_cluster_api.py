"""The API server alone: up in seconds, with the admission that the issue asks for."""

from __future__ import annotations

import pytest

from tests.cluster import Kubectl, KubectlFailed

pytestmark = pytest.mark.cluster


def pod(name: str, **security: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "one", "image": "bramble.local/operator:dev", "securityContext": security}]},
    }


def test_the_api_server_is_of_a_supported_version(api_cluster: Kubectl) -> None:
    assert "Server Version: v1." in api_cluster.kubectl("version")


def test_restricted_is_enforced_where_no_namespace_says_otherwise(api_cluster: Kubectl) -> None:
    with pytest.raises(KubectlFailed, match='violates PodSecurity "restricted:latest"'):
        api_cluster.apply(pod("open"), namespace="default")
