"""Threads that run a model for the event loop.

`ThreadPoolExecutor` under `run_in_executor` does the same at more than twice the cost: each call makes two futures with a lock, a condition
and callbacks. The figures are in docs/dependencies.md.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A few threads and the calls that wait for them, first come, first served."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Call something in a thread; its result or its exception. Only from the event loop's thread, and before `close`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  (it is raised again where the result is awaited)
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_succeed, future, result)

        self._calls.put(call)
        return future

    def close(self) -> None:
        """End the threads once all calls were made."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # its task was cancelled meanwhile
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
