"""Reading a TrainingRun and what belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from bramble.api.conditions import find, is_true
from bramble.api.objects import Invalid, parse
from bramble.api.trainingrun import KIND, CurrentAttempt, Status
from bramble.contracts.cause import Cause
from bramble.contracts.store import cause_key, result_key
from bramble.kinds.blockers import STORE_ERRORS, store_blocker
from bramble.kinds.jobs.explain import last_word
from bramble.kinds.jobs.gather import Stored, gather_step, read_cause, read_job, read_pods, read_result
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.stale_children import Child, stale_children
from bramble.kinds.sources import Sources
from bramble.kinds.trainingrun.causes import ended_badly
from bramble.kinds.trainingrun.observed import AttemptSeen, DatasetSeen, Observed
from bramble.kinds.trainingrun.render import (
    EVALUATE,
    TRAIN,
    evaluate_filed_key,
    evaluate_step,
    filed_key,
    model_version_name,
    service_name,
)
from bramble.kinds.trainingrun.world import Node
from bramble.kube.resources import DATASET, MODEL_VERSION, NODE, SERVICE, TRAINING_RUN, Key


async def gather(key: Key, sources: Sources) -> Observed | Invalid[Status] | None:
    """Everything that `plan` looks at; None when the run is gone."""
    manifest = await sources.get(TRAINING_RUN, key.namespace, key.name)
    if manifest is None:
        return None
    run = parse(KIND, manifest)
    if isinstance(run, Invalid):
        return run
    seen = Observed(run=run, settings=sources.settings, gateway_ca=sources.gateway_ca)
    if run.metadata.deleted is not None:
        return seen
    seen = replace(seen, stale_children=_stale(seen, sources))
    if run.status.outcome is not None:
        return seen
    try:
        return await _present(seen, sources)
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))


async def _present(seen: Observed, sources: Sources) -> Observed:
    """What the present stage of the run needs: before, during or after training."""
    status, namespace = seen.status, seen.run.metadata.namespace
    if status.dataset is None:
        dataset = await _dataset(seen, sources)
        problem = await sources.store_problem(namespace) if dataset is not None and dataset.frozen else None
        return replace(seen, dataset=dataset, store=problem)
    if status.package is None:
        return await _training(seen, sources)
    if status.evaluation is None:
        step = evaluate_step(seen, status.evaluating.attempt) if status.evaluating is not None else None
        if step is None:
            return seen
        key = evaluate_filed_key(step)
        return replace(seen, evaluation=await gather_step(sources, seen.owner, EVALUATE, step.job.attempt, filed_key=key))
    name = model_version_name(seen.spec)
    return replace(seen, model_version=await sources.get(MODEL_VERSION, namespace, name) if name is not None else None)


async def _dataset(seen: Observed, sources: Sources) -> DatasetSeen | None:
    name = seen.spec.dataset_ref.name
    manifest = await sources.get(DATASET, seen.run.metadata.namespace, name)
    if manifest is None or "deletionTimestamp" in manifest["metadata"]:
        return None
    status = manifest.get("status") or {}
    conditions, version = status.get("conditions") or (), status.get("version", "")
    current = status.get("observedGeneration") == manifest["metadata"].get("generation")
    why = find(conditions, "Ready")
    return DatasetSeen(
        name=name,
        uid=manifest["metadata"]["uid"],
        version=version,
        frozen=bool(version) and current and is_true(conditions, "Ready"),
        message=why["message"] if why is not None and why["status"] != "True" else "",
    )


async def _training(seen: Observed, sources: Sources) -> Observed:
    status, key = seen.status, filed_key(seen)
    seen = replace(seen, nodes=tuple(Node.of(node) for node in sources.list(NODE)), filed_key=key)
    if status.current is None:
        filed = await _filed(seen, sources) if status.attempt == 0 else None
        return replace(seen, filed=filed)
    await sources.get(SERVICE, seen.run.metadata.namespace, service_name(seen.owner))
    attempt = await _attempt(seen, status.current, sources)
    seen = replace(seen, attempt=attempt, nodes=await _with_hosts(seen.nodes, attempt, sources))
    try:
        attempt = await _told(seen, attempt, sources)
        filed = await _filed(seen, sources) if attempt.stored is not None else None
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))
    return replace(seen, attempt=attempt, filed=filed)


async def _with_hosts(nodes: tuple[Node, ...], attempt: AttemptSeen, sources: Sources) -> tuple[Node, ...]:
    """The nodes, and those of the attempt's pods that were not among them: that a node is gone is confirmed by a GET."""
    missing = {host for pod in attempt.pods.values() if (host := pod.node) is not None} - {node.name for node in nodes}
    found = [await sources.get(NODE, "", name) for name in sorted(missing)]
    return (*nodes, *(Node.of(manifest) for manifest in found if manifest is not None))


async def _filed(seen: Observed, sources: Sources) -> Stored | None:
    if not seen.filed_key:
        return None
    content = await sources.fetch(seen.run.metadata.namespace, seen.filed_key)
    return read_result(content, TRAIN) if content is not None else None


async def _attempt(seen: Observed, current: CurrentAttempt, sources: Sources) -> AttemptSeen:
    """The attempt's Job and pods, and what it said to the gateway."""
    owner, number = seen.owner, current.number
    job = await read_job(sources, owner, TRAIN, number)
    pods = by_rank(read_pods(sources, owner, TRAIN, number))
    heard = sources.progress(owner.uid, TRAIN)
    progress = heard.progress if heard is not None and heard.progress.attempt == number else None
    return AttemptSeen(number, current.nodes, job, pods, progress=progress)


async def _told(seen: Observed, attempt: AttemptSeen, sources: Sources) -> AttemptSeen:
    """The same with the result and the causes in the store, which is asked only once something has ended, or nothing is there."""
    stored = await _stored(seen, attempt, sources) if attempt.job is None or _may_have_result(attempt) else None
    reported = await _reported(seen, attempt, sources) if stored is None else {}
    return replace(attempt, stored=stored, reported=reported)


def by_rank(pods: tuple[Pod, ...]) -> dict[int, Pod]:
    """The newest pod of each rank. `pods` are oldest first."""
    return {pod.rank: pod for pod in pods if pod.rank is not None}


def _may_have_result(attempt: AttemptSeen) -> bool:
    first = attempt.pods[0].end(TRAIN) if 0 in attempt.pods else None
    return (first is not None and first.code == 0) or (attempt.job is not None and attempt.job.succeeded)


async def _stored(seen: Observed, attempt: AttemptSeen, sources: Sources) -> Stored | None:
    key = result_key(seen.owner.prefix(TRAIN, attempt.number))
    content = await sources.fetch(seen.owner.namespace, key)
    if content is None:
        return None
    word = last_word(attempt.pods[0], TRAIN) if 0 in attempt.pods else None
    return read_result(content, TRAIN, word.sha256 if word is not None and word.key == key else None)


async def _reported(seen: Observed, attempt: AttemptSeen, sources: Sources) -> Mapping[int, Cause]:
    """Causes that launchers left: of every rank that has ended badly, and once the Job has failed also of those whose pods are gone."""
    failed = attempt.job is not None and attempt.job.failure is not None
    asked = [rank for rank in range(attempt.nodes) if (ended_badly(attempt.pods[rank]) if rank in attempt.pods else failed)]
    prefix, namespace = seen.owner.prefix(TRAIN, attempt.number), seen.owner.namespace
    contents = await asyncio.gather(*(sources.fetch(namespace, cause_key(prefix, rank)) for rank in asked))
    causes = ((rank, read_cause(content)) for rank, content in zip(asked, contents, strict=True) if content is not None)
    return {rank: cause for rank, cause in causes if cause is not None}


def _stale(seen: Observed, sources: Sources) -> tuple[Child, ...]:
    """Children of attempts that are over. Those of the attempt that gave the package stay, for its logs."""
    status = seen.status
    between_attempts = status.current is None and status.package is None
    present = {
        TRAIN: status.attempt + 1 if between_attempts else status.attempt,
        EVALUATE: status.evaluating.attempt if status.evaluating is not None else 0,
    }
    return stale_children(sources, seen.owner, present)
