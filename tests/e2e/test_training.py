"""Why a run failed: a user's plain PyTorch script on two nodes, brought down in every way that the issue of a run can have."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.digits.stocking import freeze
from tests.unit.workloads.pods import EXCEPTION_CODES
from tools.cluster import Cluster, CodePart, ImageSource
from tools.cluster.images import WORKLOADS_CODE
from tools.cluster.node import command_of
from tools.installation import install

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(400)]

PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "plain_pytorch.py"
STEP_LABELS = "bramble.dev/owner-name={name},bramble.dev/step=train"
INDEX = "batch.kubernetes.io/job-completion-index"
Object = dict[str, Any]
BUILTIN = {"builtin": {"task": "image-classification", "architecture": "small-cnn", "imageSize": 16, "channels": "L"}}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace with a frozen Dataset, and Bramble installed."""
    install(cluster, {"log": {"format": "text"}})
    name = f"train-{secrets.token_hex(3)}"
    freeze(cluster, name, "1")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """A user's own image: their script beside what they installed."""
    return cluster.add_image(ImageSource("plain-pytorch", "train", (*WORKLOADS_CODE, CodePart(PROGRAM, "plain_pytorch.py"))))


class Runs:
    """Makes TrainingRuns and waits for them."""

    def __init__(self, cluster: Cluster, namespace: str, image: str) -> None:
        self.cluster, self.namespace, self.image = cluster, namespace, image

    def start(self, name: str, faults: dict[str, str], **spec: Any) -> None:
        container = {"image": self.image, "command": ["python", "/opt/bramble/code/plain_pytorch.py"]}
        wanted: Object = {
            "datasetRef": {"name": "digits"},
            "trainer": {"container": container},
            "hyperparameters": {"epochs": 4, "faults": faults},
            "engine": {"torchrun": {"nodes": 2, "processesPerNode": 1}},
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
            "budgets": {"failures": 0, "disruptions": 0},
            **spec,
        }
        wanted = {field: value for field, value in wanted.items() if value is not None}
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "bramble.dev/v1alpha1", "kind": "TrainingRun", "metadata": metadata, "spec": wanted})

    def get(self, name: str) -> Object:
        return self.cluster.get("trainingrun", name, self.namespace)

    def until(self, name: str, condition: str, seconds: float = 120) -> Object:
        """The status once a condition is True."""

        def reached() -> Object | None:
            status: Object = self.get(name).get("status", {})
            found = (each for each in status.get("conditions", ()) if each["type"] == condition)
            return status if any(each["status"] == "True" for each in found) else None

        return (
            self.cluster.wait(reached, seconds, lambda: self.cluster.kubectl("describe", "trainingrun", name, "-n", self.namespace)) or {}
        )

    def until_attempt(self, name: str, number: int) -> Object:
        """The status once this attempt has begun."""

        def begun() -> Object | None:
            status: Object = self.get(name).get("status", {})
            return status if (status.get("current") or {}).get("number", 0) >= number else None

        return self.cluster.wait(begun, 120, lambda: self.cluster.kubectl("describe", "trainingrun", name, "-n", self.namespace)) or {}

    def pods(self, name: str) -> list[Object]:
        return self.cluster.list("pods", self.namespace, STEP_LABELS.format(name=name))

    def logs(self, pod: Object, container: str) -> str:
        return self.cluster.kubectl("logs", pod["metadata"]["name"], "-c", container, "-n", self.namespace)

    def rank_0_after(self, name: str, said: str) -> Object:
        """The pod of node rank 0, once its log holds this."""

        def spoke() -> Object | None:
            found = [pod for pod in self.pods(name) if started(pod) and pod["metadata"]["labels"][INDEX] == "0"]
            return found[0] if found and said in self.logs(found[0], "train") else None

        return self.cluster.wait(spoke, 120, lambda: self.cluster.kubectl("get", "pods", "-n", self.namespace), interval=0.1) or {}

    def until_hanging(self, name: str) -> list[Object]:
        """The training pods once their ranks are in the loop."""

        def in_the_loop() -> list[Object] | None:
            found = self.pods(name)
            said = [self.logs(pod, "train") for pod in found if started(pod)]
            return found if len(said) == 2 and any("step 2 done" in text for text in said) else None

        return self.cluster.wait(in_the_loop, 90, lambda: self.cluster.kubectl("get", "pods", "-n", self.namespace)) or []


def started(pod: Object) -> bool:
    states = {each["name"]: each["state"] for each in pod["status"].get("containerStatuses", ())}
    return "running" in states.get("train", {})


@pytest.fixture(scope="module")
def runs(cluster: Cluster, namespace: str, image: str) -> Runs:
    return Runs(cluster, namespace, image)


def test_a_plain_script_trains_on_two_nodes_and_its_package_is_evaluated(runs: Runs) -> None:
    runs.start("plain", {}, hyperparameters={"epochs": 30})
    status = runs.until("plain", "Complete")
    assert status["package"]["digest"].startswith("sha256:")
    assert status["evaluation"]["metrics"]["accuracy"] > 0.3
    assert status["attempt"] == 1


def test_a_package_with_an_error_is_mended_without_training(runs: Runs) -> None:
    """The run fails for a formality. Another one takes what it left, and its ModelVersion is made without a pod that trains."""
    one_node = {"torchrun": {"nodes": 1, "processesPerNode": 1}}
    runs.start("formal", {"0": "describe"}, hyperparameters={"epochs": 30, "faults": {"0": "describe"}}, engine=one_node)
    status = runs.until("formal", "Failed")
    assert status["firstCause"]["kind"] == "SpecError"
    assert "accuracy: a model description has no such field: remove it" in status["firstCause"]["message"]
    assert (status["keptOutput"]["attempt"], status["keptOutput"]["files"]) == (1, 2)
    described = runs.cluster.kubectl("describe", "trainingrun", "formal", "-n", runs.namespace)
    assert "Kept Output:" in described
    assert "spec.trainer.keptOutput.trainingRunRef.name: formal packages what attempt 1 left, without training" in described
    package = {
        "task": "image-classification",
        "input": {"kind": "image", "tensor": {"name": "x", "shape": [1, 1, 8, 8], "layout": "NCHW"}},
        "preprocess": [{"op": "decode", "color": "L"}, {"op": "normalize", "mean": [0.5], "std": [0.5]}],
        "outputs": [{"name": "y", "shape": [1, 10]}],
        "postprocess": {"kind": "classify", "labels": [str(digit) for digit in range(10)]},
    }
    trainer = {"keptOutput": {"trainingRunRef": {"name": "formal"}, "package": package}}
    template = {"model": "mended", "version": "1.0.0", "validation": {"maxDrop": {"accuracy": "1"}}}
    runs.start("mended", {}, trainer=trainer, modelVersion=template, hyperparameters=None, resources=None)
    status = runs.until("mended", "Complete")
    assert status["evaluation"]["metrics"]["accuracy"] > 0.3
    assert (status.get("attempt", 0), status["package"]["image"], status["progress"]["epoch"]) == (0, runs.image, 30)
    assert runs.pods("mended") == []
    assert runs.cluster.get("modelversion", "mended-1-0-0", runs.namespace)["spec"]["source"] == {"trainingRunRef": {"name": "mended"}}


@pytest.mark.parametrize(
    ("name", "fault", "kind", "ends", "said"),
    [
        ("exception", "exception", "Error", EXCEPTION_CODES, "boom: the label 13 is not a class"),
        ("spec", "exit 64", "SpecError", {64}, ""),
        ("data", "exit 65", "BadData", {65}, ""),
        ("quiet", "quiet", "Error", {7}, ""),
    ],
)
def test_the_first_cause_names_the_rank_and_its_error(runs: Runs, name: str, fault: str, kind: str, ends: set[int], said: str) -> None:
    runs.start(name, {"1": fault})
    cause = runs.until(name, "Failed")["firstCause"]
    assert (cause["kind"], cause["rank"]) == (kind, 1)
    assert cause["exitCode"] in ends
    assert cause["node"].startswith("gpu-")
    assert said in cause["message"] + "\n".join(cause.get("lines", ()))


def test_a_killed_rank_is_a_signal_of_that_rank(runs: Runs, cluster: Cluster) -> None:
    runs.start("killed", {"1": "hang", "0": "hang"})
    second = next(pod for pod in runs.until_hanging("killed") if pod["metadata"]["labels"][INDEX] == "1")
    pids = cluster.nodes[second["spec"]["nodeName"]].pids(second["metadata"]["name"], "train", runs.namespace)
    script = next(pid for pid in pids if any("plain_pytorch" in part for part in command_of(pid)))
    os.kill(script, signal.SIGKILL)
    cause = runs.until("killed", "Failed")["firstCause"]
    assert (cause["kind"], cause["rank"], cause["signal"]) == ("Signal", 1, "SIGKILL")


def drain(runs: Runs, pod: Object) -> None:
    """What an administrator does, but only to this run's pods."""
    node = pod["spec"]["nodeName"]
    selector = f"--pod-selector={STEP_LABELS.format(name='stopped')}"
    try:
        runs.cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", selector, "--timeout=90s")
    finally:
        runs.cluster.kubectl("uncordon", node)


def delete(runs: Runs, pod: Object) -> None:
    runs.cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", runs.namespace, "--wait=false")


def preempt(runs: Runs, pod: Object) -> None:
    """Let a pod of a higher priority take the GPU of this pod's node."""
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000}
    runs.cluster.apply(urgent)
    free = runs.cluster.get("node", pod["spec"]["nodeName"])["status"]["allocatable"]["nvidia.com/gpu"]
    container = {"name": "c", "image": runs.image, "command": ["true"], "resources": {"limits": {"nvidia.com/gpu": free}}}
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "priorityClassName": "urgent",
        "nodeSelector": {"kubernetes.io/hostname": pod["spec"]["nodeName"]},
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**container, "securityContext": restricted}],
        "tolerations": [{"operator": "Exists"}],
    }
    runs.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "urgent", "namespace": runs.namespace}, "spec": spec})


def test_pods_that_are_taken_away_are_disruptions_and_the_run_goes_on_from_the_step_where_it_stopped(runs: Runs) -> None:
    """One run, whose pods are drained, deleted and preempted in turn. It may not fail once."""
    budgets, wanted = {"failures": 0, "disruptions": 3}, {"epochs": 100000, "batchSize": 4}
    engine = {"torchrun": {"nodes": 2, "processesPerNode": 1}}
    runs.start("stopped", {}, trainer=BUILTIN, engine=engine, budgets=budgets, hyperparameters=wanted)
    ways = ((drain, "EvictionByEvictionAPI"), (delete, "was deleted"), (preempt, "PreemptionByScheduler"))
    for attempt, (take, said) in enumerate(ways, start=1):
        runs.rank_0_after("stopped", "epoch ")
        rank_1 = next(pod for pod in runs.pods("stopped") if started(pod) and pod["metadata"]["labels"][INDEX] == "1")
        take(runs, rank_1)
        status = runs.until_attempt("stopped", attempt + 1)
        cause = status["firstCause"]
        assert (cause["kind"], cause["nodeRank"]) == ("Disrupted", 1), cause
        assert said in cause["message"]
        assert (status.get("failures", 0), status["disruptions"]) == (0, attempt)
        logs = runs.logs(runs.rank_0_after("stopped", "epoch "), "fetch")
        assert "checkpoint of step" in logs, logs
    runs.cluster.kubectl("delete", "trainingrun", "stopped", "-n", runs.namespace, "--wait=false")


def test_a_lost_node_is_named_and_the_next_attempt_goes_on_from_its_checkpoint(runs: Runs, cluster: Cluster) -> None:
    """The node of rank 0, and the built-in program, whose other rank waits in a collective for a peer that does not even hang up."""
    engine = {"torchrun": {"nodes": 2, "minNodes": 1, "processesPerNode": 1}}
    budgets, wanted = {"failures": 0, "disruptions": 1}, {"epochs": 80, "batchSize": 8}
    runs.start("lost", {}, trainer=BUILTIN, engine=engine, budgets=budgets, hyperparameters=wanted)
    victim = runs.rank_0_after("lost", "epoch 5/80")
    node = cluster.nodes[victim["spec"]["nodeName"]]
    try:
        node.kill()
        runs.cluster.wait(  # what the other rank says of a lost peer is shown before the node is known to be lost
            lambda: (found := runs.get("lost")["status"].get("firstCause", {})).get("kind") == "NodeLost" and found["node"] == node.name,
            120,
            lambda: cluster.kubectl("get", "nodes,pods,trainingruns", "-A"),
        )
        status = runs.until("lost", "Complete", 180)
        assert (status["attempt"], status["disruptions"]) == (2, 1)
        (second,) = [pod for pod in runs.pods("lost") if pod["metadata"]["labels"]["bramble.dev/attempt"] == "2"]
        assert "checkpoint of step" in runs.logs(second, "fetch")
        assert "epoch 1/80" not in runs.logs(second, "train")
    finally:
        node.boot()
        node.wait_ready()
