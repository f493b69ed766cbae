"""The command line: `python -m bramble operator | gateway | crds`."""

from __future__ import annotations

import asyncio
import gc
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
  gateway    serve the calls of devices and jobs
  crds       print the custom resource definitions

Settings come from environment variables BRAMBLE_*; the chart sets them (bramble/settings.py describes each)."""

FRAMES = 12_000
"""Limit of nested calls. The API server accepts objects of up to 10,000 levels, and reading, comparing or writing one takes a call per
level."""

STACK = 64 * 1024 * 1024
"""Bytes of a thread's stack; memory is only used as far as the stack grows. One call takes 130 bytes in JSON and 2,560 where `sorted` calls
itself, the largest found (Python 3.11). So `FRAMES` calls fit, and endless recursion raises an exception instead of ending the process."""

FULL_COLLECTION = 1_000_000
"""Collections of the middle generation after which Python would collect everything: never between two full lists."""

log = logging.getLogger("bramble")


async def operate(settings: Settings) -> None:
    """Run one replica of the operator until SIGTERM or SIGINT."""
    from bramble.engine.clock import ClusterClock
    from bramble.engine.engine import Engine
    from bramble.handlers.watching import watch
    from bramble.kinds.registry import CONTROLLERS
    from bramble.kube.client import Client
    from bramble.kube.config import load

    collect_rarely()
    config, stop = load(), asyncio.Event()
    claim_signals = partial(stop_on_signals, stop)
    claim_signals()
    clock = ClusterClock()
    async with Client(config, on_date=clock.heard) as client:
        engine = Engine(client, settings, CONTROLLERS, clock.now)
        log.info("operator %s: %s, lease in %s", settings.pod_name, config.server, settings.namespace)
        await engine.run(stop, partial(watch, config=config, claim_signals=claim_signals))


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def serve(settings: Settings) -> None:
    """Run one replica of the gateway until SIGTERM or SIGINT."""
    from bramble.gateway.server import run

    collect_rarely()
    await run(settings)


def crds() -> int:
    """Print the CRDs, as in the folder `crds/`."""
    from bramble.api.crd import files

    print("---\n".join(text for path, text in files() if path.parts[0] == "crds"))
    return 0


def read_deep() -> None:
    """Let this process read every object that the API server accepts, so that one user's deeply nested object cannot stop it.

    With Python's default limit of 1,000 calls, such an object would make the whole list that contains it unreadable.
    """
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK if most == resource.RLIM_INFINITY else min(STACK, most), most))
    threading.stack_size(STACK)
    sys.setrecursionlimit(FRAMES)


def collect_rarely() -> None:
    """Leave full garbage collections to the operator's full lists and to the gateway's `collect`.

    With thousands of devices one takes 100 ms, in which nothing else runs. With Python's default there is one at each of the operator's
    readings of the gateway, and several at the gateway while many devices connect at once. Younger generations are collected as before.
    What is there now, modules and models above all, is never looked at again: it lives as long as the process, and is a third of what a
    full collection with 5,000 devices would look at.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION)
    gc.collect()
    gc.freeze()


def run_service(service: Callable[[Settings], Coroutine[Any, Any, None]]) -> int:
    """Run a service until it is asked to stop. Returns the exit status: 1, after one line on standard error, if the settings cannot be
    used.
    """
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
    """Run the command line. Returns the exit status."""
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
