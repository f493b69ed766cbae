"""The snapshot Job of a Dataset."""

from __future__ import annotations

from bramble.api.dataset import Spec
from bramble.contracts.canonical import document_digest
from bramble.contracts.jobs.snapshot import SnapshotJob
from bramble.kinds.dataset.observed import SNAPSHOT, Observed
from bramble.kinds.dataset.status import keeps_splits
from bramble.kinds.jobs.additions import Additions
from bramble.kinds.jobs.step import Step


def inputs_of(spec: Spec) -> str:
    """The digest of what the spec asks a snapshot for. What lies in the sources is not part of it, since that changes without the spec."""
    job = {
        "task": spec.task,
        "sources": [source.model_dump(mode="json", exclude_none=True) for source in spec.job_sources()],
        "splits": spec.splits.model_dump(mode="json"),
        "checks": spec.checks.model_dump(mode="json"),
    }
    return document_digest(job)


def snapshot_job(seen: Observed) -> SnapshotJob:
    """The document of the present attempt's Job. It names the version whose groups keep their splits."""
    spec, status, owner = seen.dataset.spec, seen.dataset.status, seen.owner
    return SnapshotJob(
        object=owner.ref,
        attempt=status.attempt,
        prefix=owner.prefix(SNAPSHOT, status.attempt),
        gateway=seen.gateway,
        task=spec.task,
        sources=spec.job_sources(),
        splits=spec.splits,
        checks=spec.checks,
        previous=keeps_splits(status),
    )


def snapshot_step(seen: Observed) -> Step:
    """The present attempt."""
    additions = Additions.of(seen.job_defaults, seen.dataset.spec.jobs)
    return Step(owner=seen.owner, job=snapshot_job(seen), image=seen.image, gateway_ca=seen.gateway_ca, additions=additions)
