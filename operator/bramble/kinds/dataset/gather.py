"""Reading a Dataset and what belongs to it."""

from __future__ import annotations

from dataclasses import replace

from bramble.api.dataset import KIND
from bramble.api.labels import OWNER_UID
from bramble.api.objects import Invalid, parse
from bramble.contracts.jobs.base import Gateway
from bramble.kinds.dataset.observed import SNAPSHOT, Observed, Seen
from bramble.kinds.jobs.gather import gather_step
from bramble.kinds.jobs.step import Owner
from bramble.kinds.jobs.store import UNUSABLE, problem_of
from bramble.kinds.sources import Sources
from bramble.kube.resources import CONFIG_MAP, DATASET, JOB, Key


async def gather(key: Key, sources: Sources) -> Seen | None:
    """Everything that `plan` looks at; None when the Dataset is gone."""
    manifest = await sources.get(DATASET, key.namespace, key.name)
    if manifest is None:
        return None
    dataset = parse(KIND, manifest)
    if isinstance(dataset, Invalid):
        return dataset
    owner, settings = Owner.of(manifest), sources.settings
    labels = {OWNER_UID: owner.uid}
    seen = Observed(
        dataset=dataset,
        children=(*sources.list(JOB, key.namespace, labels), *sources.list(CONFIG_MAP, key.namespace, labels)),
        image=settings.images_convert,
        gateway=Gateway(url=settings.gateway_url),
        gateway_ca=sources.gateway_ca,
    )
    if dataset.metadata.deleted is not None or dataset.status.attempt == 0 or seen.is_recorded:
        return seen
    if (problem := await sources.store_problem(key.namespace)) is not None:
        return replace(seen, store=problem)
    try:
        return replace(seen, snapshot=await gather_step(sources, owner, SNAPSHOT, dataset.status.attempt))
    except UNUSABLE as error:
        return replace(seen, store=problem_of(error))
