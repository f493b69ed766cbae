"""The hyperparameters of this run. Anything that the contract does not know is a spec error that lists what there is."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from bramble.contracts.hyperparameters import Hyperparameters, describe
from bramble_workloads.errors import SpecError


def read(values: dict[str, Any]) -> Hyperparameters:
    """Raises SpecError: a name that is not known, or a value out of its bounds; the message lists names and bounds."""
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as error:
        raise SpecError(f"hyperparameters: {describe(error)}") from error
