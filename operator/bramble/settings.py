"""The operator's and the gateway's settings, from environment variables with the prefix `BRAMBLE_`; the chart sets them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self, get_type_hints


class SettingsError(ValueError):
    """A variable is missing or unusable; the message names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is read from `BRAMBLE_<FIELD IN CAPITALS>`; a field without a default is required."""

    namespace: str
    """Where the operator, the gateway, the Lease and the assignments live."""

    images_train: str
    """`reference@sha256:…` of the built-in trainers' image."""

    images_convert: str
    """Of the image of snapshot, fetch, store, evaluate and convert."""

    images_edge: str
    """Of the agent, node-setup and the benchmark."""

    gateway_url: str
    """How jobs and devices reach the gateway: `https://bramble-gateway.<namespace>.svc:8443`."""

    gateway_ca: str = "/etc/bramble/gateway/ca.crt"
    """File of the PEM that the gateway's certificate is signed by."""

    gateway_service: str = "bramble-gateway"
    """Whose EndpointSlices name the gateway's replicas."""

    edge_namespace: str = "bramble-edge"
    agent_service_account: str = "bramble-agent"
    """Of the agents: the gateway takes devices' calls from it alone."""

    node_setup_service_account: str = "bramble-node-setup"
    """Of the Jobs that prepare a device's folder."""

    operator_service_account: str = "bramble-operator"
    """Of the operator: the gateway gives what it observed to it alone."""

    pod_name: str = "bramble-operator"
    """Of this replica: its name in the Lease and as the events' reporting instance."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    lease_seconds: int = 10
    """How long a leader may act on one renewal; another replica takes over after it."""

    status_seconds: int = 5
    """The least time between two status writes of an object that change neither a condition nor memory."""

    relist_seconds: int = 600
    observe_seconds: float = 2.0
    """Between two readings of the gateway's replicas."""

    workers: int = 8
    """How many objects are reconciled at a time."""

    http_port: int = 8080
    """Of /healthz, /readyz and /metrics."""

    fault: str = ""
    """For tests of the operator itself: it kills itself (SIGKILL) at the first write site that matches, such as
    `before:Dataset/create/Job/snapshot` or `after:*`. Empty: never."""

    fault_log: str = ""
    """File that each write site is recorded in as it is passed, and each kill: a site that killed once kills no more."""

    gateway_port: int = 8443
    gateway_tls: str = "/etc/bramble/tls"
    """Folder with tls.crt and tls.key."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingsError: a required variable is missing, or a number is none."""
        hints = get_type_hints(cls)
        values: dict[str, object] = {}
        for field in fields(cls):
            name = f"BRAMBLE_{field.name.upper()}"
            text = environment.get(name)
            if text is None or text == "":
                continue
            kind = hints[field.name]
            try:
                values[field.name] = kind(text) if kind in (int, float) else text
            except ValueError as error:
                raise SettingsError(f"{name}={text!r} is not a number") from error
            allowed = getattr(kind, "__args__", ())
            if allowed and text not in allowed:
                raise SettingsError(f"{name}={text!r}: use one of {', '.join(allowed)}")
        try:
            return cls(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise SettingsError(f"settings are incomplete: {error}; the chart sets them all") from error
