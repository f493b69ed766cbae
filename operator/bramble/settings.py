"""The settings of the operator and the gateway. They are environment variables with the prefix `BRAMBLE_`, which the chart sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from typing import Any, Literal, Self, get_type_hints

from pydantic import ValidationError

from bramble.api.jobs import JobDefaults
from bramble.api.objects import problem_of
from bramble.objectstore.addresses import Network, Networks


class SettingsError(ValueError):
    """A variable is missing or cannot be used. The message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is read from the variable `BRAMBLE_<FIELD IN CAPITALS>`. A field without a default is required."""

    namespace: str
    """The namespace of the operator, the gateway, the Lease and the assignments."""

    images_train: str
    """Image of the built-in trainers, as `reference@sha256:…`."""

    images_convert: str
    """Image of the steps snapshot, evaluate and convert, and of the training pods' fetch and sidecar, as `reference@sha256:…`."""

    images_edge: str
    """Image of the agent, node-setup and the benchmark, as `reference@sha256:…`."""

    gateway_url: str
    """URL of the gateway for jobs and devices: `https://bramble-gateway.<namespace>.svc:8443`."""

    gateway_ca: str = "/etc/bramble/gateway/ca.crt"
    """PEM file of the CA that signed the gateway's certificate."""

    gateway_service: str = "bramble-gateway"
    """Name of the gateway's Service. Its EndpointSlices list the replicas."""

    edge_namespace: str = "bramble-edge"
    """The namespace of the agents and of the Jobs that prepare devices."""

    agent_service_account: str = "bramble-agent"
    """Service account of the agents. The gateway accepts device calls only from it."""

    node_setup_service_account: str = "bramble-node-setup"
    """Service account of the Jobs that prepare a device's folder."""

    operator_service_account: str = "bramble-operator"
    """Service account of the operator. Only the operator may read from the gateway what devices and jobs reported."""

    pod_name: str = "bramble-operator"
    """Name of this replica, used in the Lease and in events."""

    log_format: Literal["text", "json"] = "text"
    """Format of the log lines."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""

    lease_seconds: int = 10
    """Seconds for which the Lease is valid without a renewal. After that another replica takes over."""

    status_seconds: int = 5
    """Shortest time, in seconds, between two status writes of an object that change neither a condition nor memory."""

    relist_seconds: int = 600
    """Seconds between two full lists, which are compared with what the watches delivered."""

    observe_seconds: float = 2.0
    """Seconds between two readings of the gateway's replicas."""

    workers: int = 8
    """Number of objects that are reconciled at the same time, in all and of one namespace. One that waits for its namespace's store counts
    for the namespace only."""

    http_port: int = 8080
    """Port of /healthz, /readyz and /metrics."""

    fault: str = ""
    """For tests only: the operator kills itself (SIGKILL) at the first write site that matches this pattern, such as
    `before:Dataset/create/Job/snapshot` or `after:*`. Empty: never."""

    fault_log: str = ""
    """For tests only: a file in which each write site is recorded as it is passed. A site that has killed once does not kill again."""

    jobs: JobDefaults = field(default_factory=JobDefaults)
    """What is added to all Jobs and to their pods, as JSON: annotations, labels, and resources by step (the chart's value `jobs`)."""

    store_networks: Networks = ()
    """Networks in which a store may be although its address is refused otherwise, such as `127.0.0.0/8,fe80::/10` (the chart's value
    `stores.allowedNetworks`). Loopback, link-local and other special addresses are refused, and metadata services of clouds."""

    gateway_port: int = 8443
    """TLS port of the gateway."""

    gateway_tls: str = "/etc/bramble/tls"
    """Folder with the gateway's tls.crt and tls.key."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as not set.

        Raises:
            SettingsError: a required variable is missing, or a value is not one that the field takes.
        """
        hints = get_type_hints(cls)
        values: dict[str, object] = {}
        for each in fields(cls):
            name = f"BRAMBLE_{each.name.upper()}"
            text = environment.get(name)
            if text is None or text == "":
                continue
            values[each.name] = _value(name, text, hints[each.name])
        try:
            return cls(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise SettingsError(f"settings are incomplete: {error}; the chart sets them all") from error


def _value(name: str, text: str, kind: Any) -> object:
    """The value of a variable, for a field of this type."""
    if kind is JobDefaults:
        try:
            return JobDefaults.model_validate_json(text)
        except ValidationError as error:
            raise SettingsError(f"{name}: {problem_of(error, 'jobs')}") from error
    if kind == Networks:
        return tuple(_network(name, each.strip()) for each in text.split(","))
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            raise SettingsError(f"{name}={text!r} is not a number") from error
    allowed = getattr(kind, "__args__", ())
    if allowed and text not in allowed:
        raise SettingsError(f"{name}={text!r}: use one of {', '.join(allowed)}")
    return text


def _network(name: str, text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}; write networks such as 10.0.0.0/8, with commas between them") from error
