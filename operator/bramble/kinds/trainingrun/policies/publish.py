"""The package reached its gates, and its ModelVersion is made."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.describe import describe_gates
from bramble.kinds.trainingrun.model_version import model_version, model_version_name
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import NAME_CONFLICT, PUBLISHING, SUCCEEDED, outcome, run_ended, under_way


def publish(seen: Observed, now: datetime) -> Plan | None:
    """Make the ModelVersion, then remember that the run is complete. A ModelVersion that belongs to another run is left alone."""
    status, name = seen.status, model_version_name(seen.spec)
    if status.evaluation is None or status.package is None:
        return None
    made = model_version(seen)
    if name is None or made is None:
        return _succeed(seen, "", now)
    if seen.model_version is None:
        update = under_way(status, "Evaluating", PUBLISHING, f"ModelVersion {name} is being made")
        return report(seen.run, update, now, items=(made,))
    if not _is_ours(seen):
        message = (
            f"ModelVersion {name} exists and is not of this run; package {short(status.package.digest)} was not published: delete the"
            " ModelVersion, or make a TrainingRun with another spec.modelVersion.version"
        )
        return report(seen.run, under_way(status, "Failed", NAME_CONFLICT, message), now)
    return _succeed(seen, name, now)


def _is_ours(seen: Observed) -> bool:
    """Whether it names this run as its source and has pinned no other package.

    It may also come from the same run before the cluster was restored.
    """
    found, package = seen.model_version, seen.status.package
    if found is None or package is None:
        return False
    return found.run == seen.run.metadata.name and found.package in ("", package.digest)


def _succeed(seen: Observed, name: str, now: datetime) -> Plan:
    evaluation = seen.status.evaluation
    measured = describe_gates(evaluation) if evaluation is not None else ""
    final = outcome(SUCCEEDED, f"{measured}; {f'ModelVersion {name}' if name else 'no ModelVersion was asked for'}", now)
    return remember(seen.run, run_ended(final, evaluation), now, model_version=name, outcome=final)
