"""kopf's watches and the one handler that all of them call.

Only plain `on.event` handlers are registered. With those, kopf writes nothing to objects (no finalizer, no annotation, no event) and needs
no peering: it only lists, watches and discovers resources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from bramble.engine.changes import label_selector
from bramble.engine.engine import Engine
from bramble.kube.config import ClusterConfig
from bramble.kube.resources import Resource

IDENTITY = Identity("bramble")
"""What kopf calls this operator. Peering is off, so nobody reads it. Without one, kopf asks for the name of the process's user, and
an image does not know the user that its pods run as."""

WATCH_SECONDS = 300
"""Duration of one watch request. The next one continues where it ended."""

PAGE = 500
"""Objects per page of the list that a watch begins with."""

RETRY_SECONDS = (1.0, 1.0, 2.0, 3.0, 5.0)
"""Delays before a failed request is repeated; the last one repeats."""

WORKER_IDLE_SECONDS = 1.0
"""kopf keeps a task for each object that had an event. A short idle time ends them soon after a full list."""


class EndlessRetries:
    """The delays before retries. kopf never gives up, because a long outage of the API server must not end this process."""

    def __iter__(self) -> Iterator[float]:
        yield from RETRY_SECONDS
        yield from repeat(RETRY_SECONDS[-1])


def kopf_settings(engine: Engine) -> kopf.OperatorSettings:
    """Settings with which kopf delivers events and does nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = WORKER_IDLE_SECONDS
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = EndlessRetries()
    settings.process.ultimate_exiting_timeout = None
    for resource in engine.watched:
        if labels := label_selector(resource):
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = labels
    return settings


def register(registry: kopf.OperatorRegistry, engine: Engine, config: ClusterConfig) -> None:
    """Register the login and one handler per resource."""

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        """Give kopf the credentials that our own client uses. kopf asks at the start, and again when the API server refuses them."""
        config.refused()
        certificate, key = config.client_certificate()
        return kopf.ConnectionInfo(
            server=config.server,
            ca_data=config.ca or None,
            token=config.bearer() or None,
            certificate_data=certificate or None,
            private_key_data=key or None,
        )

    for resource in engine.watched:
        _watch(registry, engine, resource)


def _watch(registry: kopf.OperatorRegistry, engine: Engine, resource: Resource) -> None:
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}

    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)
    async def deliver(event: kopf.RawEvent, **_: Any) -> None:  # async, because kopf runs a plain function in a thread of its own
        engine.deliver(event["type"], {**kind, **event["object"]})


async def watch(engine: Engine, stop: asyncio.Event, config: ClusterConfig, claim_signals: Callable[[], None]) -> None:
    """Run kopf until `stop` is set.

    Args:
        claim_signals: installs our handlers of SIGTERM and SIGINT again. kopf installs its own, which would end the watches before the
        Lease
            is released.

    Raises:
        Exception: a watch failed for good. The process must be restarted.
    """
    registry = kopf.OperatorRegistry()
    register(registry, engine, config)
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry, settings=kopf_settings(engine), identity=IDENTITY, clusterwide=True, standalone=True, stop_flag=stop
    )
    claim_signals()
    await kopf.run_tasks(tasks, ignored=ours)
    if not stop.is_set():
        raise RuntimeError("kopf's watches ended although nothing asked them to stop")
