"""The configuration for reaching the API server, from a pod's service account or from a kubeconfig file."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bramble.kube.login import LoginError, LoginPlugin

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's token, the CA and the namespace."""


class ConfigError(ValueError):
    """There is no usable configuration. The message names the places that were searched, or the problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The address of an API server, and the credentials for it.

    Attributes:
        server: URL with scheme and port.
        ca: PEM of the CA that signed the server's certificate; empty for the system's CAs.
        token: a fixed bearer token, or empty.
        token_file: a file with a bearer token, or None. It is read for every request, because the kubelet renews projected tokens.
        certificate, key: PEM of a client certificate, or empty.
        plugin: a login plugin that gives the token or the client certificate, or None.
        namespace: the namespace of the service account or of the context.
    """

    server: str
    ca: str = ""
    token: str = ""
    token_file: Path | None = None
    certificate: str = ""
    key: str = ""
    plugin: LoginPlugin | None = None
    namespace: str = "default"

    def bearer(self) -> str:
        """The token for a request now; empty if there is none.

        Raises:
            LoginError: the login plugin gave no credentials.
        """
        if self.token_file is not None:
            return self.token_file.read_text().strip()
        return self.plugin.credentials().token if self.plugin is not None else self.token

    def client_certificate(self) -> tuple[str, str]:
        """The PEM of the client certificate and of its key for a connection now; empty if there is none.

        Raises:
            LoginError: the login plugin gave no credentials.
        """
        if self.plugin is None:
            return self.certificate, self.key
        given = self.plugin.credentials()
        return given.certificate, given.key

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context for connections now. It always verifies the server's certificate."""
        context = ssl.create_default_context(cadata=self.ca or None)
        certificate, key = self.client_certificate()
        if certificate:
            _load_client_certificate(context, certificate, key)
        return context

    def refused(self) -> None:
        """Call this when the API server refused the credentials (401). The login plugin is asked for new ones before the next request."""
        if self.plugin is not None:
            self.plugin.refused()


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load the pair from an anonymous file that only this process can see, because `load_cert_chain` accepts only files."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.strip()}\n{key.strip()}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def load(environment: Mapping[str, str] = os.environ, service_account: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """Use the first file of `KUBECONFIG`, else a pod's service account, else `~/.kube/config`.

    Raises:
        ConfigError: none of them exists, or the one that exists cannot be used.
    """
    if named := environment.get("KUBECONFIG"):
        return from_kubeconfig(Path(named.split(os.pathsep)[0]), environment.get("BRAMBLE_KUBE_CONTEXT"))
    if (service_account / "token").is_file() and environment.get("KUBERNETES_SERVICE_HOST"):
        return from_service_account(environment, service_account)
    home = Path(environment.get("HOME", "/")) / ".kube" / "config"
    if home.is_file():
        return from_kubeconfig(home, environment.get("BRAMBLE_KUBE_CONTEXT"))
    raise ConfigError(f"no API server is configured: KUBECONFIG is not set, {service_account} has no token, and {home} does not exist")


def from_service_account(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """Use the service account that the kubelet mounts into a pod."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    return ClusterConfig(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=(folder / "ca.crt").read_text(),
        token_file=folder / "token",
        namespace=(folder / "namespace").read_text().strip(),
    )


def from_kubeconfig(path: Path, context: str | None = None) -> ClusterConfig:
    """Use a context of a kubeconfig file: the named one, or else the current one. A login plugin (`exec`) is run at once.

    Raises:
        ConfigError: the file, the context or the login plugin cannot be used.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"kubeconfig {path}: {error}") from error
    chosen = _named(document, "contexts", context or document.get("current-context", ""), path)["context"]
    cluster = _named(document, "clusters", chosen["cluster"], path)["cluster"]
    user = _named(document, "users", chosen["user"], path)["user"]
    if "auth-provider" in user:
        raise ConfigError(
            f"kubeconfig {path}: user {chosen['user']!r} has an auth-provider, which kubectl no longer supports; use a login plugin"
        )
    plugin = LoginPlugin(user["exec"], path.parent, cluster) if user.get("exec") else None
    try:
        if plugin is not None:
            plugin.credentials()
    except LoginError as error:
        raise ConfigError(f"kubeconfig {path}: {error}") from error
    token_file = user.get("tokenFile")
    return ClusterConfig(
        server=cluster["server"].rstrip("/"),
        ca=_pem(cluster, "certificate-authority", path),
        token=user.get("token", ""),
        token_file=path.parent / token_file if token_file else None,
        certificate=_pem(user, "client-certificate", path),
        key=_pem(user, "client-key", path),
        plugin=plugin,
        namespace=chosen.get("namespace", "default"),
    )


def _named(document: Mapping[str, Any], section: str, name: str, path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = next((item for item in document.get(section) or () if item["name"] == name), None)
    if found is None:
        raise ConfigError(f"kubeconfig {path}: {section} has no {name!r}")
    return found


def _pem(section: Mapping[str, Any], field: str, path: Path) -> str:
    if encoded := section.get(f"{field}-data"):
        return base64.b64decode(str(encoded)).decode()
    if named := section.get(field):
        return (path.parent / str(named)).read_text()
    return ""
