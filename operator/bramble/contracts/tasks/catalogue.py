"""The tasks in an ordered tuple, and the types whose values come from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

from bramble.contracts.base import OneModelOf, OneOf
from bramble.contracts.tasks.base import BuiltinTrainer, Input, Operation, Postprocess, Scores, TaskContract
from bramble.contracts.tasks.classification import CLASSIFICATION

TASKS: tuple[TaskContract, ...] = (CLASSIFICATION,)

T = TypeVar("T")


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


METRIC_NAMES = _distinct(name for task in TASKS for name in task.metric_names)
"""Every metric of any task. Tasks may share a name."""

ROLES = _distinct(role for task in TASKS for role in task.roles)
"""What an output of a graph may stand for."""

TaskName = Annotated[str, OneOf(tuple(task.name for task in TASKS))]
BuiltinTaskName = Annotated[str, OneOf(tuple(task.name for task in TASKS if task.builtin))]
MetricName = Annotated[str, OneOf(METRIC_NAMES)]
Role = Annotated[str, OneOf(ROLES)]
AnyInput = Annotated[Input, OneModelOf(_distinct(task.input for task in TASKS), "kind")]
AnyOperation = Annotated[Operation, OneModelOf(_distinct(operation for task in TASKS for operation in task.operations), "op")]
AnyPostprocess = Annotated[Postprocess, OneModelOf(_distinct(task.postprocess for task in TASKS), "kind")]
AnyScores = Annotated[Scores, OneModelOf(tuple(task.scores for task in TASKS), "task")]
AnyBuiltinTrainer = Annotated[BuiltinTrainer, OneModelOf(tuple(task.builtin.trainer for task in TASKS if task.builtin), "task")]


def contract_of(task: str) -> TaskContract:
    """The contract of a task.

    Raises:
        KeyError: this version of Bramble has no such task.
    """
    for each in TASKS:
        if each.name == task:
            return each
    raise KeyError(f"no task {task!r}: there are {', '.join(each.name for each in TASKS)}")


def headline_of(metrics: Mapping[str, float]) -> str | None:
    """The name of the headline among some metrics: that of the first task which has all of them; None where there is none.

    Measurements in status and results carry their metrics without the task.
    """
    return next((task.headline for task in TASKS if task.headline in metrics and set(metrics) <= set(task.metric_names)), None)
