"""Waiting for conditions, with a deadline that says what was there instead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tools.cluster.errors import ConditionTimeout

Value = TypeVar("Value")
INTERVAL_SECONDS = 0.05
PAUSE = 2
"""A condition is asked a third of the time at most, or kubectl, asked without a pause, would keep a core busy."""
LONGEST_PAUSE_SECONDS = 1.0


def wait(predicate: Callable[[], Value], timeout: float, describe: Callable[[], object] | str, interval: float = INTERVAL_SECONDS) -> Value:
    """The first true value of `predicate`, asked until `timeout` seconds are over.

    `describe` is what the error says: a text, or a call made once the time is over that returns the state to print. The pauses are of
    `interval` seconds, or longer where `predicate` takes long.
    """
    started = time.monotonic()
    while True:
        asked = time.monotonic()
        value = predicate()
        if value:
            return value
        now = time.monotonic()
        if now - started > timeout:
            raise ConditionTimeout(_message(timeout, describe))
        time.sleep(max(interval, min(LONGEST_PAUSE_SECONDS, PAUSE * (now - asked))))


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    seconds: float,
    describe: Callable[[], object] | str,
    interval: float = INTERVAL_SECONDS,
) -> None:
    """The same for tasks; the condition may be a coroutine function."""
    started = time.monotonic()
    while True:
        said = condition()
        if said if isinstance(said, bool) else await said:
            return
        if time.monotonic() - started > seconds:
            raise ConditionTimeout(_message(seconds, describe))
        await asyncio.sleep(interval)


def _message(timeout: float, describe: Callable[[], object] | str) -> str:
    said = describe if isinstance(describe, str) else describe()
    return f"not within {timeout:g} s: {said}"
