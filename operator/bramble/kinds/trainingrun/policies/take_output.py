"""The run waits for the output of another run, then pins it and the dataset that the other run was trained on."""

from __future__ import annotations

from datetime import datetime

from bramble.api.trainer import KeptOutput
from bramble.api.trainingrun import DatasetPin
from bramble.contracts.canonical import document_digest
from bramble.contracts.names import first_names
from bramble.kinds.blockers import Blocker
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import INVALID_SPEC, remember, report
from bramble.kinds.trainingrun.describe import describe_pin
from bramble.kinds.trainingrun.gate_check import unmeasurable
from bramble.kinds.trainingrun.kept_output import Listing, describe_seen, output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import (
    GATE_NOT_MEASURABLE,
    KEPT_OUTPUT_MISSING,
    KEPT_OUTPUT_PENDING,
    PINNED,
    not_admitted,
    under_way,
)

NAMED_AT_MOST = 10
FIELD = "spec.trainer.keptOutput"


def take_output(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the other run has left something, and its Dataset can measure every gate. Then pin both; they never change again."""
    kept = seen.spec.trainer.kept_output
    if kept is None or seen.status.dataset is not None:
        return None
    found = _output(seen, kept)
    if isinstance(found, Blocker):
        return report(seen.run, not_admitted(seen.status, found.reason, found.message), now)
    listing, pin = found
    output = output_seen(listing, document_digest(kept.package) if kept.package is not None else "")
    status = seen.status.model_copy(update={"dataset": pin, "kept_output": output})
    message = f"takes what attempt {output.attempt} of TrainingRun {output.run} left ({describe_seen(output)}), and {describe_pin(pin)}"
    return remember(seen.run, under_way(status, "Pending", PINNED, message), now, dataset=pin, kept_output=output)


def _output(seen: Observed, kept: KeptOutput) -> tuple[Listing, DatasetPin] | Blocker:
    """What to pin, or why it cannot be taken now."""
    name, source = kept.training_run_ref.name, seen.source
    if seen.circle:
        chain = first_names(seen.circle, NAMED_AT_MOST)
        message = f"{FIELD}.trainingRunRef.name: none of these runs trains, as each packages the next one's output: {chain}"
        return Blocker(INVALID_SPEC, f"{message}; name a run that trained, in another TrainingRun")
    if source is None:
        namespace = seen.run.metadata.namespace
        message = f"{FIELD}.trainingRunRef.name: there is no TrainingRun {name} in namespace {namespace}; name the run that trained"
        return Blocker(KEPT_OUTPUT_MISSING, message)
    listing, pin = source.listing, source.dataset
    if pin is None or (listing is None and not source.ended):
        return Blocker(KEPT_OUTPUT_PENDING, f"TrainingRun {name} is under way: what it leaves is taken when it has ended")
    if listing is None or not listing.output.files:
        which = f"attempt {kept.attempt} of TrainingRun {name}" if kept.attempt is not None else f"TrainingRun {name}"
        message = f"{FIELD}: {which} left no file in $BRAMBLE_OUT that is kept: name another run, or train again"
        return Blocker(KEPT_OUTPUT_MISSING, message)
    if (wanted := seen.spec.dataset_ref.name) != pin.name:
        message = f"spec.datasetRef.name is {wanted}, and TrainingRun {name} was trained on {pin.name}: write that, in another TrainingRun"
        return Blocker(INVALID_SPEC, message)
    if listing.output.lineage.dataset != pin.version:
        message = f"{FIELD}: the listing in the store is not of a training of TrainingRun {name}: train again"
        return Blocker(KEPT_OUTPUT_MISSING, message)
    if (problem := unmeasurable(seen.spec.evaluation.gates, source.manifest)) is not None:
        return Blocker(GATE_NOT_MEASURABLE, f"Dataset {pin.name}: {problem}; correct the gate in another TrainingRun")
    return listing, pin
