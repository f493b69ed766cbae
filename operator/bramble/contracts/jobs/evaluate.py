"""The step that scores an exported package on the frozen test split."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bramble.contracts.base import Digest, Document, ExtensibleDocument, removed_fields
from bramble.contracts.bounds import Entries, Several
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.tasks.catalogue import AnyScores, MetricName


class Gate(Document):
    """Requires that `metric` is at least `min`: on one class with `label`, on one value of a slice with `slice` (`column=value`)."""

    metric: MetricName
    min: str
    label: str | None = None
    slice: str | None = None


class EvaluateJob(Job):
    """Scores an exported package."""

    _removed = removed_fields("split")  # only the test split was ever scored

    step: Literal["evaluate"] = "evaluate"
    package: Digest
    manifest: Digest
    slices: Several[str] = ()
    gates: Several[Gate] = ()


class GateOutcome(ExtensibleDocument):
    """The measured value of a gate. It is None, and the gate does not pass, when the split has no sample of its class or slice."""

    gate: Gate
    value: float | None = None
    passed: bool


class EvaluateResult(Result):
    """Scores on the frozen test split."""

    step: Literal["evaluate"] = "evaluate"
    scores: AnyScores
    slices: Entries[Entries[AnyScores]] = Field(default_factory=dict)
    """Scores by column and value."""
    gates: Several[GateOutcome] = ()
    remarks: Several[str] = ()
    """Sentences for a person: what the result leaves out, and what the answers suggest."""

    @model_validator(mode="before")
    @classmethod
    def _scores_of_0_1(cls, document: Any) -> Any:
        """Version 0.1 had the scores of image classification beside the other fields; its results may still lie in a store."""
        if isinstance(document, dict) and "scores" not in document and "overall" in document:
            scores = {name: document[name] for name in ("overall", "perClass", "confusion", "labels") if name in document}
            return {**{name: value for name, value in document.items() if name not in scores}, "scores": scores}
        return document
