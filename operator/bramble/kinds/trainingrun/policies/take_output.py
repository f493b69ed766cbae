"""The run waits for the output of another run, then pins it and the dataset that the other run was trained on."""

from __future__ import annotations

from datetime import datetime

from bramble.api.trainer import KeptOutput
from bramble.api.trainingrun import DatasetPin
from bramble.contracts.canonical import document_digest
from bramble.contracts.manifest import Manifest
from bramble.contracts.names import first_names
from bramble.contracts.package import ModelDescription
from bramble.kinds.blockers import Blocker
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import INVALID_SPEC, remember, report
from bramble.kinds.trainingrun.describe import describe_pin
from bramble.kinds.trainingrun.gate_check import unmeasurable
from bramble.kinds.trainingrun.kept_output import Listing, describe_seen, output_seen
from bramble.kinds.trainingrun.observed import Observed, SourceSeen
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
        return Blocker(KEPT_OUTPUT_MISSING, _nothing_left(source, kept))
    if (wanted := seen.spec.dataset_ref.name) != pin.name:
        message = f"spec.datasetRef.name is {wanted}, and TrainingRun {name} was trained on {pin.name}: write that, in another TrainingRun"
        return Blocker(INVALID_SPEC, message)
    if listing.output.lineage.dataset != pin.version:
        message = f"{FIELD}: the listing in the store is not of a training of TrainingRun {name}: train again"
        return Blocker(KEPT_OUTPUT_MISSING, message)
    if (problem := unmeasurable(seen.spec.evaluation.gates, source.manifest)) is not None:
        return Blocker(GATE_NOT_MEASURABLE, f"Dataset {pin.name}: {problem}; correct spec.evaluation.gates in another TrainingRun")
    if kept.package is not None and (problem := _label_problem(kept.package, source.manifest)) is not None:
        return Blocker(INVALID_SPEC, f"{FIELD}.package.postprocess.labels: Dataset {pin.name} {problem}, in another TrainingRun")
    return listing, pin


def _nothing_left(source: SourceSeen, kept: KeptOutput) -> str:
    name = kept.training_run_ref.name
    if kept.attempt is None:
        return f"{FIELD}: TrainingRun {name} left no file in $BRAMBLE_OUT that is kept: name another run, or train again"
    numbers = "no attempt" if source.attempts == 0 else "attempt 1 alone" if source.attempts == 1 else f"attempts 1 to {source.attempts}"
    left = f"an output is kept of {', '.join(map(str, source.kept_attempts))}" if source.kept_attempts else "no output is known to be kept"
    message = f"{FIELD}.attempt: attempt {kept.attempt} of TrainingRun {name} left no file in $BRAMBLE_OUT that is kept"
    return f"{message} (it has {numbers}; {left}): name another attempt or run, or train again"


def _label_problem(description: ModelDescription, manifest: Manifest | None) -> str | None:
    """Why evaluation could not score answers with these labels, in words that go on from the Dataset's name."""
    labels = getattr(description.postprocess, "labels", None)
    if manifest is None or labels is None:
        return None
    lacking = sorted(name for name, count in manifest.counts.get("test", {}).items() if count and name not in labels)
    if not lacking:
        return None
    named = f"has test samples of {first_names(lacking, NAMED_AT_MOST)}, which the labels ({first_names(labels, NAMED_AT_MOST)}) lack"
    return f"{named}: write every class, in the order of the logits"
