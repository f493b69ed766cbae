"""The objects that all models of a node share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.serve.counters import Book
from bramble_workloads.edge.serve.recent_inputs import RecentInputs
from bramble_workloads.edge.serve.workers import Workers
from bramble_workloads.edge.settings import Settings
from bramble_workloads.edge.slots.last_end import LastEnd, WorkLog


@dataclass(frozen=True)
class NodeResources:
    """What a model needs of the agent that it runs in."""

    settings: Settings
    gateway: GatewayClient
    blobs: Blobs
    book: Book
    boot_id: str
    instance: str
    trial_lock: asyncio.Lock
    """Held during a trial, because two trials at once could exceed the memory that is left."""
    writer: Executor
    """An executor with one thread, so that writes reach the disk in the order in which they were submitted."""
    recent: RecentInputs
    work: WorkLog
    last_end: LastEnd
    report_soon: Callable[[], None]
    """Makes the agent send a report at once."""
    last_contact: Callable[[], float | None]
    """When the gateway last answered, in seconds on the monotonic clock; None if it has not answered this process yet."""
    decoders: Workers
    """Threads of lower priority, which decode pictures that take long."""
    delete_unused_blobs: Callable[[], None]
    """Deletes the blobs that no slot needs."""
