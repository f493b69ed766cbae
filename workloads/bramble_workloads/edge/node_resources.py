"""What all assignments of a node share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.serve.counters import Book
from bramble_workloads.edge.settings import Settings


@dataclass(frozen=True)
class NodeResources:
    """One node's agent, as its deployments see it."""

    settings: Settings
    gateway: GatewayClient
    blobs: Blobs
    book: Book
    boot_id: str
    instance: str
    trying: asyncio.Lock
    """One trial at a time: the memory that is left is left once."""
    writer: Executor
    """One thread: writes reach the disk in the order in which they were begun."""
    changed: Callable[[], None]
    """Something happened that the operator should hear of at once."""
    contact: Callable[[], float | None]
    """When the gateway was last heard of, on the monotonic clock."""
    collect: Callable[[], None]
    """Drop blobs that no slot names any more."""
