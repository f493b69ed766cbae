"""Joins feedback with answers by request id. Answers are kept in memory only, for a limited time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from bramble.contracts.base import first_problem
from bramble.contracts.canonical import document_digest
from bramble.contracts.names import first_names
from bramble.contracts.package import Package
from bramble.contracts.tasks.base import Annotation, TaskContract
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.edge.serve.counters import JUDGED, Origin, Tally
from bramble_workloads.edge.serve.http.messages import HttpError
from bramble_workloads.tasks.base import Answer
from bramble_workloads.tasks.catalogue import task_of

MAX_ANSWERS = 8192
ANSWER_SECONDS = 3600.0
"""How long an answer is kept."""
LABELS_NAMED = 20
"""How many labels of a model a message names at most."""


class Answered(NamedTuple):
    """An answer for which feedback may arrive."""

    model: str
    package: Package
    """The package that answered."""
    answer: Answer[Any]
    tally: Tally
    at: float
    """When it was given, in seconds on the monotonic clock."""
    only_from: str | None = None
    """The address from which feedback may come; None if whoever knows the id may send it, because nobody can guess it."""
    judged: Mapping[Origin, str] = MappingProxyType({})
    """The digest of the annotation in the first feedback of each origin."""


class Answers:
    """The recent answers of a node, by request id and model.

    Args:
        capacity: how many answers are kept; the oldest is dropped first.
        seconds: how long an answer is kept.
    """

    def __init__(self, capacity: int = MAX_ANSWERS, seconds: float = ANSWER_SECONDS) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._answers: dict[str, OrderedDict[str, Answered]] = {}
        """By model, and then by request id, oldest first."""
        self._count = 0

    def remember(self, request_id: str, answered: Answered) -> None:
        """Keep an answer. An answer with the same request id replaces the older one.

        Where too many are kept, the model with the most loses its oldest, so that no model takes the room of the others.
        """
        answers = self._answers.setdefault(answered.model, OrderedDict())
        self._count += request_id not in answers
        answers[request_id] = answered
        answers.move_to_end(request_id)
        if self._count > self._capacity:
            most = max(self._answers, key=lambda model: len(self._answers[model]))
            self._answers[most].popitem(last=False)
            self._count -= 1

    def judge(
        self, request_id: str, stated: Mapping[str, Any], model: str | None, models: tuple[str, ...], now: float, client: str = ""
    ) -> bool:
        """Count an answer as right or wrong, and return True if it is right. Repeated equal feedback is counted once.

        What labelling says is counted by class as well, where an answer has one class. An answer may have feedback of each origin: what a
        person volunteers does not keep the label of a labelling from being counted.

        Args:
            request_id: the id of the request that was answered.
            stated: the feedback. It has the fields of the task's annotation, may say by `origin` how it came about, and may have others.
            model: the name of the model that answered; None if the feedback does not name it.
            models: the names of all models of this node.
            now: the time in seconds on the monotonic clock.
            client: the address that the feedback comes from.

        Raises:
            HttpError: 403 if only another client may judge the answer, 404 if no such answer is kept, 409 if several models
                answered it and the feedback names none, 409 if different feedback of this origin was given before, 400 if there is no such
                origin, or the feedback is not an annotation of the model's task, or has a label that the package does not have. Feedback
                that is refused is not counted, and other feedback may follow.
        """
        origin = origin_of(stated)
        kept = [(each, self._answers[each][request_id]) for each in models if request_id in self._answers.get(each, {})]
        answers = [name for name, each in kept if now - each.at <= self._seconds]
        found = [name for name in answers if model in {None, name}]
        if answers and not found:
            answered_by = f"request {request_id!r} was answered by {', '.join(answers)}, not by {model!r:.80}"
            raise HttpError(HTTPStatus.NOT_FOUND, f"{answered_by}: set the field model to one that answered")
        if not found:
            raise HttpError(
                HTTPStatus.NOT_FOUND,
                f"no answer to request {request_id!r} was given in the last {self._seconds:.0f} s, or it is not kept any more",
            )
        if len(found) > 1:
            names = ", ".join(found)
            raise HttpError(HTTPStatus.CONFLICT, f"request {request_id!r} was answered by {names}: set the field model to one of them")
        answered = self._answers[found[0]][request_id]
        if answered.only_from not in {None, client}:
            message = f"request {request_id!r} came from another address: send its feedback from there, or ask without an id and use"
            raise HttpError(HTTPStatus.FORBIDDEN, f"{message} the one in the answer, which nobody can guess")
        truth = annotation_of(contract_of(answered.package.task), stated)
        _require_known(truth, answered)
        digest = document_digest(truth)
        right = answered.answer.agrees(truth)
        if origin not in answered.judged:
            self._answers[found[0]][request_id] = answered._replace(judged={**answered.judged, origin: digest})
            answered.tally.judged(origin, right=right)
            if origin == "labelled":
                _count_by_class(answered, truth)
        elif answered.judged[origin] != digest:
            raise HttpError(HTTPStatus.CONFLICT, f"request {request_id!r} has different feedback already")
        return right


def origin_of(stated: Mapping[str, Any]) -> Origin:
    """How feedback says that it came about; `labelled` where it does not say.

    Raises:
        HttpError: it names another origin than there are.
    """
    origin = stated.get("origin", "labelled")
    if not isinstance(origin, str) or origin not in JUDGED:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"origin must be one of {', '.join(JUDGED)}")
    return cast(Origin, origin)


def _count_by_class(answered: Answered, truth: Annotation) -> None:
    """Count by true and answered class, where both are one class."""
    match truth.classes, answered.answer.truth().classes:
        case (true,), (named,):
            answered.tally.classified(answered.package.postprocess.classes, true, named)


def _require_known(truth: Annotation, answered: Answered) -> None:
    labels = task_of(answered.package.task).labels(answered.package)
    if labels is None:
        return
    unknown = [name for name in truth.classes if name not in labels]
    if unknown:
        message = f"{answered.model} has no label {unknown[0]!r}: its labels are {first_names(labels, LABELS_NAMED)}"
        raise HttpError(HTTPStatus.BAD_REQUEST, message)


def annotation_of(task: TaskContract, stated: Mapping[str, Any]) -> Annotation:
    """Read the annotation in feedback. Other fields are ignored.

    Raises:
        HttpError: the feedback has no valid annotation of the task. The message names the fields that it needs.
    """
    names = [field.alias or name for name, field in task.annotation.model_fields.items()]
    try:
        return task.annotation.model_validate({name: stated[name] for name in names if name in stated})
    except ValidationError as error:
        what = first_problem(error)
        raise HttpError(HTTPStatus.BAD_REQUEST, f"feedback for the task {task.name} needs {', '.join(names)}: {what}") from None
