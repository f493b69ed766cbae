"""Torchrun's objects: how many pods an attempt has, who holds the Secret, what the trainer sees, where it may run."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.contracts.jobs.files import JobFile
from bramble.contracts.jobs.train import TrainJob
from bramble.contracts.pod import DISK_LIMIT, TELEMETRY_OFF
from bramble.kinds.trainingrun.engines.torchrun import sizing
from bramble.kinds.trainingrun.engines.torchrun.engine import TorchrunEngine
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.train_job import filed_key
from tests.unit.trainingrun.seen import DATASET, PIN, SETTINGS, case, node, observed, training

ENGINE = TorchrunEngine()

GPUS = {"resources": {"limits": {"nvidia.com/gpu": 2, "cpu": 8}}}
ENV = [{"name": "HOME", "value": "/x"}, {"name": "A", "value": "b"}]
CONTAINER = {"image": f"me/train@sha256:{'9' * 64}", "command": ["python", "a.py"]}
OWN = {"trainer": {"container": {**CONTAINER, "env": ENV}}}


def rendered(spec: dict[str, Any] | None = None, **current: Any) -> tuple[TrainJob, dict[str, Any]]:
    seen = training(spec=spec, gateway_ca="PEM")
    job, config_map = ENGINE.attempt_children(seen, CurrentAttempt(**{"number": 3, "nodes": 2, **current}))
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
    assert spec["activeDeadlineSeconds"] == 24 * 3600
    assert "suspend" not in spec
    assert pod_of(job)["restartPolicy"] == "Never"


def test_only_the_sidecar_has_the_secret_and_the_token() -> None:
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
    (shared,) = ENGINE.run_children(training())
    named = shared.manifest
    assert told.engine == "torchrun"
    assert told.engine_settings["master"] == f"{job['metadata']['name']}-0.{named['metadata']['name']}"
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
        case("the run requests no GPU", None, {"cpu_allowed": True}, None, True),
        case(
            "every node that fits is simulated, so the pods are bound to them",
            GPUS,
            {"cpu_allowed": True},
            {"bramble.dev/accelerator": "simulated"},
            True,
        ),
        case("the run requests GPUs", GPUS, {"cpu_allowed": False}, None, False),
        case("the run's own node labels stay", {"nodeSelector": {"zone": "b"}}, {}, {"zone": "b"}, False),
    ],
)
def test_on_which_nodes_it_may_run(
    spec: dict[str, Any] | None, current: dict[str, Any], selector: dict[str, str] | None, allowed: bool
) -> None:
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


@pytest.mark.parametrize(
    ("spec", "name", "set_"),
    [
        case("fetch", OWN, "fetch", True),
        case("the sidecar", OWN, "sidecar", True),
        case("the built-in trainer", None, "train", True),
        case("a user's own image, which has code of its own", OWN, "train", False),
    ],
)
def test_what_puts_instrumentation_into_pods_does_not_hide_brambles_code(spec: Any, name: str, set_: bool) -> None:
    """It extends the variable of the pod, and would replace that of the image."""
    _, job = rendered(spec)
    env = {each["name"]: each.get("value") for each in container(job, name)["env"]}
    assert (env.get("PYTHONPATH") == "/opt/bramble/code") is set_


def test_the_built_in_trainer_knows_what_it_may_write() -> None:
    _, job = rendered()
    (limit,) = [each for each in container(job, "train")["env"] if each["name"] == DISK_LIMIT]
    assert limit["valueFrom"] == {"resourceFieldRef": {"resource": "limits.ephemeral-storage"}}


@pytest.mark.parametrize("name", ["train", "fetch", "sidecar"])
def test_libraries_are_told_not_to_report_to_their_makers(name: str) -> None:
    _, job = rendered(OWN)
    assert TELEMETRY_OFF.items() <= {each["name"]: each.get("value") for each in container(job, name)["env"]}.items()


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
        case("what is left of the deadline", "1h", 3000, 600),
        case("a part of a second counts as a whole one", "1s500ms", 0, 2),
        case("the deadline was lowered below what is spent", "1m", 90, 1),
    ],
)
def test_the_rest_of_the_deadline(deadline: str, spent: int, left: int) -> None:
    seen = training(spec={"budgets": {"deadline": deadline}}, status={"spent_seconds": spent})
    job, _ = ENGINE.attempt_children(seen, CurrentAttempt(number=2, nodes=1))
    assert job.manifest["spec"]["activeDeadlineSeconds"] == left


def pinned(spec: dict[str, Any] | None = None) -> Observed:
    return observed(spec, status={"dataset": PIN})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        case("the inputs are the same", pinned(), True),
        case(
            "the run differs in where it runs",
            pinned({"nodeSelector": {"a": "b"}, "budgets": {"failures": 9}, "priorityClassName": "x"}),
            True,
        ),
        case("a hyperparameter differs", pinned({"hyperparameters": {"epochs": 4}}), False),
        case("the number of nodes differs", pinned({"engine": {"torchrun": {"nodes": 3}}}), False),
        case(
            "the architecture differs",
            pinned({"trainer": {"builtin": {"task": "image-classification", "architecture": "resnet18"}}}),
            False,
        ),
        case("the trainer is the user's own", pinned(OWN), False),
    ],
)
def test_results_are_filed_under_their_inputs(other: Observed, same: bool) -> None:
    assert (filed_key(other, ENGINE) == filed_key(pinned(), ENGINE)) is same


def test_a_result_that_its_inputs_do_not_determine_is_not_filed() -> None:
    floating = {"trainer": {"container": {"image": "me/train:latest", "command": ["x"]}}}
    assert filed_key(pinned(floating), ENGINE) == ""
    assert filed_key(observed(), ENGINE) == "", "no dataset is pinned yet"
    changed = {"trainer": {"container": CONTAINER}}
    assert filed_key(pinned(changed), ENGINE) != filed_key(pinned(OWN), ENGINE), "variables are inputs"


def spec(**fields: Any) -> Spec:
    return observed(fields).spec


def four(**fields: Any) -> dict[str, Any]:
    """Four pods are wanted."""
    return {"engine": {"torchrun": {"nodes": 4, **fields}}}


ONE_GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
TWO_CPUS = {"resources": {"requests": {"cpu": "2"}}}
A, B, C = node("a"), node("b"), node("c")


@pytest.mark.parametrize(
    ("wanted", "nodes", "disrupted", "size"),
    [
        case("a first attempt waits for all of them", spec(**four(minNodes=2), **ONE_GPU), (A, B), False, 4),
        case("after a disruption as many as fit", spec(**four(minNodes=2), **ONE_GPU), (A, B, C), True, 3),
        case("never fewer than minNodes", spec(**four(minNodes=2), **ONE_GPU), (A,), True, 2),
        case("never more than nodes", spec(**four(minNodes=2), **ONE_GPU), (node("a", gpus=8),), True, 4),
        case("without minNodes all of them or none", spec(**four(), **ONE_GPU), (A,), True, 4),
        case("a node may take several pods", spec(**four(minNodes=1), **TWO_CPUS), (A,), True, 2),
        case("without requests a node takes many pods", spec(**four(minNodes=1)), (A,), True, 4),
        case("without spec.engine there is one pod", spec(engine=None), (A, B), False, 1),
    ],
)
def test_size(wanted: Spec, nodes: tuple[Node, ...], disrupted: bool, size: int) -> None:
    assert ENGINE.size(wanted, nodes, disrupted=disrupted) == size


@pytest.mark.parametrize(
    ("wanted", "processes", "threads"),
    [
        case("without requests there is one process with one thread", spec(), 1, 1),
        case("auto is one process for each GPU", spec(resources={"limits": {"nvidia.com/gpu": "4", "cpu": "16"}}), 4, 4),
        case("a number is taken as it is", spec(engine={"torchrun": {"processesPerNode": 2}}, **TWO_CPUS), 2, 1),
        case("half a CPU is one thread", spec(resources={"requests": {"cpu": "500m"}}), 1, 1),
        case("the request counts, not the limit", spec(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "8"}}), 1, 2),
    ],
)
def test_processes_and_threads(wanted: Spec, processes: int, threads: int) -> None:
    assert (sizing.processes(wanted), sizing.threads(wanted)) == (processes, threads)
