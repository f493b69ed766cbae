"""The hyperparameters of this run. Anything that the contract does not know is a spec error that lists what there is."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError

from bramble.contracts import hyperparameters
from bramble.contracts.hyperparameters import Augment, EarlyStopping, describe
from bramble_workloads.errors import SpecError

__all__ = ["Augment", "EarlyStopping", "Hyperparameters"]


class Hyperparameters(hyperparameters.Hyperparameters):
    """Of the built-in image classifier, as the trainer reads them."""

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Raises SpecError: a name that is not known, or a value out of its bounds; the message lists names and bounds."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SpecError(f"hyperparameters: {describe(error)}") from error
