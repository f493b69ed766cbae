"""What the operator makes for a Fleet is taken by a real API server, and its pods by the chart's own policy for the edge namespace."""

import json
from typing import Any

import pytest

from bramble.kinds.fleet.plan import plan
from bramble.kinds.plan import Apply, CreateOnce
from tests.chart.edge_pods import FOLDER, NAMESPACE
from tests.unit.fleet.rows import NOW, fleet, node, observed
from tools.cluster.errors import KubectlFailed
from tools.cluster.providers.base import AnyCluster

pytestmark = pytest.mark.cluster

BOARDS = [
    {
        "name": "rpi5",
        "selector": {"bramble.dev/board": "rpi5"},
        "resources": {"limits": {"memory": "512Mi", "cpu": 2}, "requests": {"cpu": "50m"}},
    },
    {"name": "rpi4", "selector": {"bramble.dev/board": "rpi4"}},
]


def children(**spec: Any) -> list[dict[str, Any]]:
    planned = plan(observed([node("a"), node("b", "rpi4")], of=fleet(**spec)), NOW)
    made = [json.loads(json.dumps(item.manifest)) for item in planned.items if isinstance(item, Apply | CreateOnce)]
    assert {child["metadata"]["namespace"] for child in made} == {NAMESPACE}
    return made


def take(cluster: AnyCluster, document: dict[str, Any]) -> None:
    cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(document))


def pod_of(child: dict[str, Any]) -> dict[str, Any]:
    template = child["spec"]["template"]
    metadata = {**template["metadata"], "name": "pod", "namespace": child["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("spec", [{}, {"boards": BOARDS}], ids=["as in the rows", "with resources of every form"])
def test_a_fleets_children_are_taken(chart_api: AnyCluster, spec: dict[str, Any]) -> None:
    made = children(**spec)
    assert sorted(child["kind"] for child in made) == ["ConfigMap", "DaemonSet", "DaemonSet", "Job", "Job", "Service"]
    for child in made:
        take(chart_api, child)


@pytest.mark.parametrize("kind", ["DaemonSet", "Job"])
def test_its_pods_pass_the_edge_policy_and_no_other_account_could_run_them(chart_api: AnyCluster, kind: str) -> None:
    pod = pod_of(next(child for child in children() if child["kind"] == kind))
    take(chart_api, pod)
    pod["spec"]["serviceAccountName"] = "default"
    with pytest.raises(KubectlFailed, match="bramble-edge-restricted"):
        take(chart_api, pod)


def test_the_devices_folder_is_the_one_that_the_chart_allows() -> None:
    for child in children():
        if child["kind"] in ("DaemonSet", "Job"):
            paths = {volume["hostPath"]["path"] for volume in pod_of(child)["spec"]["volumes"] if "hostPath" in volume}
            assert paths == {FOLDER}
