"""The chart's objects on a real API server: accepted, admitted where they will run, and the same after an upgrade."""

import json
from typing import Any

import pytest

from tools.cluster.providers.base import AnyCluster
from tools.installation import CHART, LOCAL_VALUES, NAMESPACE, RELEASE, Helm

pytestmark = pytest.mark.cluster


def upgrade(cluster: AnyCluster, *settings: str) -> None:
    Helm.of(cluster)(
        "upgrade", RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--values={LOCAL_VALUES}", *(f"--set={each}" for each in settings)
    )


def tls(cluster: AnyCluster) -> dict[str, Any]:
    data: dict[str, Any] = cluster.get("secret", "bramble-gateway-tls", NAMESPACE)["data"]
    return data


def test_an_upgrade_keeps_the_certificate(chart_api: AnyCluster) -> None:
    before = tls(chart_api)
    upgrade(chart_api)
    assert tls(chart_api) == before


def test_another_name_is_signed_by_the_same_authority(chart_api: AnyCluster) -> None:
    before = tls(chart_api)
    upgrade(chart_api, "gateway.tls.extraNames={gateway.example.org}")
    after = tls(chart_api)
    assert after["ca.crt"] == before["ca.crt"]
    assert after["tls.crt"] != before["tls.crt"]


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_pods_pass_pod_security_restricted(chart_api: AnyCluster, component: str) -> None:
    namespace = f"restricted-{component}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    chart_api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    template = chart_api.get("deployment", f"{RELEASE}-{component}", NAMESPACE)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "row", "namespace": namespace}, "spec": template["spec"]}
    answer = chart_api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert "created (server dry run)" in answer
