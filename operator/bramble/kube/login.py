"""Login plugins: programs that print credentials for the API server. Kubeconfigs of EKS, GKE and AKS name one in `users[].user.exec`.

The official client runs the program (`kubernetes.config.exec_provider`). The program prints an ExecCredential with a token or a client
certificate.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bramble.errors import ApiUnavailable

EARLY = timedelta(seconds=60)
"""The plugin is asked again this long before its credentials expire."""

log = logging.getLogger(__name__)


class LoginError(ApiUnavailable):
    """The plugin returned no credentials. The message says why. The operator tries again, as when the API server does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The credentials that a plugin printed. Fields that it did not print are empty.

    Attributes:
        certificate, key: PEM of a client certificate.
        expires: the time when the credentials expire; None if the plugin did not print it.
    """

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None


def utcnow() -> datetime:
    """The time now, with which expiry times are compared."""
    return datetime.now(UTC)


class LoginPlugin:
    """Runs the plugin, and runs it again when its credentials expire or are refused."""

    def __init__(
        self, exec_config: Mapping[str, Any], folder: Path, cluster: Mapping[str, Any], now: Callable[[], datetime] = utcnow
    ) -> None:
        """Create the plugin of a kubeconfig user.

        Args:
            exec_config: the field `exec` of the user.
            folder: the folder of the kubeconfig, to which a relative path of the command refers.
            cluster: the cluster's entry in the kubeconfig, which is passed to plugins that ask for it.
            now: the clock.
        """
        self._config, self._folder, self._cluster, self._now = dict(exec_config), folder, dict(cluster), now
        self._credentials: Credentials | None = None

    def credentials(self) -> Credentials:
        """Return credentials that are valid now. The plugin is run if there are none, or if they expire soon.

        If the plugin fails to renew credentials that have not expired yet, they are still used.

        Raises:
            LoginError: the plugin returned no credentials, and there are no earlier ones that are still valid.
        """
        known = self._credentials
        if known is not None and (known.expires is None or self._now() < known.expires - EARLY):
            return known
        try:
            self._credentials = self._run()
        except LoginError as error:
            if known is None or known.expires is None or self._now() >= known.expires:
                raise
            log.warning("the credentials could not be renewed: %s; the present ones are valid until %s", error, known.expires)
            return known
        return self._credentials

    def refused(self) -> None:
        """Call this when the API server refused the credentials (401). The plugin is run before the next request."""
        self._credentials = None

    def _run(self) -> Credentials:
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.dateutil import parse_rfc3339
        from kubernetes.config.exec_provider import ExecProvider
        from kubernetes.config.kube_config import ConfigNode

        command = self._config.get("command", "")
        try:
            provider = ExecProvider(ConfigNode("exec", self._config), str(self._folder), ConfigNode("cluster", self._cluster))
            status = provider.run()
            expires = parse_rfc3339(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
        except (ConfigException, OSError, ValueError) as error:
            hint = f"; {self._config['installHint'].strip()}" if self._config.get("installHint") and isinstance(error, OSError) else ""
            raise LoginError(f"login plugin {command!r}: {error}{hint}") from error
        found = Credentials(
            token=status.get("token", ""),
            certificate=status.get("clientCertificateData", ""),
            key=status.get("clientKeyData", ""),
            expires=expires,
        )
        if not found.token and not (found.certificate and found.key):
            raise LoginError(f"login plugin {command!r} printed neither a token nor a client certificate with its key")
        return found
