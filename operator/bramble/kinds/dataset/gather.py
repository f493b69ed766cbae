"""Reads a Dataset and what belongs to it."""

from __future__ import annotations

from dataclasses import replace

from bramble.api.dataset import KIND
from bramble.api.objects import Invalid, parse
from bramble.contracts.jobs.base import Gateway
from bramble.kinds.blockers import STORE_ERRORS, store_blocker
from bramble.kinds.dataset.observed import SNAPSHOT, Observed, Seen
from bramble.kinds.jobs.gather import gather_step
from bramble.kinds.jobs.outlived import outlived_jobs
from bramble.kinds.jobs.render import CONTAINER
from bramble.kinds.jobs.stale_children import stale_children
from bramble.kinds.sources import Sources
from bramble.kube.resources import DATASET, Key


async def gather(key: Key, sources: Sources) -> Seen | None:
    """Read what `plan` decides by; None when the Dataset is gone."""
    manifest = await sources.get(DATASET, key.namespace, key.name)
    if manifest is None:
        return None
    dataset = parse(KIND, manifest)
    if isinstance(dataset, Invalid):
        return dataset
    settings, attempt = sources.settings, dataset.status.attempt
    seen = Observed(
        dataset=dataset,
        image=settings.images_convert,
        gateway=Gateway(url=settings.gateway_url),
        gateway_ca=sources.gateway_ca,
        job_defaults=settings.jobs,
    )
    if dataset.metadata.deleted is not None:
        return seen
    over = {SNAPSHOT: attempt} if seen.is_recorded or seen.is_given_up else {}
    seen = replace(
        seen,
        stale_children=stale_children(sources, seen.owner, {SNAPSHOT: attempt}),
        outlived=outlived_jobs(sources, seen.owner, over, (CONTAINER,)),
    )
    if attempt == 0 or seen.is_recorded:
        return seen
    if (problem := await sources.store_problem(key.namespace)) is not None:
        return replace(seen, store=problem)
    try:
        return replace(seen, snapshot=await gather_step(sources, seen.owner, SNAPSHOT, attempt))
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))
