"""The run waits for the output of another run, then pins it and the dataset that the other run was trained on."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import document_digest
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import INVALID_SPEC, remember, report
from bramble.kinds.trainingrun.describe import describe_pin
from bramble.kinds.trainingrun.gate_check import unmeasurable
from bramble.kinds.trainingrun.kept_output import describe_seen, output_seen
from bramble.kinds.trainingrun.observed import Observed, SourceSeen
from bramble.kinds.trainingrun.status import (
    GATE_NOT_MEASURABLE,
    KEPT_OUTPUT_MISSING,
    KEPT_OUTPUT_PENDING,
    PINNED,
    not_admitted,
    under_way,
)

FIELD = "spec.trainer.keptOutput"


def take_output(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the other run has left something, and its Dataset can measure every gate. Then pin both; they never change again."""
    kept = seen.spec.trainer.kept_output
    if kept is None or seen.status.dataset is not None:
        return None
    name, source = kept.training_run_ref.name, seen.source
    if (blocked := _blocked(seen, name, source, kept.attempt)) is not None or source is None or source.listing is None:
        reason, message = blocked or (KEPT_OUTPUT_MISSING, "")
        return report(seen.run, not_admitted(seen.status, reason, message), now)
    pin = source.dataset
    output = output_seen(source.listing, document_digest(kept.package) if kept.package is not None else "")
    status = seen.status.model_copy(update={"dataset": pin, "kept_output": output})
    taken = f"takes what attempt {output.attempt} of TrainingRun {output.run} left ({describe_seen(output)})"
    message = f"{taken}, and {describe_pin(pin)}" if pin is not None else taken
    return remember(seen.run, under_way(status, "Pending", PINNED, message), now, dataset=pin, kept_output=output)


def _blocked(seen: Observed, name: str, source: SourceSeen | None, attempt: int | None) -> tuple[str, str] | None:
    """The reason and the message if the output cannot be taken now."""
    if source is None:
        namespace = seen.run.metadata.namespace
        message = f"{FIELD}.trainingRunRef.name: there is no TrainingRun {name} in namespace {namespace}; name the run that trained"
        return KEPT_OUTPUT_MISSING, message
    if source.dataset is None or (source.listing is None and not source.ended):
        return KEPT_OUTPUT_PENDING, f"TrainingRun {name} is under way: what it leaves is taken when it has ended"
    if source.listing is None or not source.listing.output.files:
        which = f"attempt {attempt} of TrainingRun {name}" if attempt is not None else f"TrainingRun {name}"
        return KEPT_OUTPUT_MISSING, f"{FIELD}: {which} left no file in $BRAMBLE_OUT that is kept: name another run, or train again"
    if seen.spec.dataset_ref.name != source.dataset.name:
        wanted = seen.spec.dataset_ref.name
        message = f"spec.datasetRef.name is {wanted}, and TrainingRun {name} was trained on {source.dataset.name}: write that"
        return INVALID_SPEC, f"{message}, in another TrainingRun"
    if source.listing.output.lineage.dataset != source.dataset.version:
        return KEPT_OUTPUT_MISSING, f"{FIELD}: the listing in the store is not of a training of TrainingRun {name}: train again"
    if (problem := unmeasurable(seen.spec.evaluation.gates, source.manifest)) is not None:
        return GATE_NOT_MEASURABLE, f"Dataset {source.dataset.name}: {problem}; correct the gate in another TrainingRun"
    return None
