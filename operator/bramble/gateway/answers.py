"""Remembers what the API server answered, and for a shorter time what was refused, and asks once for calls that come at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from bramble.gateway.bounded import drop_oldest
from bramble.gateway.refusals import Forbidden, Unauthenticated

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")

Refused = Unauthenticated | Forbidden


RENEWED = 0.25
"""The share of an answer's time that is left when it is asked for again."""


class Kept(NamedTuple):
    """For how many seconds answers are used, and how many are remembered. The one that was got longest ago is forgotten first."""

    seconds: float
    most: int


class Answers(Generic[Key, Found]):
    """Answers by key. Refusals are kept apart, so that any number of them takes no place of what was found."""

    def __init__(self, found: Kept, refused: Kept, clock: Callable[[], float]) -> None:
        self._found, self._refused, self._clock = found, refused, clock
        self._known: OrderedDict[Key, tuple[float, Found]] = OrderedDict()
        self._refusals: OrderedDict[Key, tuple[float, Refused]] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[Found | Refused]] = {}

    def remembered(self, key: Key) -> Found | Refused | None:
        """What is still known about a key."""
        for answer in (self._known.get(key), self._refusals.get(key)):
            if answer is not None and self._clock() < answer[0]:
                return answer[1]
        return None

    async def ask(self, key: Key, question: Callable[[], Coroutine[Any, Any, Found]]) -> Found | Refused:
        """Ask, or wait for a question about the same key. A call that disconnects does not cancel it for the others.

        Args:
            question: gives the answer, or raises Unauthenticated or Forbidden.

        Raises:
            Whatever else the question raises. It is not remembered.
        """
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, question))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    def renew(self, key: Key, question: Callable[[], Coroutine[Any, Any, Found]]) -> None:
        """Ask again about what was found, once three quarters of its time are over, so that no later call has to wait for the answer.

        A refusal holds at once. Where there is no answer, the former one is used as long as it may be.
        """
        known = self._known.get(key)
        if known is None or key in self._asking or self._clock() < known[0] - RENEWED * self._found.seconds:
            return
        task = self._asking[key] = asyncio.create_task(self._ask(key, question))
        task.add_done_callback(lambda _: self._asking.pop(key, None))
        task.add_done_callback(_ignore_error)

    async def _ask(self, key: Key, question: Callable[[], Coroutine[Any, Any, Found]]) -> Found | Refused:
        try:
            found = await question()
        except (Unauthenticated, Forbidden) as refusal:
            self._known.pop(key, None)
            self._keep(self._refusals, key, refusal, self._refused)
            return refusal
        self._keep(self._known, key, found, self._found)
        return found

    def _keep(self, answers: OrderedDict[Key, tuple[float, Any]], key: Key, answer: object, kept: Kept) -> None:
        answers[key] = (self._clock() + kept.seconds, answer)
        answers.move_to_end(key)
        drop_oldest(answers, kept.most)


def _ignore_error(task: asyncio.Task[Any]) -> None:
    """Whoever asks next, once the answer is too old, is told."""
    if not task.cancelled():
        task.exception()
