"""A LimitRange that refuses the pods of a step is found in the words of a real API server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bramble.kinds.jobs.refusal import Containers, advice, step_field
from bramble.kinds.jobs.render import CONTAINER, render_step
from bramble.kinds.trainingrun.evaluation import EVALUATE, evaluate_step
from tests.api.admission import Admission
from tests.unit.trainingrun.seen import PIN, TRAINED_PACKAGE, observed
from tools.cluster.errors import KubectlFailed

pytestmark = pytest.mark.cluster

CONTAINERS = Containers(init=(), main=(CONTAINER,), fields={CONTAINER: step_field(EVALUATE)})
FIELD = "spec.jobs.resources.evaluate"


@pytest.fixture
def namespace(admission: Admission) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Makes a namespace with a LimitRange of one item; gives its name."""
    made = list[str]()

    def make(item: dict[str, Any]) -> str:
        name = f"limited-{secrets.token_hex(3)}"
        admission.cluster.kubectl("create", "namespace", name)
        made.append(name)
        metadata = {"name": "small", "namespace": name}
        admission.cluster.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [item]}})
        return name

    yield make
    for name in made:
        admission.cluster.kubectl("delete", "namespace", name, "--wait=false")


def refusal(admission: Admission, namespace: str) -> str:
    """What the API server says to the pod of an evaluation."""
    step = evaluate_step(observed(status={"dataset": PIN, "package": TRAINED_PACKAGE}), 1)
    assert step is not None
    template = json.loads(json.dumps(render_step(step)[0].manifest))["spec"]["template"]
    metadata = {**template["metadata"], "name": "pod", "namespace": namespace}
    spec = {**template["spec"], "serviceAccountName": "default"}  # as the admission plugin would, which needs controllers
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    try:
        admission.cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except KubectlFailed as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "Container", "default": {"cpu": "50m"}}, f"cpu one of 50m: set {FIELD}.limits.cpu"),
        ({"type": "Container", "max": {"memory": "512Mi"}}, f"at most 512Mi of memory for each Container: change {FIELD}.limits.memory"),
        ({"type": "Container", "min": {"memory": "1Gi"}}, f"at least 1Gi of memory for each Container: change {FIELD}.requests.memory"),
        ({"type": "Container", "maxLimitRequestRatio": {"memory": "2"}}, f"2 times the request of memory: raise {FIELD}.requests.memory"),
        ({"type": "Pod", "max": {"cpu": "100m"}}, f"at most 100m of cpu for each Pod: change {FIELD}.limits.cpu"),
    ],
    ids=["a default below the request", "a maximum", "a minimum", "a ratio", "a maximum of a pod"],
)
def test_the_limit_range_and_the_field_are_named(
    admission: Admission, namespace: Callable[[dict[str, Any]], str], item: dict[str, Any], told: str
) -> None:
    where = namespace(item)
    said = admission.cluster.wait(lambda: refusal(admission, where), 20, "the LimitRange does not count yet")
    found = advice(said, CONTAINERS, admission.cluster.list("limitranges", where))
    assert found.startswith("LimitRange small ")
    assert told in found
