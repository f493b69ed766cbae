"""The run waits for its Dataset, then pins the version that it trains on."""

from __future__ import annotations

from datetime import datetime

from bramble.api.trainingrun import DatasetPin
from bramble.contracts.canonical import document_digest
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.describe import describe_pin
from bramble.kinds.trainingrun.gate_check import unmeasurable
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import DATASET_MISSING, DATASET_NOT_FROZEN, GATE_NOT_MEASURABLE, PINNED, not_admitted, under_way


def admit(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the Dataset is snapshotted, every check has passed, and its test split can measure every gate. Then pin its version, which
    never changes again.
    """
    if seen.status.dataset is not None:
        return None
    name, namespace = seen.spec.dataset_ref.name, seen.run.metadata.namespace
    dataset = seen.dataset
    if dataset is None:
        message = f"spec.datasetRef.name: there is no Dataset {name} in namespace {namespace}; create it, and the run begins"
        return report(seen.run, not_admitted(seen.status, DATASET_MISSING, message), now)
    if not dataset.frozen:
        message = f"Dataset {name} is not ready to train on: {dataset.message or 'it has not been snapshotted yet'}"
        return report(seen.run, not_admitted(seen.status, DATASET_NOT_FROZEN, message), now)
    if (problem := unmeasurable(seen.spec.evaluation.gates, dataset.manifest)) is not None:
        advice = "correct spec.evaluation.gates in another TrainingRun, or add such samples to the Dataset, and the run begins"
        return report(seen.run, not_admitted(seen.status, GATE_NOT_MEASURABLE, f"Dataset {name}: {problem}; {advice}"), now)
    pin = DatasetPin(name=name, uid=dataset.uid, version=dataset.version)
    status = seen.status.model_copy(update={"dataset": pin})
    return remember(
        seen.run,
        under_way(status, "Pending", PINNED, describe_pin(pin)),
        now,
        dataset=pin,
        hyperparameters=document_digest(seen.spec.hyperparameters),
    )
