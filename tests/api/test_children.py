"""What the operator makes for a run is taken by a real API server, in a namespace where Pod Security enforces `restricted`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from bramble.api.trainingrun import CurrentAttempt
from bramble.kinds.jobs.render import render_step
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.evaluation import evaluate_step
from bramble.kinds.trainingrun.model_version import model_version
from tests.api.admission import Admission
from tests.unit.trainingrun.seen import PIN, TRAINED_PACKAGE, observed, training

pytestmark = pytest.mark.cluster

WHOLE: dict[str, Any] = {
    "trainer": {"container": {"image": "me/train:1", "command": ["python", "a.py"], "env": [{"name": "A", "value": "b"}]}},
    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "2Gi"}, "requests": {"cpu": "500m"}},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "queueName": "gpu",
    "budgets": {"deadline": "1h"},
}


@pytest.fixture(scope="module")
def restricted(admission: Admission) -> Iterator[str]:
    """A namespace that takes restricted pods only."""
    namespace = f"restricted-{secrets.token_hex(3)}"
    admission.cluster.kubectl("create", "namespace", namespace)
    admission.cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield namespace
    admission.cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def take(admission: Admission, namespace: str, manifest: Any) -> None:
    """Create without keeping; a Job's template also as the pod that it would make, since Pod Security judges pods."""
    moved = json.loads(json.dumps(manifest))
    moved["metadata"]["namespace"] = namespace
    admission.cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(moved))
    if moved["kind"] == "Job":
        template = moved["spec"]["template"]
        metadata = {**template["metadata"], "name": "pod", "namespace": namespace}
        spec = {**template["spec"], "serviceAccountName": "default"}  # as the admission plugin would, which needs controllers
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        admission.cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(pod))


@pytest.mark.parametrize("spec", [{}, WHOLE], ids=["least", "whole"])
def test_an_attempt(admission: Admission, restricted: str, spec: dict[str, Any]) -> None:
    seen = training(spec=spec, gateway_ca="PEM")
    engine, current = engine_of(seen.spec), CurrentAttempt(number=1, nodes=2, cpu_allowed=True)
    children: list[Apply | CreateOnce] = [*engine.run_children(seen), *engine.attempt_children(seen, current)]
    for child in children:
        take(admission, restricted, child.manifest)


def test_an_evaluation(admission: Admission, restricted: str) -> None:
    step = evaluate_step(observed(status={"dataset": PIN, "package": TRAINED_PACKAGE}), 1)
    assert step is not None
    for child in render_step(step):
        take(admission, restricted, child.manifest)


def test_a_model_version(admission: Admission, restricted: str) -> None:
    made = model_version(observed({"modelVersion": {"model": "ads", "version": "1.0.0", "validation": {"maxDrop": {"f1": "0.1"}}}}))
    assert made is not None
    take(admission, restricted, made.manifest)
