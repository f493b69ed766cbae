"""A policy of the cluster rewrites what Bramble states: it is applied once and told, and the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bramble.kinds.fleet.controller import CONTROLLER
from bramble.kube.resources import DAEMON_SET, FLEET
from tests.engine.running import client, eventually, running, says
from tools.cluster import Cluster
from tools.cluster.pki import Authority

pytestmark = pytest.mark.cluster

SECONDS = 45
EXPRESSION = f'[JSONPatch{{op: "replace", path: "/spec/template/spec/terminationGracePeriodSeconds", value: {SECONDS}}}]'
POLICY_SECONDS = 30.0


def rewriting(namespace: str) -> list[dict[str, Any]]:
    """A policy that sets a field of every DaemonSet of this namespace, as policies about registries and pull policies do."""
    api, name = "admissionregistration.k8s.io/v1", {"name": f"rewrites-{namespace}"}
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["daemonsets"]}]
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "resourceRules": rules},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": EXPRESSION}}],
    }
    return [
        {"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": name, "spec": spec},
        {"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": name, "spec": {"policyName": name["name"]}},
    ]


def in_force(cluster: Cluster, namespace: str) -> bool:
    """Whether the policy rewrites a DaemonSet now. The API server learns of a policy some time after it is stored."""
    labels = {"app": "probe"}
    pod = {"containers": [{"name": "probe", "image": "probe"}]}
    probe = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    made = json.loads(cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(probe)))
    return bool(made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == SECONDS)


async def test_a_daemon_set_that_a_policy_rewrites_is_applied_once_and_told_once(local: Cluster, namespace: str, tmp_path: Path) -> None:
    policy, fleet = rewriting(namespace), f"fleet-{namespace}"
    local.apply(*policy)
    local.wait(lambda: in_force(local, namespace), POLICY_SECONDS, "the policy that rewrites DaemonSets is not in force")
    Authority(tmp_path, "ca")
    board = {"name": "rpi5", "selector": {"board": "rpi5"}}
    spec = {"nodeSelector": {"fleet": namespace}, "boards": [board], "allowedNamespaces": [namespace]}
    settings = {"edge_namespace": namespace, "gateway_ca": str(tmp_path / "ca.crt")}
    try:
        async with client(local) as api, running(local, (CONTROLLER,), **settings) as engine:
            made = await api.create(FLEET, {"apiVersion": FLEET.api_version, "kind": "Fleet", "metadata": {"name": fleet}, "spec": spec})
            message = await says(api, FLEET, "", fleet, "Rewritten", type_="ChildrenAsStated")
            assert "spec.template.spec.terminationGracePeriodSeconds is 45, where Bramble states" in message
            agents = f"agent-{fleet}-rpi5"  # fleets of other tests have theirs here as well
            present = await api.get(DAEMON_SET, namespace, agents)
            passes = passes_of(engine)
            for number in range(3):
                await api.merge(FLEET, "", fleet, {"metadata": {"labels": {"touched": str(number)}}})
                await eventually(lambda: more_passes(engine, passes + number))  # noqa: B023
            later = await api.get(DAEMON_SET, namespace, agents)
            assert present is not None
            assert later is not None
            assert later["metadata"]["resourceVersion"] == present["metadata"]["resourceVersion"]
            await api.delete(FLEET, "", fleet, made["metadata"]["uid"], "Background")
    finally:
        for each in policy:
            local.kubectl("delete", each["kind"], each["metadata"]["name"], "--wait=false")


def passes_of(engine: Any) -> float:
    return float(engine.metrics.registry.get_sample_value("bramble_reconcile_seconds_count", {"kind": "Fleet"}) or 0)


async def more_passes(engine: Any, than: float) -> bool:
    return passes_of(engine) > than
