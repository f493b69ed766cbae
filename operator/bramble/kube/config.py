"""How to reach the API server: from inside a pod, or by a kubeconfig file."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(ValueError):
    """There is no usable way to the API server; the message says where it was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """A server and the right to use it.

    Attributes:
        server: URL with scheme and port.
        ca: PEM that the server's certificate is signed by; empty: the system's.
        token: a fixed bearer token, or empty.
        token_file: a bearer token that is read again for every request (projected tokens are renewed), or None.
        certificate, key: PEM of a client certificate, or empty.
        namespace: of the service account or of the context.
    """

    server: str
    ca: str = ""
    token: str = ""
    token_file: Path | None = None
    certificate: str = ""
    key: str = ""
    namespace: str = "default"

    def bearer(self) -> str:
        """The token for a request made now, or empty."""
        return self.token_file.read_text().strip() if self.token_file is not None else self.token

    def ssl_context(self) -> ssl.SSLContext:
        """For connections to the server; verifies it always."""
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.certificate:
            _load_client_certificate(context, self.certificate, self.key)
        return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """`load_cert_chain` takes files only: an anonymous one, seen by this process alone, holds the pair."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.strip()}\n{key.strip()}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def load(environment: Mapping[str, str] = os.environ, service_account: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """By `KUBECONFIG` (its first file), else a pod's service account, else `~/.kube/config`.

    Raises:
        ConfigError: none of them is there, or the one that is cannot be used.
    """
    if named := environment.get("KUBECONFIG"):
        return from_kubeconfig(Path(named.split(os.pathsep)[0]), environment.get("BRAMBLE_KUBE_CONTEXT"))
    if (service_account / "token").is_file() and environment.get("KUBERNETES_SERVICE_HOST"):
        return from_service_account(environment, service_account)
    home = Path(environment.get("HOME", "/")) / ".kube" / "config"
    if home.is_file():
        return from_kubeconfig(home, environment.get("BRAMBLE_KUBE_CONTEXT"))
    raise ConfigError(f"no API server: KUBECONFIG is not set, {service_account} holds no token, and {home} is not there")


def from_service_account(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """What the kubelet gives every pod that asks for it."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    return ClusterConfig(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=(folder / "ca.crt").read_text(),
        token_file=folder / "token",
        namespace=(folder / "namespace").read_text().strip(),
    )


def from_kubeconfig(path: Path, context: str | None = None) -> ClusterConfig:
    """A context of a kubeconfig file, the current one unless named. Exec plugins are not run.

    Raises:
        ConfigError: the file or the context cannot be used.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"kubeconfig {path}: {error}") from error
    chosen = _named(document, "contexts", context or document.get("current-context", ""), path)["context"]
    cluster = _named(document, "clusters", chosen["cluster"], path)["cluster"]
    user = _named(document, "users", chosen["user"], path)["user"]
    if "exec" in user or "auth-provider" in user:
        raise ConfigError(f"kubeconfig {path}: user {chosen['user']!r} needs a plugin; use a token or a client certificate")
    token_file = user.get("tokenFile")
    return ClusterConfig(
        server=cluster["server"].rstrip("/"),
        ca=_pem(cluster, "certificate-authority", path),
        token=user.get("token", ""),
        token_file=path.parent / token_file if token_file else None,
        certificate=_pem(user, "client-certificate", path),
        key=_pem(user, "client-key", path),
        namespace=chosen.get("namespace", "default"),
    )


def _named(document: Mapping[str, Any], section: str, name: str, path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = next((item for item in document.get(section) or () if item["name"] == name), None)
    if found is None:
        raise ConfigError(f"kubeconfig {path}: {section} holds no {name!r}")
    return found


def _pem(section: Mapping[str, Any], field: str, path: Path) -> str:
    if encoded := section.get(f"{field}-data"):
        return base64.b64decode(str(encoded)).decode()
    if named := section.get(field):
        return (path.parent / str(named)).read_text()
    return ""
