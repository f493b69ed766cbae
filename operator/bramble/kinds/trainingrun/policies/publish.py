"""The ModelVersion of a run that reached its gates."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import model_version, model_version_name
from bramble.kinds.trainingrun.status import NAME_CONFLICT, PUBLISHING, SUCCEEDED, ended, outcome, told_gates, under_way


def publish(seen: Observed, now: datetime) -> Plan | None:
    """Make it, then remember that the run is complete. One of that name that is not this run's is left alone and named."""
    status, name = seen.status, model_version_name(seen.spec)
    if status.evaluation is None or status.package is None:
        return None
    made = model_version(seen)
    if name is None or made is None:
        return _succeed(seen, "", now)
    if seen.model_version is None:
        stated = under_way(status, "Evaluating", PUBLISHING, f"ModelVersion {name} is being made")
        return report(seen.run, stated, now, items=(made,))
    if not _is_ours(seen):
        message = (
            f"ModelVersion {name} exists and is not of this run, so its package {short(status.package.digest)} was not published: delete"
            " that ModelVersion, or make another TrainingRun with another spec.modelVersion.version"
        )
        return report(seen.run, under_way(status, "Failed", NAME_CONFLICT, message), now)
    return _succeed(seen, name, now)


def _is_ours(seen: Observed) -> bool:
    """It names this run as its source, and pinned no other package: made by it, or by the same run before the cluster was restored."""
    version, package = seen.model_version or {}, seen.status.package
    source = (version.get("spec") or {}).get("source") or {}
    pinned = ((version.get("status") or {}).get("lineage") or {}).get("package")
    named = (source.get("trainingRunRef") or {}).get("name") == seen.run.metadata.name
    return named and package is not None and pinned in {None, package.digest}


def _succeed(seen: Observed, name: str, now: datetime) -> Plan:
    evaluation = seen.status.evaluation
    measured = told_gates(evaluation) if evaluation is not None else ""
    final = outcome(SUCCEEDED, f"{measured}; {f'ModelVersion {name}' if name else 'no ModelVersion was asked for'}", now)
    return remember(seen.run, ended(final, evaluation), now, model_version=name, outcome=final)
