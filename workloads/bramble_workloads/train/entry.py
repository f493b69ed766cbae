"""What the launcher calls: `prepare` once a node, before it forks the ranks, and `main` in each rank.

Imports no torch: what is wrong with the specification is said within a second, not after torch is there.
"""

from __future__ import annotations

import json
import os

from pydantic import ValidationError

from bramble.contracts.hyperparameters import Hyperparameters
from bramble.contracts.jobs.train import BuiltinTrainer
from bramble_workloads.errors import SpecError
from bramble_workloads.train import hyperparameters


def prepare() -> dict[str, str] | None:
    """Check the specification, then import all that the ranks will need; a cause where there is no point in going on."""
    try:
        _specified()
    except SpecError as error:
        return {"kind": error.kind, "message": str(error)}
    from bramble_workloads.train import program

    program.warm_up()
    return None


def main() -> int:
    """Train and export as one rank; 0, or an exception with a `code`."""
    from bramble_workloads.train import program

    return program.main(*_specified(), int(os.environ.get("BRAMBLE_SEED", "0")))


def _specified() -> tuple[Hyperparameters, BuiltinTrainer]:
    """What `$BRAMBLE_PARAMS` and `$BRAMBLE_TRAINER` ask for.

    Raises:
        SpecError: something that there is not, or that contradicts itself.
    """
    wanted = hyperparameters.read(json.loads(os.environ.get("BRAMBLE_PARAMS") or "{}"))
    try:
        trainer = BuiltinTrainer.model_validate_json(os.environ["BRAMBLE_TRAINER"])
    except ValidationError as error:
        raise SpecError(f"trainer.builtin: {error}") from error
    if trainer.pretrained:
        raise SpecError("trainer.builtin.pretrained: no weights can be named yet; leave it out")
    return wanted, trainer
