"""The operator as a process of the host, inside the network of a local cluster: killed and started as fast as a kernel can.

In a pod every kill would cost the kubelet's restart back-off. The process stands in the router's network namespace, so that API
server, store, pods and gateway have the addresses that they have for pods.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tools.cluster import Cluster, addresses
from tools.cluster.waiting import wait

NAMESPACE = "bramble"
STORE_ENDPOINT = f"http://{addresses.CORE}:{addresses.STORE_PORT}"
"""Of the store, for pods and for processes in the router's namespace alike."""

END_SECONDS = 15.0
NO_IMAGE = "sha256:" + "0" * 64
"""On a cluster without nodes no pod runs, and nothing is built."""

WITH_TOKEN = """
mount -t tmpfs tmpfs /run
mkdir -p /run/bramble/gateway
if [ -f "$0" ]; then cp "$0" /run/bramble/gateway/token; fi
exec "$@"
"""
"""The gateway's token where a pod has it mounted, in a mount namespace of this process's own. exec: the process that is killed
is the operator."""


def router_process(cluster: Cluster) -> int:
    """A process of the host that lives in the router's network namespace: the API server."""
    marker = str(cluster.state.pki).encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if arguments[0].endswith(b"kube-apiserver") and any(marker in argument for argument in arguments):
            return int(folder.name)
    raise LookupError(f"cluster {cluster.name} has no kube-apiserver on this machine")


def inside_kubeconfig(cluster: Cluster, folder: Path) -> Path:
    """The cluster's kubeconfig with the address that holds inside."""
    document = yaml.safe_load(Path(cluster.env["KUBECONFIG"]).read_text())
    for named in document["clusters"]:
        named["cluster"]["server"] = f"https://{addresses.CORE}:{addresses.API_PORT}"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path


@dataclass
class OperatorProcess:
    """One replica. `folder` keeps its log, and the record of the write sites it passed."""

    cluster: Cluster
    folder: Path
    name: str = "operator-1"
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _begins: int = 0
    """Of this life, in the log, in bytes."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def token(self) -> Path:
        """The operator's token for the gateway; made by `authorize`."""
        return self.folder / "token"

    @property
    def gateway_ca(self) -> Path:
        return self.folder / "gateway-ca.crt"

    def authorize(self, secret: str) -> None:
        """Let it read the gateway as the installed operator would: its service account's token, the CA of this TLS Secret."""
        service_account = ("create", "token", "bramble-operator", f"--namespace={NAMESPACE}", "--audience=bramble-gateway", "--duration=4h")
        self.token.write_text(self.cluster.kubectl(*service_account))
        found = self.cluster.get("secret", secret, NAMESPACE)
        self.gateway_ca.write_bytes(base64.b64decode(found["data"]["ca.crt"]))

    @property
    def sites(self) -> Path:
        """`passed …` and `killed …`, one a line, over all lives."""
        return self.folder / "sites.log"

    def start(self, **settings: str) -> None:
        """A new life; `settings` are variables without their prefix, in lower case."""
        images = {name: f"bramble.local/{name}@{NO_IMAGE}" for name in ("train", "convert", "edge")} | self.cluster.images
        given = {
            "namespace": NAMESPACE,
            "images_train": images["train"],
            "images_convert": images["convert"],
            "images_edge": images["edge"],
            "gateway_url": f"https://bramble-gateway.{NAMESPACE}.svc:8443",
            "gateway_ca": str(self.gateway_ca),
            "pod_name": self.name,
            "http_port": "0",
            "status_seconds": "1",
            "log_level": "INFO",
            **self.settings,
            **settings,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
        environment |= {f"BRAMBLE_{name.upper()}": value for name, value in given.items()}
        environment["KUBECONFIG"] = str(inside_kubeconfig(self.cluster, self.folder))
        enter = ["nsenter", f"--net=/proc/{router_process(self.cluster)}/ns/net", "--", "unshare", "--mount", "--propagation=private", "--"]
        command = ["sh", "-ec", WITH_TOKEN, str(self.token), sys.executable, "-m", "bramble", "operator"]
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self.process = subprocess.Popen([*enter, *command], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def ended(self) -> int | None:
        """The return code, or None while it lives."""
        return self.process.poll() if self.process is not None else 0

    @property
    def leads(self) -> bool:
        """Whether this life took the Lease. The Lease itself may still name a life before, which had the same name."""
        with self.log.open("rb") as log:
            log.seek(self._begins)
            return f"this replica ({self.name}) leads".encode() in log.read()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(END_SECONDS)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"


def holder(cluster: Cluster) -> str:
    """Who holds the Lease now; empty: nobody."""
    leases = [lease for lease in cluster.list("lease", NAMESPACE) if lease["metadata"]["name"] == "bramble-operator"]
    return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""


def wait_leads(operator: OperatorProcess, seconds: float = 30.0) -> None:
    """Until this replica holds the Lease."""
    wait(lambda: operator.ended is None and operator.leads, seconds, operator.tail)
