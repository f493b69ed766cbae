"""The Job of an attempt: who holds the Secret, what the trainer sees, where it may run."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import CurrentAttempt
from bramble.contracts.jobs.files import JobFile
from bramble.contracts.jobs.train import TrainJob
from bramble.kinds.trainingrun.attempt import attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import filed_key, service
from tests.unit.trainingrun.seen import DATASET, PIN, SETTINGS, case, observed, training

GPUS = {"resources": {"limits": {"nvidia.com/gpu": 2, "cpu": 8}}}
ENV = [{"name": "HOME", "value": "/x"}, {"name": "A", "value": "b"}]
CONTAINER = {"image": f"me/train@sha256:{'9' * 64}", "command": ["python", "a.py"]}
OWN = {"trainer": {"container": {**CONTAINER, "env": ENV}}}


def rendered(spec: dict[str, Any] | None = None, **current: Any) -> tuple[TrainJob, dict[str, Any]]:
    seen = training(spec=spec, gateway_ca="PEM")
    config_map, job = attempt(seen, CurrentAttempt(**{"number": 3, "nodes": 2, **current}))
    told = JobFile.parse(config_map.manifest["data"]["job.json"].encode())
    assert isinstance(told, TrainJob)
    assert config_map.manifest["immutable"] is True
    return told, dict(job.manifest)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["spec"]["template"]["spec"])


def container(job: dict[str, Any], name: str) -> dict[str, Any]:
    pod = pod_of(job)
    return next(each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == name)


def mounted(job: dict[str, Any], name: str) -> set[str]:
    return {mount["name"] for mount in container(job, name)["volumeMounts"]}


def test_one_attempt_is_one_indexed_job() -> None:
    _, job = rendered()
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"], spec["backoffLimit"]) == ("Indexed", 2, 2, 0)
    assert spec["podReplacementPolicy"] == "Failed"
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["FailJob", "FailJob"]
    assert "activeDeadlineSeconds" not in spec
    assert "suspend" not in spec
    assert pod_of(job)["restartPolicy"] == "Never"


def test_the_store_alone_is_a_sidecar_with_secret_and_token() -> None:
    _, job = rendered()
    assert [(each["name"], each.get("restartPolicy")) for each in pod_of(job)["initContainers"]] == [("fetch", None), ("sidecar", "Always")]
    assert {"store", "gateway-token"} <= mounted(job, "sidecar")
    assert "gateway-token" not in mounted(job, "fetch")
    assert mounted(job, "train") & {"store", "gateway-token", "gateway-ca"} == set()
    assert pod_of(job)["automountServiceAccountToken"] is False


def test_the_trainer_sees_its_data_read_only_and_shared_memory() -> None:
    _, job = rendered()
    mounts = {mount["name"]: mount for mount in container(job, "train")["volumeMounts"]}
    assert mounts["data"]["readOnly"] is True
    assert mounts["shm"]["mountPath"] == "/dev/shm"
    assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod_of(job)["volumes"]
    assert container(job, "train")["command"] == ["python3", "/bramble/run/launch"]


def test_ranks_find_each_other_by_name() -> None:
    told, job = rendered()
    named = service(training().owner).manifest
    assert told.master == f"{job['metadata']['name']}-0.{named['metadata']['name']}"
    assert pod_of(job)["subdomain"] == named["metadata"]["name"]
    assert named["spec"]["publishNotReadyAddresses"] is True
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert named["spec"]["selector"].items() <= labels.items()


def test_it_goes_on_from_its_own_and_earlier_checkpoints() -> None:
    told, _ = rendered()
    assert [prefix.rsplit("/", 2)[1] for prefix in told.resume_from] == ["3", "2", "1"]
    assert told.prefix == told.resume_from[0]
    assert told.manifest == DATASET


@pytest.mark.parametrize(
    ("spec", "current", "selector", "allowed"),
    [
        case("no GPU", None, {"cpu_allowed": True}, None, True),
        case("GPUs on simulated nodes: bound to them", GPUS, {"cpu_allowed": True}, {"bramble.dev/accelerator": "simulated"}, True),
        case("GPUs", GPUS, {"cpu_allowed": False}, None, False),
        case("own labels stay", {"nodeSelector": {"zone": "b"}}, {}, {"zone": "b"}, False),
    ],
)
def test_where_it_may_run(spec: dict[str, Any] | None, current: dict[str, Any], selector: dict[str, str] | None, allowed: bool) -> None:
    told, job = rendered(spec, **current)
    assert pod_of(job).get("nodeSelector") == selector
    assert told.cpu_allowed is allowed


def test_a_lost_node_is_left_after_half_a_minute() -> None:
    _, job = rendered({"tolerations": [{"key": "gpu", "operator": "Exists"}]})
    tolerations = pod_of(job)["tolerations"]
    assert tolerations[0] == {"key": "gpu", "operator": "Exists"}
    assert [(each["key"], each["tolerationSeconds"]) for each in tolerations[1:]] == [
        ("node.kubernetes.io/not-ready", 30),
        ("node.kubernetes.io/unreachable", 30),
    ]


def test_gpus_processes_and_threads() -> None:
    told, job = rendered(GPUS)
    env = {each["name"]: each.get("value") for each in container(job, "train")["env"]}
    assert (told.gpus_per_node, told.processes_per_node, env["OMP_NUM_THREADS"]) == (2, 2, "4")
    assert container(job, "train")["resources"] == {"limits": {"nvidia.com/gpu": 2, "cpu": 8}}


def test_a_users_image() -> None:
    told, job = rendered(OWN)
    train = container(job, "train")
    env = [(each["name"], each.get("value")) for each in train["env"]]
    assert train["image"].startswith("me/train@")
    assert told.container is not None
    assert told.container.command == ("python", "a.py")
    assert env.count(("HOME", "/tmp")) == 1
    assert ("A", "b") in env
    assert ("HOME", "/x") not in env, "the pod's own variables win"
    assert {each["name"] for each in pod_of(job)["initContainers"]} == {"fetch", "sidecar"}
    assert container(job, "sidecar")["image"] == SETTINGS.images_convert


def test_kueue_decides_when_it_starts() -> None:
    _, job = rendered({"queueName": "gpu"})
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"


@pytest.mark.parametrize(
    ("deadline", "spent", "left"),
    [
        case("the rest", "1h", 3000, 600),
        case("a started second is whole, or what is left of it would be an attempt", "1s500ms", 0, 2),
        case("lowered below what is spent", "1m", 90, 1),
    ],
)
def test_the_rest_of_the_deadline(deadline: str, spent: int, left: int) -> None:
    seen = training(spec={"budgets": {"deadline": deadline}}, status={"spent_seconds": spent})
    _, job = attempt(seen, CurrentAttempt(number=2, nodes=1))
    assert job.manifest["spec"]["activeDeadlineSeconds"] == left


def pinned(spec: dict[str, Any] | None = None) -> Observed:
    return observed(spec, status={"dataset": PIN})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        case("the same", pinned(), True),
        case("where it runs", pinned({"nodeSelector": {"a": "b"}, "budgets": {"failures": 9}, "priorityClassName": "x"}), True),
        case("another hyperparameter", pinned({"hyperparameters": {"epochs": 4}}), False),
        case("another number of nodes", pinned({"engine": {"torchrun": {"nodes": 3}}}), False),
        case("another architecture", pinned({"trainer": {"builtin": {"task": "image-classification", "architecture": "resnet18"}}}), False),
        case("a program of their own", pinned(OWN), False),
    ],
)
def test_results_are_filed_under_what_produced_them(other: Observed, same: bool) -> None:
    assert (filed_key(other) == filed_key(pinned())) is same


def test_what_cannot_be_told_by_its_inputs_is_not_filed() -> None:
    floating = {"trainer": {"container": {"image": "me/train:latest", "command": ["x"]}}}
    assert filed_key(pinned(floating)) == ""
    assert filed_key(observed()) == "", "no dataset is pinned yet"
    changed = {"trainer": {"container": CONTAINER}}
    assert filed_key(pinned(changed)) != filed_key(pinned(OWN)), "variables are inputs"
