"""Jobs in a namespace with policies of somebody else: a quota, a container that is put into every pod, Jobs that are cleaned up at once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from examples.digits.stocking import stock
from tools.cluster import Cluster
from tools.installation import NAMESPACE, install

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

Object = dict[str, Any]
API = "admissionregistration.k8s.io/v1"
GUEST = """
[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
  name: "guest", image: object.spec.containers[0].image, command: ["python3", "-c", "import time; time.sleep(100000)"],
  resources: Object.spec.containers.resources{limits: {"cpu": "100m"}},
  securityContext: Object.spec.containers.securityContext{allowPrivilegeEscalation: false, runAsNonRoot: true,
    capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}}}]
"""
AT_ONCE = "Object{spec: Object.spec{ttlSecondsAfterFinished: 0}}"


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace, and Bramble installed."""
    install(cluster, {"log": {"format": "text"}})
    name = f"guests-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def mutated(cluster: Cluster, namespace: str, group: str, resource: str, mutation: Object, once: str = "true") -> Iterator[None]:
    """A policy that changes every object of this kind that is created in the namespace."""
    name = {"name": f"{resource}-{namespace}"}
    rules = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}]
    constraints = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "resourceRules": rules}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": constraints,
        "matchConditions": [{"name": "once", "expression": once}],
        "mutations": [mutation],
    }
    cluster.apply({"apiVersion": API, "kind": "MutatingAdmissionPolicy", "metadata": name, "spec": spec})
    cluster.apply({"apiVersion": API, "kind": "MutatingAdmissionPolicyBinding", "metadata": name, "spec": {"policyName": name["name"]}})
    try:
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            cluster.kubectl("delete", kind, name["name"])


class Place:
    """The namespace, with what the tests do there."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def until(self, condition: Callable[[], Any], seconds: float) -> Any:
        def shown() -> str:
            return self.cluster.kubectl("get", "datasets,trainingruns,jobs,pods", "-n", self.namespace, "-o", "yaml")

        return self.cluster.wait(condition, seconds, shown)

    def apply(self, kind: str, name: str, spec: Object, api: str = "bramble.dev/v1alpha1") -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})

    def status(self, kind: str, name: str) -> Object:
        found: Object = self.cluster.get(kind, name, self.namespace).get("status", {})
        return found

    def ready(self, kind: str, name: str) -> Object:
        """The condition Ready."""
        stated: list[Object] = self.status(kind, name).get("conditions", [])
        return next((each for each in stated if each["type"] == "Ready"), {"status": "", "reason": "", "message": ""})

    def snapshot_again(self, request: str) -> None:
        self.cluster.kubectl("annotate", "dataset", "digits", "-n", self.namespace, "--overwrite", f"bramble.dev/request={request}")

    def is_snapshotted(self, attempt: int) -> bool:
        found = self.status("dataset", "digits").get("versions") or [{"attempt": 0}]
        return bool(found[0]["attempt"] == attempt and self.ready("dataset", "digits")["status"] == "True")

    def jobs(self, step: str) -> list[str]:
        found = self.cluster.list("jobs", self.namespace, f"bramble.dev/step={step}")
        return sorted(each["metadata"]["name"] for each in found)

    def pods(self, step: str) -> list[Object]:
        return self.cluster.list("pods", self.namespace, f"bramble.dev/step={step}")

    def train(self, name: str, nodes: int, code: str, budgets: Object) -> None:
        """A run of these lines of Python, with a GPU on each node."""
        container = {"image": self.cluster.images["train"], "command": ["python", "-c", code]}
        spec = {
            "datasetRef": {"name": "digits"},
            "trainer": {"container": container},
            "engine": {"torchrun": {"nodes": nodes, "processesPerNode": 1}},
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
            "budgets": budgets,
        }
        self.apply("TrainingRun", name, spec)


@pytest.fixture(scope="module")
def place(cluster: Cluster, namespace: str) -> Place:
    return Place(cluster, namespace)


def test_a_quota_is_named_and_met_by_limits_of_ones_own(place: Place) -> None:
    """The quota counts a limit that Bramble's containers do not have."""
    place.apply("ResourceQuota", "tenant", {"hard": {"limits.cpu": "8"}}, "v1")
    stock(place.cluster, place.namespace, ("1",))
    source = {"name": "scans", "s3": {"prefix": "digits/1/"}, "format": "image-folder"}
    place.apply("Dataset", "digits", {"task": "image-classification", "sources": [source]})
    advice = "must specify limits.cpu for: step; set spec.jobs.resources.snapshot.limits.cpu"
    place.until(lambda: advice in place.ready("dataset", "digits")["message"], 10)
    own = '{"spec": {"jobs": {"labels": {"team": "tv"}, "resources": {"snapshot": {"limits": {"cpu": "1"}}}}}}'
    place.cluster.kubectl("patch", "dataset", "digits", "-n", place.namespace, "--type=merge", "-p", own)
    place.until(lambda: place.is_snapshotted(2), 60)
    (pod,) = place.pods("snapshot")
    assert pod["metadata"]["labels"]["team"] == "tv"
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    place.cluster.kubectl("delete", "resourcequota", "tenant", "-n", place.namespace)


def test_half_a_gang_says_why(place: Place) -> None:
    place.apply("ResourceQuota", "half", {"hard": {"requests.nvidia.com/gpu": "1"}}, "v1")
    place.train("half", 2, "pass", {"failures": 0, "disruptions": 0})
    try:
        place.until(lambda: place.ready("trainingrun", "half")["reason"] == "PodsRefused", 10)
        place.until(lambda: "1 of 2 pods" in place.ready("trainingrun", "half")["message"], 10)
        assert "exceeded quota: half" in place.ready("trainingrun", "half")["message"]
    finally:
        place.cluster.kubectl("delete", "trainingrun/half", "resourcequota/half", "-n", place.namespace)


def test_a_gang_that_a_limit_range_refuses_is_made_anew_once_it_is_corrected(place: Place) -> None:
    """The default limit is below the request of `fetch`, which has none of its own."""
    place.apply("LimitRange", "small", {"limits": [{"type": "Container", "default": {"cpu": "10m"}}]}, "v1")
    place.train("limited", 2, "pass", {"failures": 0, "disruptions": 0})
    try:
        advice = "LimitRange small gives a container without a limit of cpu one of 10m: set spec.jobs.resources.fetch.limits.cpu"
        place.until(lambda: advice in place.ready("trainingrun", "limited")["message"], 20)
        resources = {name: {"limits": {"cpu": "1"}} for name in ("fetch", "sidecar")}
        patch = json.dumps({"spec": {"jobs": {"resources": resources}, "resources": {"limits": {"cpu": "1"}}}})
        place.cluster.kubectl("patch", "trainingrun", "limited", "-n", place.namespace, "--type=merge", "-p", patch)
        place.until(lambda: place.pods("train"), 20)
        status = place.status("trainingrun", "limited")
        assert status["attempt"] == 2
        assert (status.get("failures", 0), status.get("disruptions", 0), status.get("spentSeconds", 0)) == (0, 0, 0)
    finally:
        place.cluster.kubectl("delete", "trainingrun/limited", "limitrange/small", "-n", place.namespace)
        place.until(lambda: place.pods("train") == [], 80)


def test_a_job_that_a_guest_keeps_alive_is_ended(place: Place) -> None:
    once = "!object.spec.containers.exists(c, c.name == 'guest')"
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": GUEST}}
    with mutated(place.cluster, place.namespace, "", "pods", mutation, once):
        place.until(lambda: len(created(place, "Pod", "v1", RESTRICTED)["containers"]) == 2, 30)
        place.snapshot_again('{"id": "guest", "action": "snapshot"}')
        place.until(lambda: place.is_snapshotted(3), 60)
        (pod,) = [each for each in place.pods("snapshot") if each["metadata"]["labels"]["bramble.dev/attempt"] == "3"]
        assert [each["name"] for each in pod["spec"]["containers"]] == ["step", "guest"]
        place.until(lambda: place.jobs("snapshot") == [] and place.pods("snapshot") == [], 80)
    assert place.is_snapshotted(3), "the result stays, and no Job follows"


def created(place: Place, kind: str, api: str, spec: Object) -> Object:
    """The spec of an object as the API server would store it. It reads its policies a moment after they were written."""
    probe = json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": "probe"}, "spec": spec})
    made = place.cluster.kubectl("create", "-n", place.namespace, "--dry-run=server", "-o", "json", "-f", "-", stdin=probe)
    found: Object = json.loads(made)["spec"]
    return found


RESTRICTED = {
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "c", "image": "i", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
}


def test_a_failed_attempt_whose_job_is_gone_does_not_run_twice(place: Place) -> None:
    """Every Job is cleaned up as soon as it has ended, and the operator is away when that happens."""
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": AT_ONCE}}
    with mutated(place.cluster, place.namespace, "batch", "jobs", mutation):
        probe = {"template": {"spec": RESTRICTED}}
        place.until(lambda: created(place, "Job", "batch/v1", probe).get("ttlSecondsAfterFinished") == 0, 30)
        place.train(
            "gone", 1, "import time; print('here', flush=True); time.sleep(15); raise SystemExit(7)", {"failures": 0, "disruptions": 0}
        )
        place.until(lambda: place.ready("trainingrun", "gone")["reason"] == "Training", 60)
        scale(place.cluster, 0)
        try:
            place.until(lambda: place.jobs("train") == [] and place.pods("train") == [], 90)
        finally:
            scale(place.cluster, 2)
        place.until(lambda: place.ready("trainingrun", "gone")["reason"] == "FailureBudgetSpent", 60)
    status = place.status("trainingrun", "gone")
    assert (status["attempt"], status["failures"], status["firstCause"]["exitCode"]) == (1, 1, 7)
    assert place.jobs("train") == []


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", "deployment/bramble-operator", f"--replicas={replicas}", "-n", NAMESPACE)
    if replicas == 0:
        pods = "app.kubernetes.io/component=operator"
        cluster.wait(lambda: cluster.list("pods", NAMESPACE, pods) == [], 60, lambda: cluster.kubectl("get", "pods", "-n", NAMESPACE))
    else:
        cluster.kubectl("rollout", "status", "deployment/bramble-operator", "-n", NAMESPACE, "--timeout=60s")
