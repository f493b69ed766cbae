"""The launcher's entry to the built-in program: `prepare` runs once a node, before it forks the ranks, and `main` runs in each rank.

It imports no torch, so that a wrong specification is reported within a second.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from bramble.contracts.hyperparameters import Hyperparameters, describe
from bramble.contracts.tasks.base import BuiltinTrainer
from bramble.contracts.tasks.catalogue import AnyBuiltinTrainer, contract_of
from bramble_workloads.errors import SpecError


class Specified(NamedTuple):
    """The user's settings of the built-in program. Both are instances of the task's own models."""

    trainer: BuiltinTrainer
    wanted: Hyperparameters


def prepare() -> dict[str, str] | None:
    """Check the specification, then import what the ranks need. Returns a cause if the specification is wrong, else None."""
    try:
        specified()
    except SpecError as error:
        return {"kind": error.kind, "message": str(error)}
    from bramble_workloads.train import program

    program.warm_up()
    return None


def main() -> int:
    """Train and export as one rank. Returns 0, or raises an exception, whose `code` is the exit code."""
    from bramble_workloads.train import program

    return program.main(specified(), int(os.environ.get("BRAMBLE_SEED", "0")))


def specified() -> Specified:
    """Read `$BRAMBLE_TRAINER` and the hyperparameters.

    Raises:
        SpecError: a name is not known, or a value is out of bounds. The message lists the names and bounds.
    """
    try:
        trainer = TypeAdapter[BuiltinTrainer](AnyBuiltinTrainer).validate_json(os.environ["BRAMBLE_TRAINER"])
    except ValidationError as error:
        raise SpecError(f"trainer.builtin: {error}") from error
    builtin = contract_of(trainer.task).builtin
    if builtin is None:
        raise SpecError(f"trainer.builtin.task: there is no built-in program for {trainer.task}; use trainer.container")
    try:
        wanted = builtin.hyperparameters.model_validate(json.loads(_parameters()))
    except ValidationError as error:
        raise SpecError(f"hyperparameters: {describe(error, builtin.hyperparameters)}") from error
    return Specified(trainer, wanted)


def _parameters() -> str:
    file = os.environ.get("BRAMBLE_PARAMS_FILE")
    return Path(file).read_text() if file else os.environ.get("BRAMBLE_PARAMS") or "{}"
