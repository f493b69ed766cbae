"""The agent of a device: `python -m bramble_workloads agent`.

Order of a start: lock the state, open the API, serve what was served before, then talk to the gateway. Order of a leave (SIGTERM): take no
new request, answer those under way, note on the disk that this was no crash. A crash, a restart or a lost network never stops serving
for longer than the process takes to start.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from bramble.contracts import __version__
from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.device.backoff import wait_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.reporting import Reporter
from bramble_workloads.edge.serve.api import Api
from bramble_workloads.edge.settings import Settings
from bramble_workloads.errors import TryAgain, WorkloadError

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
LOCK_SECONDS = 60.0
LONGEST_WAIT = 10.0
ABSENT_DELAY = 2.0
"""Between questions while an assignment is missing in the answers."""


def main() -> int:
    """Run until SIGTERM; gives the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.read()
        settings.state.mkdir(parents=True, exist_ok=True)
        with locked(settings.state):
            asyncio.run(serve(settings))
    except WorkloadError as error:
        log.error("%s", error)  # noqa: TRY400  (the message says what to do; a traceback would hide it)
        return int(error.code)
    return ExitCode.OK


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a folder's lock: two agents of one node would undo each other's writes. Waits for the one before to leave.

    Raises:
        TryAgain: it did not leave in time.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    old = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, LOCK_SECONDS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        signal.setitimer(signal.ITIMER_REAL, 0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        os.close(descriptor)


def _too_long(number: int, frame: object) -> None:
    del number, frame
    raise TryAgain(f"another agent of this node has held the state for {LOCK_SECONDS:.0f} s: end it first")


async def serve(settings: Settings) -> None:
    """Be the agent until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with GatewayClient(settings.gateway_url) as gateway:
        node = Node(settings, gateway)
        api = Api(node, __version__)
        runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        log.info("node %s (%s) of fleet %s answers on %s:%d", settings.node, settings.board, settings.fleet, settings.host, settings.port)
        await node.restore()
        tasks = [
            asyncio.create_task(follow(node, gateway), name="follow"),
            asyncio.create_task(Reporter(node, gateway).run(), name="report"),
            asyncio.create_task(node.watch(), name="watch"),
        ]
        leaving = asyncio.create_task(asked.wait())
        await asyncio.wait((*tasks, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # an error nobody foresaw: leave as a crash does, and start anew
        log.info("leaving: asked to")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await site.stop()
        await api.drain(DRAIN_SECONDS)
        await runner.cleanup()
        await node.leave()


async def follow(node: Node, gateway: GatewayClient) -> None:
    """Keep in step with the gateway's assignments, for ever."""
    etag: str | None = None
    failures = 0
    while True:
        try:
            answer = await gateway.assignments(None if node.absent() else etag)
        except (GatewayUnavailable, GatewayRefused) as error:
            if not failures:
                log.warning("%s; what runs goes on", error)
            failures += 1
            await asyncio.sleep(wait_seconds(failures, LONGEST_WAIT))
            continue
        failures = 0
        node.heard()
        if answer is None:
            continue
        etag = answer.etag
        new = await node.apply(answer.assignments)
        if node.absent():
            await asyncio.sleep(min(ABSENT_DELAY, node.settings.withdraw_seconds / 3))
        elif not new:  # a replica whose cache is behind answers at once, and in turns with the other one
            await asyncio.sleep(wait_seconds(0, LONGEST_WAIT))


if __name__ == "__main__":
    sys.exit(main())
