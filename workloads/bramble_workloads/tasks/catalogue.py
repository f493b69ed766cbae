"""The tasks in an ordered tuple."""

from __future__ import annotations

from typing import Any

from bramble_workloads.tasks.base import Task
from bramble_workloads.tasks.classification.task import Classification

TASKS: tuple[Task[Any, Any], ...] = (Classification(),)


def task_of(name: str) -> Task[Any, Any]:
    """The task of this name.

    Raises:
        KeyError: this image has no such task. Parsed documents name only tasks of the contracts, so that an image lacks none of them.
    """
    return next(task for task in TASKS if task.contract.name == name)
