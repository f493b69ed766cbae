"""A cluster of kind (Kubernetes in Docker), for people who have Docker and no root.

It needs `kind`, `kubectl` and `helm` on PATH, a Docker engine that may run privileged containers, and a registry to pull the node
image of kind from.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.bootstrap import GPU
from tools.cluster.cluster import find_binaries
from tools.cluster.commands import run
from tools.cluster.docker.build import NAMES, build
from tools.cluster.docker.engine import Engine
from tools.cluster.environments import cache_folder
from tools.cluster.errors import ClusterError, MissingRequirement
from tools.cluster.images import TAG
from tools.cluster.progress import Progress
from tools.cluster.providers.existing_cluster import ExistingCluster
from tools.cluster.shape import NodeShape, Shape
from tools.cluster.store import S3, make_bucket, new_keys, store

NODE_PORT = 30070
STORE_BINARY = "/opt/bramble/versitygw"
START = "300s"
COMMANDS = {
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "docker": "https://docs.docker.com/engine/install/",
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "helm": "https://helm.sh/docs/intro/install/",
}


class KindCluster(ExistingCluster):
    """A cluster that was made here: its images are loaded into its nodes, its store runs in it."""

    def __init__(self, name: str, kubeconfig: Path, images: dict[str, str], s3: S3) -> None:
        super().__init__(f"kind-{name}", kubeconfig)
        self.name = name
        self._images = images
        self._s3 = s3

    @property
    def images(self) -> dict[str, str]:
        return self._images

    @property
    def s3(self) -> S3:
        return self._s3

    def down(self) -> None:
        """Delete the cluster and its kubeconfig."""
        run("kind", "delete", "cluster", "--name", self.name)
        if self.kubeconfig is not None:
            self.kubeconfig.unlink(missing_ok=True)


class Kind:
    """`make demo PROVIDER=kind`."""

    name = "kind"

    def up(self, name: str | None, *, attached: bool, progress: Progress) -> KindCluster:  # noqa: ARG002  Docker's containers outlive us
        _check()
        name = f"bramble-{name or secrets.token_hex(2)}"
        shape, keys, port = Shape(), new_keys(), _free_port()
        kubeconfig = cache_folder() / f"kind-{name}.kubeconfig"
        gateway = find_binaries(progress)["versitygw"]
        built = build(Engine(), NAMES, progress)
        progress(f"kind creates cluster {name}")
        configuration = json.dumps(cluster_configuration(shape, port, gateway))
        create = ["kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", START, "--config", "-"]
        run(*create, stdin=configuration)
        try:
            images = {}
            for image in built:
                progress(f"loading {image.reference} into {name}")
                images[image.name] = _load(name, image.reference)
            made = KindCluster(name, kubeconfig, images, store(port, keys))
            for node, wanted in zip(_nodes(name), shape.nodes, strict=True):
                if wanted.gpus:
                    _advertise(made, node, wanted.gpus)
            made.apply(*store_manifests(images["operator"], keys))
            make_bucket(made.s3)
        except BaseException:
            run("kind", "delete", "cluster", "--name", name)
            raise
        return made


def cluster_configuration(shape: Shape, store_port: int, store_binary: str) -> dict[str, Any]:
    """kind's configuration: a node for each of the shape, the store's program in each, and a port of the host that leads to the store.

    https://kind.sigs.k8s.io/docs/user/configuration/
    """
    nodes = [_node(each, first=number == 0) for number, each in enumerate(shape.nodes)]
    nodes[0]["extraPortMappings"] = [{"containerPort": NODE_PORT, "hostPort": store_port, "listenAddress": "127.0.0.1"}]
    for node in nodes:
        node["extraMounts"] = [{"hostPath": store_binary, "containerPath": STORE_BINARY, "readOnly": True}]
    return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes}


def _node(shape: NodeShape, *, first: bool) -> dict[str, Any]:
    """Labels and taints by way of kubeadm, which gives them to the kubelet before it registers."""
    kind = "InitConfiguration" if first else "JoinConfiguration"
    registration = {"kind": kind, "nodeRegistration": {"taints": list(shape.taints)}}
    return {
        "role": "control-plane" if first else "worker",
        "labels": dict(shape.labels),
        "kubeadmConfigPatches": [json.dumps(registration)],
    }


def store_manifests(image: str, keys: dict[str, str]) -> list[dict[str, Any]]:
    """The S3 server as a pod, reached under the same address as in the local cluster."""
    namespace, name = addresses.STORE_NAMESPACE, addresses.STORE_SERVICE
    labels = {"app": name}
    metadata = {"name": name, "namespace": namespace}
    arguments = [f"--port=:{addresses.STORE_PORT}", "posix", "/objects"]
    container = {
        "name": "versitygw",
        "image": image,
        "command": [STORE_BINARY, *arguments],
        "env": [
            {"name": "ROOT_ACCESS_KEY", "value": keys["access_key"]},
            {"name": "ROOT_SECRET_KEY", "value": keys["secret_key"]},
        ],
        "volumeMounts": [{"name": "objects", "mountPath": "/objects"}, {"name": "program", "mountPath": STORE_BINARY, "readOnly": True}],
    }
    volumes = [{"name": "objects", "emptyDir": {}}, {"name": "program", "hostPath": {"path": STORE_BINARY, "type": "File"}}]
    pod = {"containers": [container], "volumes": volumes, "securityContext": {"fsGroup": 65532}}
    port = {"port": addresses.STORE_PORT, "nodePort": NODE_PORT}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": "NodePort", "selector": labels, "ports": [port]}},
    ]


def _load(cluster: str, reference: str) -> str:
    """Load an image into every node, under its digest as well, by which Jobs and agents name it; `reference@sha256:…`."""
    with tempfile.TemporaryDirectory(prefix="bramble-kind-") as folder:
        archive = str(Path(folder) / "image.tar")
        Engine().run("save", "--output", archive, reference)
        run("kind", "load", "image-archive", archive, "--name", cluster)
    pinned = ""
    for node in _nodes(cluster):
        ctr = ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images"]
        digest = _digest_of(run(*ctr, "list"), reference)
        pinned = f"{reference.removesuffix(f':{TAG}')}@{digest}"
        run(*ctr, "tag", "--force", reference, pinned)
    return pinned


def _digest_of(listing: str, reference: str) -> str:
    """The manifest's digest in what `ctr images list` prints. Raises ClusterError: the image is not there."""
    for line in listing.splitlines():
        columns = line.split()
        if columns and columns[0] == reference:
            return columns[2]
    raise ClusterError(f"{reference} was loaded and is not among the node's images:\n{listing}")


def _nodes(cluster: str) -> list[str]:
    """Names of the node containers, the control plane first, then the workers in the order of the configuration."""
    names = run("kind", "get", "nodes", "--name", cluster).split()
    return sorted(names, key=lambda name: (not name.endswith("control-plane"), len(name), name))


def _advertise(cluster: KindCluster, node: str, gpus: int) -> None:
    """Extended resources with nothing behind them, as the label `bramble.dev/accelerator=simulated` says."""
    patch = {"status": {"capacity": {GPU: str(gpus)}, "allocatable": {GPU: str(gpus)}}}
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "--patch", json.dumps(patch))


def _check() -> None:
    missing = [f"{command} ({where})" for command, where in COMMANDS.items() if shutil.which(command) is None]
    if missing:
        raise MissingRequirement(f"kind needs on PATH: {', '.join(missing)}")
    if not Engine().answers():
        raise MissingRequirement("kind needs a Docker engine, and none answers: start Docker, then `docker info` must succeed")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
