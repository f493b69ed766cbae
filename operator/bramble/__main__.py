"""`python -m bramble operator | gateway | crds`."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bramble.settings import Settings, SettingsError

USAGE = """usage: python -m bramble COMMAND

  operator   reconcile Datasets, TrainingRuns, ModelVersions, Fleets and Rollouts
  gateway    serve devices and jobs
  crds       print the custom resource definitions

Settings come from environment variables BRAMBLE_*; the chart sets them (bramble/settings.py describes each)."""

FRAMES = 12_000
"""The API server takes objects of up to 10,000 levels; C code takes one call a level to read, compare or write one."""

STACK = 64 * 1024 * 1024
"""Bytes of a thread's stack, used as far as they are needed. A frame takes 130 of them in JSON, and 2,560 where `sorted` calls itself,
the most that was found (Python 3.11): so an endless recursion is still an exception and not the end of the process."""

log = logging.getLogger("bramble")


async def operate(settings: Settings) -> None:
    """One replica of the operator, until SIGTERM or SIGINT."""
    from bramble.engine.engine import Engine
    from bramble.handlers.watching import watch
    from bramble.kinds.registry import CONTROLLERS
    from bramble.kube.client import Client
    from bramble.kube.config import load

    config, stop = load(), asyncio.Event()
    claim_signals = partial(stop_on_signals, stop)
    claim_signals()
    async with Client(config) as client:
        engine = Engine(client, settings, CONTROLLERS)
        log.info("operator %s: %s, lease in %s", settings.pod_name, config.server, settings.namespace)
        await engine.run(stop, partial(watch, config=config, claim_signals=claim_signals))


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def serve(settings: Settings) -> None:
    """One replica of the gateway."""
    from bramble.gateway.server import run

    await run(settings)


def crds() -> int:
    """Print what `crds/` holds."""
    from bramble.api.crd import files

    print("---\n".join(text for path, text in files() if path.parts[0] == "crds"))
    return 0


def read_deep() -> None:
    """Let this process read every object that the API server takes, so that one user's nested object does not end it.

    Python's own limit of 1,000 levels would hold for a whole list: kopf and our client read it at once.
    """
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK if most == resource.RLIM_INFINITY else min(STACK, most), most))
    threading.stack_size(STACK)
    sys.setrecursionlimit(FRAMES)


def run_service(service: Callable[[Settings], Coroutine[Any, Any, None]]) -> int:
    """Run until it is asked to end; 1 and one line where it cannot begin."""
    from bramble.engine.logs import configure

    try:
        settings = Settings.read()
    except SettingsError as error:
        print(f"bramble: {error}", file=sys.stderr)
        return 1
    configure(settings)
    read_deep()
    asyncio.run(service(settings))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    commands: dict[str, Callable[[], int]] = {
        "operator": partial(run_service, operate),
        "gateway": partial(run_service, serve),
        "crds": crds,
    }
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or given[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 2
    return commands[given[0]]()


if __name__ == "__main__":
    sys.exit(main())
