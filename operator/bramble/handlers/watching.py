"""kopf's watches, and the one handler that all of them call.

Only raw `on.event` handlers are registered. With those alone kopf keeps nothing on objects (no finalizer, no
annotation, no event) and needs no peering: what it asks of the API server is lists, watches and discovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import kopf

from bramble.engine.engine import Engine
from bramble.engine.feed import selector
from bramble.kube.config import ClusterConfig
from bramble.kube.resources import Resource

WATCH_SECONDS = 300
"""Of one watch request; the next continues where it ended."""

PAGE = 500
RETRY_SECONDS = (1.0, 1.0, 2.0, 3.0, 5.0)
WORKER_IDLE_SECONDS = 1.0
"""kopf keeps a task for each object that an event came for; they go soon, so that a full list is no lasting burden."""


class ForEver:
    """Delays before a failed request is sent again: a short outage is over soon, a long one must not end this process."""

    def __iter__(self) -> Iterator[float]:
        yield from RETRY_SECONDS
        yield from repeat(RETRY_SECONDS[-1])


def kopf_settings(engine: Engine) -> kopf.OperatorSettings:
    """Kopf as a deliverer of events and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = WORKER_IDLE_SECONDS
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = ForEver()
    settings.process.ultimate_exiting_timeout = None
    for resource in engine.watched:
        if labels := selector(resource):
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = labels
    return settings


def register(registry: kopf.OperatorRegistry, engine: Engine, config: ClusterConfig) -> None:
    """The login, and one handler a resource."""

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        """The same way in as the engine's own; called again when the API server no longer takes the token."""
        return kopf.ConnectionInfo(
            server=config.server,
            ca_data=config.ca or None,
            token=config.bearer() or None,
            certificate_data=config.certificate or None,
            private_key_data=config.key or None,
        )

    for resource in engine.watched:
        _watch(registry, engine, resource)


def _watch(registry: kopf.OperatorRegistry, engine: Engine, resource: Resource) -> None:
    events = engine.metrics.events.labels(resource.kind)
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}

    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)
    async def deliver(event: kopf.RawEvent, **_: Any) -> None:  # a plain function would run in a thread beside the engine
        manifest = {**kind, **event["object"]}
        engine.deliveries.heard(manifest)
        if event["type"] is None:
            engine.relist.soon()
        news = engine.feed.gone(manifest) if event["type"] == "DELETED" else engine.feed.seen(manifest)
        if news:
            events.inc()


async def watch(engine: Engine, stop: asyncio.Event, config: ClusterConfig, claim_signals: Callable[[], None]) -> None:
    """Run kopf until `stop` is set.

    Args:
        claim_signals: takes SIGTERM and SIGINT back: kopf installs handlers of its own, which would end the watches
            before the Lease is released.

    Raises:
        Exception: a watch ended for good; the process should be started anew.
    """
    registry = kopf.OperatorRegistry()
    register(registry, engine, config)
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(registry=registry, settings=kopf_settings(engine), clusterwide=True, standalone=True, stop_flag=stop)
    claim_signals()
    await kopf.run_tasks(tasks, ignored=ours)
    if not stop.is_set():
        raise RuntimeError("the watches ended although nobody asked them to")
