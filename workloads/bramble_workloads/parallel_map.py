"""A map over an iterable that runs on several threads, keeps the order, and bounds how much is in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

QUEUED_PER_THREAD = 4
"""For each thread, at most this many items are submitted and not yet consumed. This bounds the memory that waiting results take."""


def parallel_map(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """Yield `function(item)` for each item, in the order of the items.

    An exception of `function` is raised where its result would have been yielded. It ends the iteration, and calls that have not started
    are cancelled.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads * QUEUED_PER_THREAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
