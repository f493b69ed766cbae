"""A store key that is rotated in the middle of a run on a real cluster: the old key is refused before the pods have the new one."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from examples.digits.stocking import freeze, store_secret
from tests.e2e.pods import RESTRICTED_CONTAINER, pod, service
from tests.unit.workloads.s3 import versitygw
from tools.cluster import S3, Cluster, CodePart, ImageSource
from tools.cluster.images import CODE
from tools.cluster.store import make_bucket, new_keys
from tools.installation import install

pytestmark = [pytest.mark.compat, pytest.mark.cluster, pytest.mark.timeout(900)]

PORT = 7070
TRAINING = "bramble.dev/owner-name=rotated,bramble.dev/step=train"
SERVE = f"""
mkdir /data/users /data/objects
install -m 755 {CODE}/versitygw /data
exec /data/versitygw --port :{PORT} --iam-dir /data/users posix /data/objects
"""
"""The files of an image's code are not executable, so the program is copied."""
BUILTIN = {"task": "image-classification", "architecture": "small-cnn", "imageSize": 16, "channels": "L"}


@dataclass(frozen=True)
class StoreWithUsers:
    """A versitygw in a pod, whose users come and go while it runs."""

    binary: Path
    root: dict[str, str]
    s3: S3
    """With the key of no user yet."""

    def add(self) -> S3:
        """Make a user, and return the store with the user's key."""
        keys = new_keys()
        self._admin("create-user", "--access", keys["access_key"], "--secret", keys["secret_key"], "--role", "admin")
        return replace(self.s3, access_key=keys["access_key"], secret_key=keys["secret_key"])

    def remove(self, s3: S3) -> None:
        """Remove the user of this key."""
        self._admin("delete-user", "--access", s3.access_key)

    def _admin(self, *arguments: str) -> None:
        where = ("--access", self.root["access_key"], "--secret", self.root["secret_key"], "--endpoint-url", self.s3.host_endpoint)
        subprocess.run([str(self.binary), "admin", *where, *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def store(cluster: Cluster) -> Iterator[StoreWithUsers]:
    namespace, root, binary = f"store-{secrets.token_hex(3)}", new_keys(), versitygw()
    assert binary is not None, "the local cluster has built it"
    image = cluster.add_image(ImageSource("versitygw", "operator", (CodePart(binary, "versitygw"),)))
    variables = [{"name": f"ROOT_{name.upper()}", "value": value} for name, value in root.items()]
    container: dict[str, Any] = {
        "name": "s3",
        "image": image,
        "command": ["sh", "-c", SERVE],
        "env": variables,
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for manifest in (pod("s3", container, labels={"app": "s3"}, volumes=volumes), service("s3", {"app": "s3"}, PORT)):
        manifest["metadata"]["namespace"] = namespace
        cluster.apply(manifest)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/s3", "-n", namespace, "--timeout=60s")
    host = f"http://127.0.0.1:{cluster.forward_service(namespace, 's3', PORT)}"
    inside = f"http://s3.{namespace}.svc.cluster.local:{PORT}"
    made = StoreWithUsers(binary, root, S3(host, inside, root["access_key"], root["secret_key"]))
    make_bucket(made.s3)
    yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_run_goes_on_with_the_new_key_and_is_charged_nothing(cluster: Cluster, store: StoreWithUsers) -> None:
    install(cluster, {"log": {"format": "text"}})
    namespace, old = f"rotated-{secrets.token_hex(3)}", store.add()
    freeze(cluster, namespace, "1", s3=old)
    spec = {
        "datasetRef": {"name": "digits"},
        "trainer": {"builtin": BUILTIN},
        "hyperparameters": {"epochs": 60, "batchSize": 8},
        "engine": {"torchrun": {"nodes": 2, "processesPerNode": 1}},
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "budgets": {"failures": 0, "disruptions": 0},
    }
    metadata = {"name": "rotated", "namespace": namespace}
    cluster.apply({"apiVersion": "bramble.dev/v1alpha1", "kind": "TrainingRun", "metadata": metadata, "spec": spec})

    def has_trained() -> bool:
        running = cluster.list("pods", namespace, TRAINING)
        return any("epoch 3/60" in cluster.kubectl("logs", each["metadata"]["name"], "-n", namespace, "-c", "train") for each in running
                   if each["status"]["phase"] == "Running")  # fmt: skip

    def described() -> str:
        return cluster.kubectl("describe", "trainingrun", "rotated", "-n", namespace)

    cluster.wait(has_trained, 120, described, interval=0.2)
    new = store.add()
    store.remove(old)
    cluster.apply(store_secret(namespace, new))
    cluster.wait(lambda: cluster.get("trainingrun", "rotated", namespace)["status"].get("outcome"), 400, described)
    status = cluster.get("trainingrun", "rotated", namespace)["status"]
    assert status["outcome"]["reason"] == "Succeeded", described()
    assert (status["attempt"], status.get("failures", 0), status.get("disruptions", 0)) == (1, 0, 0)
    refused = cluster.kubectl("logs", "-l", TRAINING, "-c", "sidecar", "-n", namespace, "--tail=-1")
    assert "Traceback" not in refused, refused
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
