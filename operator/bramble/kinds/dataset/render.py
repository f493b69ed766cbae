"""The snapshot Job of a Dataset."""

from __future__ import annotations

from bramble.api.dataset import Spec
from bramble.contracts.canonical import document_digest
from bramble.contracts.jobs.snapshot import SnapshotJob
from bramble.kinds.dataset.observed import SNAPSHOT, Observed
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.step import Step
from bramble.kinds.plan import CreateOnce


def inputs_of(spec: Spec) -> str:
    """Digest of what is asked of a snapshot; what lies in the sources is not part of it, since that can change."""
    job = {
        "task": spec.task,
        "sources": [source.model_dump(mode="json") for source in spec.job_sources()],
        "splits": spec.job_splits().model_dump(mode="json"),
        "checks": spec.job_checks().model_dump(mode="json"),
    }
    return document_digest(job)


def snapshot_job(seen: Observed) -> SnapshotJob:
    """What the present attempt is asked. Its groups keep the splits of the version before."""
    spec, status, owner = seen.dataset.spec, seen.dataset.status, seen.owner
    return SnapshotJob(
        object=owner.ref,
        attempt=status.attempt,
        prefix=owner.prefix(SNAPSHOT, status.attempt),
        gateway=seen.gateway,
        task=spec.task,
        sources=spec.job_sources(),
        splits=spec.job_splits(),
        checks=spec.job_checks(),
        previous=status.version or None,
    )


def render(seen: Observed) -> tuple[CreateOnce, ...]:
    """The children of the present attempt."""
    return render_step(Step(owner=seen.owner, job=snapshot_job(seen), image=seen.image, gateway_ca=seen.gateway_ca))
