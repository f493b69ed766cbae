"""The agent of a device: `python -m bramble_workloads agent`.

At its start the agent locks its state folder, opens its API, serves the packages that it served before, and then calls the gateway. So a
restart needs no network. On SIGTERM it accepts no new requests, answers the requests under way, and records on the disk that this end was
not a crash.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bramble.contracts import __version__
from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.device import memory
from bramble_workloads.device.backoff import retry_seconds, wait_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.reporting import Reporter
from bramble_workloads.edge.serve.api import Api
from bramble_workloads.edge.serve.http.server import HttpServer
from bramble_workloads.edge.settings import Settings, needed_for
from bramble_workloads.errors import SpecError, TryAgain, WorkloadError
from bramble_workloads.processing import decoding_memory

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
"""How long requests under way may take after SIGTERM."""
LOCK_SECONDS = 60.0
"""How long a new agent waits for the lock of the one before."""
MAX_RETRY_SECONDS = 10.0
"""The longest wait between two tries to reach the gateway."""
RECONNECT_SECONDS = 2.0
"""A replica of the gateway that ends takes the open calls of all its devices with it. They connect to another one within this time."""
MISSING_POLL_SECONDS = 2.0
"""The time between two calls to the gateway while an assignment is missing from its answers."""


def main() -> int:
    """Run the agent until SIGTERM and return the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.read()
        with needed_for("BRAMBLE_STATE", settings.state):
            settings.state.mkdir(parents=True, exist_ok=True)
        decoding_memory.MEMORY.limit = memory.decoding_limit(settings.memory_budget)
        with lock_folder(settings.state):
            uvloop.run(serve(settings))
    except WorkloadError as error:
        log.error("%s", error)  # noqa: TRY400  (the message says what to do; a traceback would hide it)
        return int(error.code)
    return ExitCode.OK


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that two agents of one node do not overwrite each other's files. Waits until the lock is free.

    Raises:
        TryAgain: another process held the lock for longer than `LOCK_SECONDS`.
        SpecError: the folder cannot be opened.
    """
    with needed_for("BRAMBLE_STATE", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    old = signal.signal(signal.SIGALRM, _raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, LOCK_SECONDS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        signal.setitimer(signal.ITIMER_REAL, 0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        os.close(descriptor)


def _raise_timeout(number: int, frame: object) -> None:
    del number, frame
    raise TryAgain(f"another agent of this node has locked the state folder for {LOCK_SECONDS:.0f} s: end that process first")


async def serve(settings: Settings) -> None:
    """Serve models and follow the gateway's assignments until SIGTERM or SIGINT.

    Raises:
        TryAgain: another process listens on the port.
        SpecError: the state folder cannot be written, or the host of `BRAMBLE_LISTEN` is no address of this machine.
    """
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)
    async with GatewayClient(settings.gateway_url) as gateway:
        node = Node(settings, gateway)
        server = HttpServer(Api(node, __version__).handle)
        await listen(server, settings.host, settings.port)
        log.info(
            "node %s (board %s, fleet %s) listens at %s:%d", settings.node, settings.board, settings.fleet, settings.host, settings.port
        )
        await node.restore()
        tasks = [
            asyncio.create_task(follow_assignments(node, gateway), name="follow"),
            asyncio.create_task(Reporter(node, gateway).run(), name="report"),
            asyncio.create_task(node.raise_worker_errors(), name="workers"),
        ]
        stopping = asyncio.create_task(stop_requested.wait())
        await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # raises an unexpected error, which ends the process; the kubelet starts it again
        log.info("shutting down after SIGTERM or SIGINT")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.leave(DRAIN_SECONDS)
        await node.shut_down()


async def listen(server: HttpServer, host: str, port: int) -> None:
    """Open the API.

    Raises:
        TryAgain: another process listens on the port.
        SpecError: it cannot be opened for another reason.
    """
    try:
        await server.listen(host, port)
    except (OSError, UnicodeError) as error:
        where = f"BRAMBLE_LISTEN={host}:{port}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise TryAgain(f"{where}: another process listens on this port: end it, or use another port") from error
        raise SpecError(f"{where}: the agent cannot listen there: {error}") from error


async def follow_assignments(node: Node, gateway: GatewayClient) -> None:
    """Read the assignments of this node from the gateway and apply them, for ever."""
    etag: str | None = None
    failures = 0
    while True:
        try:
            answer = await gateway.assignments(None if node.misses_assignments() else etag)
        except (GatewayUnavailable, GatewayRefused) as error:
            if not failures:
                log.warning("%s; the agent goes on serving its models", error)
            failures += 1
            wait = wait_seconds(failures, MAX_RETRY_SECONDS) if failures > 1 else random.uniform(0, RECONNECT_SECONDS)  # noqa: S311
            await asyncio.sleep(max(wait, retry_seconds(error)))
            continue
        failures = 0
        node.record_contact()
        if answer is None:
            continue
        etag = answer.etag
        changed = await node.apply(answer.assignments, answer.unreadable)
        if node.misses_assignments():
            await asyncio.sleep(min(MISSING_POLL_SECONDS, node.settings.withdraw_seconds / 3))
        elif not changed:  # two replicas with different caches answer at once in turn; without a wait this would be a busy loop
            await asyncio.sleep(wait_seconds(0, MAX_RETRY_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
