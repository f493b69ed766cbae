"""Joins feedback with the answers that it is about. Only the device knows its answers, and it keeps them for a limited time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import ValidationError

from bramble.contracts.canonical import document_digest
from bramble.contracts.tasks.base import Annotation, TaskContract
from bramble_workloads.edge.serve.counters import Tally
from bramble_workloads.edge.serve.protocol import ProtocolError
from bramble_workloads.tasks.base import Answer

MAX_ANSWERS = 8192
ANSWER_SECONDS = 3600.0


class Answered(NamedTuple):
    """An answer that feedback may still come for."""

    model: str
    task: TaskContract
    answer: Answer[Any]
    tally: Tally
    at: float
    """Monotonic seconds."""
    judged: str | None = None
    """The digest of the truth, once feedback has stated it."""


class Answers:
    """The answers of the last hour, at most 8,192, by request id. Time is passed in."""

    def __init__(self, capacity: int = MAX_ANSWERS, seconds: float = ANSWER_SECONDS) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._answers: OrderedDict[tuple[str, str], Answered] = OrderedDict()

    def remember(self, request_id: str, answered: Answered) -> None:
        """Keep an answer. An answer with the same request id replaces the older one."""
        key = (request_id, answered.model)
        self._answers.pop(key, None)
        self._answers[key] = answered
        while len(self._answers) > self._capacity or next(iter(self._answers.values())).at < answered.at - self._seconds:
            self._answers.popitem(last=False)

    def judge(self, request_id: str, stated: Mapping[str, Any], model: str | None, models: tuple[str, ...], now: float) -> bool:
        """Count an answer as right or wrong and return which. The same feedback twice counts once.

        Args:
            request_id: of the request that was answered.
            stated: the feedback, with the fields of the task's annotation among others.
            model: the model that answered; None where the request id is enough.
            models: the models of this node.
            now: monotonic seconds.

        Raises:
            ProtocolError: 404 where no answer of that id is remembered, 409 where several models gave one and none is named, or where
                other feedback was given before, 400 where the feedback is not an annotation of the model's task.
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
        truth = annotation_of(answered.task, stated)
        digest = document_digest(truth)
        if answered.judged is not None and answered.judged != digest:
            raise ProtocolError(HTTPStatus.CONFLICT, f"request {request_id!r} has other feedback already")
        right = answered.answer.agrees(truth)
        if answered.judged is None:
            self._answers[found[0]] = answered._replace(judged=digest)
            answered.tally.judged(right=right)
        return right


def annotation_of(task: TaskContract, stated: Mapping[str, Any]) -> Annotation:
    """The annotation in some feedback; fields that are not of the annotation are ignored.

    Raises:
        ProtocolError: it is not an annotation of the task; the message names the fields.
    """
    names = [field.alias or name for name, field in task.annotation.model_fields.items()]
    try:
        return task.annotation.model_validate({name: stated[name] for name in names if name in stated})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ProtocolError(HTTPStatus.BAD_REQUEST, f"feedback on {task.name} states {', '.join(names)}, and this is not: {what}") from None
