"""What is added to a Job and its pods: by Bramble, by the administrator, and by the object."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bramble.api.dataset import DatasetJobs
from bramble.api.jobs import JobDefaults, OwnJobs, Resources
from bramble.kinds.jobs.additions import Additions

LEAST = Resources(requests={"cpu": "250m", "memory": "256Mi"}, limits={"memory": "2Gi"})


def additions(defaults: dict[str, Any], own: dict[str, Any] | None = None) -> Additions:
    return Additions.of(JobDefaults.model_validate(defaults), DatasetJobs.model_validate(own) if own is not None else None)


def test_meshes_are_kept_out_of_every_pod() -> None:
    made = additions({}).pod_metadata({"bramble.dev/step": "snapshot"})
    assert made["labels"]["sidecar.istio.io/inject"] == made["annotations"]["sidecar.istio.io/inject"] == "false"
    assert (made["labels"]["istio.io/dataplane-mode"], made["labels"]["kuma.io/sidecar-injection"]) == ("none", "disabled")
    assert (made["annotations"]["linkerd.io/inject"], made["annotations"]["consul.hashicorp.com/connect-inject"]) == ("disabled", "false")
    assert made["labels"]["bramble.dev/step"] == "snapshot"


def test_the_administrator_may_let_a_mesh_in() -> None:
    made = additions({"labels": {"sidecar.istio.io/inject": "true"}}).pod_metadata({})
    assert made["labels"]["sidecar.istio.io/inject"] == "true"


def test_the_object_wins_over_the_administrator_and_both_reach_job_and_pod() -> None:
    both = additions(
        {"labels": {"team": "all", "cost": "1"}, "annotations": {"a": "x"}}, {"labels": {"team": "tv"}, "annotations": {"b": "y"}}
    )
    job = both.job_metadata({"name": "n", "labels": {"bramble.dev/step": "snapshot"}})
    pod = both.pod_metadata({"bramble.dev/step": "snapshot"})
    assert job == {
        "name": "n",
        "labels": {"team": "tv", "cost": "1", "bramble.dev/step": "snapshot"},
        "annotations": {"a": "x", "b": "y"},
    }
    assert job["labels"].items() <= pod["labels"].items()
    assert job["annotations"].items() <= pod["annotations"].items()


def test_a_job_without_additions_has_no_annotations() -> None:
    assert additions({}).job_metadata({"name": "n", "labels": {}}) == {"name": "n", "labels": {}}


def memory(*layers: dict[str, Any]) -> dict[str, Any]:
    defaults, own = ({"resources": {"snapshot": layer}} for layer in (*layers, *[{}] * (2 - len(layers))))
    return additions(defaults, own).resources("snapshot", LEAST)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param((), {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}, id="nothing is set"),
        pytest.param(
            ({"limits": {"cpu": "1", "memory": "4Gi"}}, {"limits": {"memory": "16Gi"}}),
            {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "16Gi"}},
            id="the object's limit over the chart's, which adds the one that a quota asks for",
        ),
        pytest.param(
            ({"limits": {"memory": "128Mi"}},),
            {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
            id="a limit below the usual request lowers the request",
        ),
        pytest.param(
            ({}, {"requests": {"memory": "8Gi"}}),
            {"requests": {"cpu": "250m", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
            id="a request above the usual limit raises the limit",
        ),
    ],
)
def test_resources_of_a_step(layers: tuple[dict[str, Any], ...], expected: dict[str, Any]) -> None:
    assert memory(*layers) == expected
    assert additions({"resources": {"convert": {"limits": {"memory": "9Gi"}}}}).resources("snapshot", LEAST) == memory()


@pytest.mark.parametrize(
    ("key", "who"),
    [
        pytest.param("bramble.dev/step", (JobDefaults, OwnJobs), id="Bramble's own"),
        pytest.param("app.kubernetes.io/managed-by", (JobDefaults, OwnJobs), id="the label that Bramble watches by"),
        pytest.param("kueue.x-k8s.io/queue-name", (JobDefaults, OwnJobs), id="Kueue's"),
        pytest.param("not a key", (JobDefaults, OwnJobs), id="no name at all"),
        pytest.param("sidecar.istio.io/inject", (OwnJobs,), id="a mesh's, which is the administrator's to decide"),
        pytest.param("vault.hashicorp.com/agent-inject", (OwnJobs,), id="an injector of secrets"),
    ],
)
@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_keys_that_are_taken_are_refused_by_name(key: str, who: tuple[type[Any], ...], field: str) -> None:
    for each in (JobDefaults, OwnJobs):
        if each in who:
            with pytest.raises(ValidationError, match=f"the key '{key}'"):
                each.model_validate({field: {key: "x"}})
        else:
            each.model_validate({field: {key: "x"}})
