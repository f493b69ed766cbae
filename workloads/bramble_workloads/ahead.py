"""A function over many things by several threads, in order, a bounded number of them under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 4
"""Things under way or done and not yet taken, for each thread: bounds what waits in memory."""


def ahead(function: Callable[[A], B], things: Iterable[A], threads: int) -> Iterator[B]:
    """What the function gives for each thing, in their order. What it raises ends the iteration; what has not begun then never does."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(function, thing))
                if len(waiting) > threads * AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
