"""Joins what a user says was right with what the device had answered. Only the device knows that, and only for a while."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import NamedTuple

from bramble_workloads.edge.serve.counters import Tally
from bramble_workloads.edge.serve.protocol import ProtocolError

MAX_ANSWERS = 8192
ANSWER_SECONDS = 3600.0


class Answered(NamedTuple):
    """An answer that feedback may still come for."""

    model: str
    label: str
    tally: Tally
    at: float
    """Monotonic seconds."""
    judged: str | None = None
    """The true label, once it was told."""


class Answers:
    """The answers of the last hour, at most 8,192, by request id. Time is passed in."""

    def __init__(self, capacity: int = MAX_ANSWERS, seconds: float = ANSWER_SECONDS) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._answers: OrderedDict[tuple[str, str], Answered] = OrderedDict()

    def remember(self, request_id: str, answered: Answered) -> None:
        """An answer was given. The same id again means the newer answer."""
        key = (request_id, answered.model)
        self._answers.pop(key, None)
        self._answers[key] = answered
        while len(self._answers) > self._capacity or next(iter(self._answers.values())).at < answered.at - self._seconds:
            self._answers.popitem(last=False)

    def judge(self, request_id: str, label: str, model: str | None, models: tuple[str, ...], now: float) -> bool:
        """Count an answer as right or wrong; gives which. The same feedback twice counts once.

        Raises:
            ProtocolError: 404 where no answer of that id is remembered, 409 where several models gave one and none is named, or where
                another label was told before.
        """
        found = [key for each in models if (key := (request_id, each)) in self._answers and model in {None, each}]
        found = [key for key in found if now - self._answers[key].at <= self._seconds]
        if not found:
            raise ProtocolError(
                HTTPStatus.NOT_FOUND, f"no answer to request {request_id!r} in the last {self._seconds:.0f} s is remembered here"
            )
        if len(found) > 1:
            names = ", ".join(each for _, each in found)
            raise ProtocolError(HTTPStatus.CONFLICT, f"request {request_id!r} was answered by {names}: name one as model")
        answered = self._answers[found[0]]
        if answered.judged is not None and answered.judged != label:
            raise ProtocolError(HTTPStatus.CONFLICT, f"request {request_id!r} was said to be {answered.judged!r} before")
        right = answered.label == label
        if answered.judged is None:
            self._answers[found[0]] = answered._replace(judged=label)
            answered.tally.judged(right=right)
        return right
