"""Threads that run a model for the event loop.

`ThreadPoolExecutor` under `run_in_executor` does the same at more than twice the cost: each call makes two futures with a lock, a condition
and callbacks. The figures are in docs/dependencies.md.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A few threads and the calls that wait for them. Clients take turns: one that sends many calls waits for its own.

    Args:
        count: of threads.
        name: of the threads.
        prepare: called once in each thread before its first call.
    """

    def __init__(self, count: int, name: str, prepare: Callable[[], object] | None = None) -> None:
        self._count = count
        self._prepare = prepare
        self._waiting: OrderedDict[str, OrderedDict[Callable[[], None], None]] = OrderedDict()
        """By client, who has the next turn first; the calls of each in their order."""
        self._lock = threading.Lock()
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        """True for each call, also for one that was withdrawn; False for each thread that is to end."""
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T], client: str = "") -> asyncio.Future[T]:
        """Call something in a thread; its result or its exception. Only from the event loop's thread, and before `close`.

        If the future is done before it is the call's turn, nothing is called, and what the call holds, such as a picture, is dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            if future.done():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  (it is raised again where the result is awaited)
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_succeed, future, result)

        with self._lock:
            self._waiting.setdefault(client, OrderedDict())[call] = None
        future.add_done_callback(lambda _: self._withdraw(client, call))
        self._tokens.put(True)
        return future

    def close(self) -> None:
        """End the threads once all calls were made."""
        for _ in range(self._count):
            self._tokens.put(False)

    def _work(self) -> None:
        if self._prepare is not None:
            self._prepare()
        while self._tokens.get():
            self._next()()

    def _next(self) -> Callable[[], None]:
        """The call whose turn it is. There is none for the token of a call that was withdrawn, unless others came before it."""
        with self._lock:
            if not self._waiting:
                return _do_nothing
            client, calls = self._waiting.popitem(last=False)
            call, _ = calls.popitem(last=False)
            if calls:
                self._waiting[client] = calls
            return call

    def _withdraw(self, client: str, call: Callable[[], None]) -> None:
        """Forget a call if it still waits for its turn."""
        with self._lock:
            calls = self._waiting.get(client)
            if calls is not None and call in calls:
                del calls[call]
                if not calls:
                    del self._waiting[client]


def _do_nothing() -> None:
    pass


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # its task was cancelled meanwhile
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
