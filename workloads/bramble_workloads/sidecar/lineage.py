"""The lineage of the model that an attempt trains."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.canonical import document_digest
from bramble.contracts.package import Lineage
from bramble_workloads.errors import SpecError


def lineage(job: dict[str, Any]) -> Lineage:
    """The fields that the operator states in the job, and the dataset, hyperparameters and seed of this attempt.

    Raises:
        SpecError: the job states a field that a lineage does not have.
    """
    own = {"dataset": job["manifest"], "params": document_digest(job["hyperparameters"]), "seed": job["seed"]}
    try:
        return Lineage.model_validate({**own, **job["lineage"]})
    except ValidationError as error:
        raise SpecError(f"job.lineage: {problems_of(error)}") from error
