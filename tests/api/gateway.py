"""The gateway as a process of its own, on a real API server and a real store, with exactly the rights that the chart grants it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bramble.contracts.jobs.base import TOKEN_AUDIENCE
from tests.ports import free_port
from tools.cluster.cluster import Cluster

CHART = Path(__file__).resolve().parents[2] / "charts/bramble"
HOST = "bramble-gateway.test.svc"


@dataclass
class World:
    """Namespaces, service accounts and nodes of one test session. Names are its own: an API server alone never empties a namespace."""

    cluster: Cluster
    tag: str = field(default_factory=lambda: secrets.token_hex(3))

    def __post_init__(self) -> None:
        self.system, self.edge, self.tenant = (f"gw-{self.tag}-{part}" for part in ("system", "edge", "tenant"))
        for namespace in (self.system, self.edge, self.tenant):
            self.cluster.kubectl("create", "namespace", namespace)
        for namespace, account in ((self.edge, "bramble-agent"), (self.edge, "bramble-node-setup"), (self.tenant, "default")):
            self.make_account(namespace, account)
        self.make_account(self.system, "bramble-operator")
        for node in ("pi-0", "pi-1"):
            labels = {"name": self.node(node)}
            self.cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": labels})
        s3 = self.cluster.s3
        values = {"endpoint": s3.host_endpoint, "bucket": s3.bucket, "accessKey": s3.access_key, "secretKey": s3.secret_key}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bramble-store", "namespace": self.tenant}}
        self.cluster.apply({**secret, "stringData": {**values, "prefix": f"gateway-{self.tag}"}})

    def node(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def make_account(self, namespace: str, name: str) -> None:
        self.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})

    def make_pod(self, namespace: str, name: str, account: str, node: str, owner: dict[str, Any] | None = None) -> None:
        metadata = {"name": name, "namespace": namespace, **({"ownerReferences": [owner]} if owner else {})}
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 65532}
        container = {"name": "c", "image": "i", "securityContext": {**security, "seccompProfile": {"type": "RuntimeDefault"}}}
        spec = {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "nodeName": self.node(node),
            "containers": [container],
        }
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def token(self, namespace: str, account: str, *, pod: str = "", audience: str = TOKEN_AUDIENCE) -> str:
        """As the kubelet projects it: by the TokenRequest API, bound to a pod."""
        bound = []
        if pod:
            uid = self.cluster.get("pod", pod, namespace)["metadata"]["uid"]
            bound = ["--bound-object-kind=Pod", f"--bound-object-name={pod}", f"--bound-object-uid={uid}"]
        return self.cluster.kubectl("create", "token", account, "-n", namespace, f"--audience={audience}", *bound).strip()

    def gateway_kubeconfig(self, folder: Path) -> Path:
        """For the chart's service account of the gateway, with the chart's roles."""
        values = ["--namespace", self.system, "--values", str(CHART / "ci/local-values.yaml"), "--set", f"edge.namespace.name={self.edge}"]
        command = [self.cluster.binaries["helm"], "template", "bramble", str(CHART), *values, "--show-only", "templates/rbac/gateway.yaml"]
        rendered = subprocess.run(command, capture_output=True, text=True, check=True, env=self.cluster.env).stdout
        documents = [document for document in yaml.safe_load_all(rendered) if document]
        for document in documents:  # cluster-scoped ones must not meet those of another session
            if document["kind"].startswith("ClusterRole"):
                document["metadata"]["name"] = f"bramble-gateway-{self.tag}"
            if document["kind"] == "ClusterRoleBinding":
                document["roleRef"]["name"] = f"bramble-gateway-{self.tag}"
        self.cluster.apply(*documents)
        token = self.cluster.kubectl("create", "token", "bramble-gateway", "-n", self.system, "--duration=1h").strip()
        admin = yaml.safe_load(Path(self.cluster.env["KUBECONFIG"]).read_text())
        admin["users"] = [{"name": admin["contexts"][0]["context"]["user"], "user": {"token": token}}]
        path = folder / "kubeconfig"
        path.write_text(json.dumps(admin))
        return path


def certificate(folder: Path, names: tuple[x509.GeneralName, ...] = ()) -> None:
    """A CA and a certificate for the gateway, under `HOST` and further names: ca.crt, tls.crt, tls.key."""
    now = datetime.now(UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=1))
    authority = (
        builder.subject_name(named("test CA"))
        .issuer_name(named("test CA"))
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        builder.subject_name(named(HOST))
        .issuer_name(named("test CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), *names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(authority.public_bytes(pem))
    (folder / "tls.crt").write_bytes(leaf.public_bytes(pem))
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


@dataclass(frozen=True)
class Process:
    """A replica that runs."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    side_port: int

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.crt"))

    def leave(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def started(world: World, kubeconfig: Path, folder: Path, names: tuple[x509.GeneralName, ...] = ()) -> Iterator[Process]:
    """One replica, ended afterwards. Its certificate has these names beside `HOST`."""
    certificate(folder, names)
    port, side_port = free_port(), free_port()
    settings = {
        "STORE_NETWORKS": "127.0.0.0/8",
        "NAMESPACE": world.system,
        "EDGE_NAMESPACE": world.edge,
        "IMAGES_TRAIN": "t@sha256:1",
        "IMAGES_CONVERT": "c@sha256:1",
        "IMAGES_EDGE": "e@sha256:1",
        "GATEWAY_URL": f"https://{HOST}:{port}",
        "GATEWAY_PORT": str(port),
        "HTTP_PORT": str(side_port),
        "GATEWAY_TLS": str(folder),
        "POD_NAME": "gateway-0",
    }
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), **{f"BRAMBLE_{name}": value for name, value in settings.items()}}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "bramble", "gateway"], env=environment, stdout=log, stderr=log)
        try:
            yield Process(process, folder, port, side_port)
        finally:
            process.kill()
            process.wait()
