"""Reads a TrainingRun and everything that its present stage needs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from bramble.api.conditions import find, is_true
from bramble.api.objects import Invalid, parse
from bramble.api.trainingrun import KIND, Status
from bramble.contracts.canonical import digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.manifest import Manifest as Header
from bramble.contracts.store import LARGEST_DOCUMENT, blob_key, cause_key, result_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.errors import DocumentTooLarge
from bramble.kinds.blockers import STORE_ERRORS, store_blocker
from bramble.kinds.jobs.explain import last_word
from bramble.kinds.jobs.gather import Stored, fetch_cause, fetch_result, gather_step, read_pods
from bramble.kinds.jobs.outlived import outlived_jobs
from bramble.kinds.jobs.render import CONTAINER
from bramble.kinds.jobs.stale_children import Child, stale_children
from bramble.kinds.jobs.step import Owner
from bramble.kinds.jobs.waiting import read_warning
from bramble.kinds.sources import Sources
from bramble.kinds.trainingrun.attempt import CONTAINERS, TRAIN, AttemptSeen
from bramble.kinds.trainingrun.causes import has_failed
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.evaluation import EVALUATE, evaluate_filed_key, evaluate_step
from bramble.kinds.trainingrun.kept_output import Listing, circle_of, output_named, output_of_attempt
from bramble.kinds.trainingrun.model_version import model_version_name
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import DatasetSeen, ModelVersionSeen, Observed, SourceSeen
from bramble.kinds.trainingrun.packaging import PACKAGE, package_step
from bramble.kinds.trainingrun.train_job import filed_key
from bramble.kube.resources import DATASET, MODEL_VERSION, NODE, TRAINING_RUN, Key, Manifest

LATE_ATTEMPTS = 3
"""How many attempts of a run are searched for output that its status does not name: it was uploaded while the pod ended."""


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
    outlived = outlived_jobs(sources, seen.owner, _over(seen), (TRAIN, CONTAINER))
    seen = replace(seen, stale_children=_stale_children(seen, sources), outlived=outlived)
    if run.status.outcome is not None:
        return await _with_late_output(seen, sources)
    try:
        return await _present_stage(seen, manifest, sources)
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))


async def _present_stage(seen: Observed, manifest: Manifest, sources: Sources) -> Observed:
    status, namespace = seen.status, seen.run.metadata.namespace
    if status.dataset is None and (problem := await sources.store_problem(namespace)) is not None:
        return replace(seen, store=problem)
    if status.dataset is None and seen.spec.trainer.kept_output is not None:
        return replace(seen, source=await _source(seen, sources), circle=await circle_of(sources, manifest))
    if status.dataset is None:
        dataset = await _dataset(seen, sources)
        if dataset is not None and dataset.frozen and seen.spec.evaluation.gates:
            dataset = replace(dataset, manifest=await _manifest(namespace, dataset.version, sources))
        return replace(seen, dataset=dataset)
    if status.package is None and seen.spec.trainer.kept_output is not None:
        packaging = package_step(seen, status.packaging.attempt) if status.packaging is not None else None
        if packaging is None:
            return seen
        return replace(seen, packaging=await gather_step(sources, seen.owner, PACKAGE, packaging.job.attempt))
    if status.package is None:
        return await _training(seen, sources)
    if status.evaluation is None:
        step = evaluate_step(seen, status.evaluating.attempt) if status.evaluating is not None else None
        if step is None:
            return seen
        key = evaluate_filed_key(step)
        return replace(seen, evaluation=await gather_step(sources, seen.owner, EVALUATE, step.job.attempt, filed_key=key))
    return replace(seen, model_version=await _model_version(seen, sources))


async def _dataset(seen: Observed, sources: Sources) -> DatasetSeen | None:
    name = seen.spec.dataset_ref.name
    manifest = await sources.get(DATASET, seen.run.metadata.namespace, name)
    if manifest is None or "deletionTimestamp" in manifest["metadata"]:
        return None
    status = manifest.get("status") or {}
    conditions, version = status.get("conditions") or (), status.get("version", "")
    current = status.get("observedGeneration") == manifest["metadata"].get("generation")
    ready = find(conditions, "Ready")
    return DatasetSeen(
        name=name,
        uid=manifest["metadata"]["uid"],
        version=version,
        frozen=bool(version) and current and is_true(conditions, "Ready"),
        message=ready["message"] if ready is not None and ready["status"] != "True" else "",
    )


async def _source(seen: Observed, sources: Sources) -> SourceSeen | None:
    """The run whose output is to be packaged; None if there is none. What it left is read once it has ended, or at once if the spec names
    the attempt.
    """
    kept, namespace = seen.spec.trainer.kept_output, seen.run.metadata.namespace
    manifest = await sources.get(TRAINING_RUN, namespace, kept.training_run_ref.name) if kept is not None else None
    if kept is None or manifest is None:
        return None
    status = Status.model_validate(manifest.get("status") or {})
    ended = status.outcome is not None or status.package is not None
    known, pin = status.kept_output, status.dataset
    owner = Owner(TRAINING_RUN.kind, namespace, manifest["metadata"]["name"], manifest["metadata"]["uid"])
    listing = None
    left: tuple[int, ...] = ()
    newest = range(status.attempt, max(0, status.attempt - LATE_ATTEMPTS), -1)
    if kept.attempt is not None:
        listing = await output_of_attempt(sources, owner, kept.attempt)
        if ended and listing is None:
            found = {number for number in newest if await output_of_attempt(sources, owner, number) is not None}
            left = tuple(sorted(found | ({known.attempt} if known is not None else set())))
    elif ended and known is not None:
        listing = await output_named(sources, namespace, known.digest)
    elif ended:
        outputs = [await output_of_attempt(sources, owner, number) for number in newest]
        listing = next((each for each in outputs if each is not None), None)
    needed = seen.spec.evaluation.gates or kept.package is not None
    header = await _manifest(namespace, pin.version, sources) if pin is not None and needed else None
    return SourceSeen(ended, pin, listing, header, status.attempt, left)


async def _with_late_output(seen: Observed, sources: Sources) -> Observed:
    """Add what the last attempt left, if it is not remembered and pods of the attempt are still there: they upload it while they end.

    A store that cannot be read is not an error here, because nothing else is read for a run that is over.
    """
    status, known = seen.status, seen.status.kept_output
    if status.package is not None or status.attempt == 0 or (known is not None and known.attempt >= status.attempt):
        return seen
    if not read_pods(sources, seen.owner, TRAIN, status.attempt):
        return seen
    try:
        return replace(seen, late_output=await output_of_attempt(sources, seen.owner, status.attempt))
    except STORE_ERRORS:
        return seen


async def _manifest(namespace: str, version: str, sources: Sources) -> Header | None:
    """The header of a version; None if it cannot be read. Then the job that fetches the version says why."""
    try:
        content = await sources.fetch(namespace, blob_key(version), LARGEST_DOCUMENT)
        return parse_untrusted(Header, content, LARGEST_DOCUMENT) if content is not None and digest_of(content) == version else None
    except (ValidationError, DocumentTooLarge):
        return None


async def _model_version(seen: Observed, sources: Sources) -> ModelVersionSeen | None:
    name = model_version_name(seen.spec)
    manifest = await sources.get(MODEL_VERSION, seen.run.metadata.namespace, name) if name is not None else None
    if manifest is None:
        return None
    source = (manifest.get("spec") or {}).get("source") or {}
    lineage = (manifest.get("status") or {}).get("lineage") or {}
    return ModelVersionSeen((source.get("trainingRunRef") or {}).get("name", ""), lineage.get("package", ""))


async def _training(seen: Observed, sources: Sources) -> Observed:
    """The present attempt, or, before the first, a result of the same inputs."""
    status, engine = seen.status, engine_of(seen.spec)
    seen = replace(seen, nodes=tuple(Node.of(node) for node in sources.list(NODE)), filed_key=filed_key(seen, engine))
    if status.current is None:
        if status.attempt > 0:
            return await _with_late_output(seen, sources)
        filed = await _filed(seen, sources)
        return replace(seen, filed=filed, listing=await _listing_of(seen, filed, sources))
    attempt = _with_progress(seen, await engine.gather(seen, status.current, sources), sources)
    waits = [pod for pod in attempt.pods.values() if not has_failed(pod)]
    warning = await read_warning(sources, seen.owner.namespace, attempt.job, waits, CONTAINERS, attempt.nodes)
    attempt = replace(attempt, warning=warning)
    seen = replace(seen, attempt=attempt, nodes=await _with_hosts(seen.nodes, attempt, sources))
    try:
        attempt = await _with_stored(seen, attempt, sources)
        filed = await _filed(seen, sources) if attempt.stored is not None else None
        listing = await _listing_of(seen, attempt.stored, sources) if attempt.stored is not None else await _left(seen, attempt, sources)
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))
    return replace(seen, attempt=attempt, filed=filed, listing=listing)


async def _listing_of(seen: Observed, stored: Stored | None, sources: Sources) -> Listing | None:
    """What the training that gave this result left."""
    result = stored.result if stored is not None else None
    if not isinstance(result, TrainResult) or result.output is None:
        return None
    return await output_named(sources, seen.owner.namespace, result.output)


async def _left(seen: Observed, attempt: AttemptSeen, sources: Sources) -> Listing | None:
    """What an attempt without a result has left by now. It is read if the pod of node rank 0, which uploads it, has ended or is gone."""
    over = has_failed(attempt.pods[0]) if 0 in attempt.pods else attempt.job is None or attempt.job.failure is not None
    return await output_of_attempt(sources, seen.owner, attempt.number) if over else None


def _with_progress(seen: Observed, attempt: AttemptSeen, sources: Sources) -> AttemptSeen:
    """Add what the attempt last reported to the gateway. A report of an earlier attempt is ignored."""
    reported = sources.progress(seen.owner.uid, TRAIN)
    if reported is None or reported.progress.attempt != attempt.number:
        return attempt
    return replace(attempt, progress=reported.progress)


async def _with_hosts(nodes: tuple[Node, ...], attempt: AttemptSeen, sources: Sources) -> tuple[Node, ...]:
    """Add nodes of the attempt's pods that the cache lacks: only a GET proves that a node is gone."""
    missing = {pod.node for pod in attempt.pods.values() if pod.node is not None} - {node.name for node in nodes}
    found = [await sources.get(NODE, "", name) for name in sorted(missing)]
    return (*nodes, *(Node.of(manifest) for manifest in found if manifest is not None))


async def _with_stored(seen: Observed, attempt: AttemptSeen, sources: Sources) -> AttemptSeen:
    """Add the result and the causes in the store. It is read only if there is no Job or a rank has ended."""
    stored = await _result(seen, attempt, sources) if attempt.job is None or _may_have_result(attempt) else None
    reported = await _causes(seen, attempt, sources) if stored is None else {}
    return replace(attempt, stored=stored, reported=reported)


async def _filed(seen: Observed, sources: Sources) -> Stored | None:
    if not seen.filed_key:
        return None
    return await fetch_result(sources, seen.run.metadata.namespace, seen.filed_key, TRAIN)


def _may_have_result(attempt: AttemptSeen) -> bool:
    first = attempt.pods[0].end(TRAIN) if 0 in attempt.pods else None
    return (first is not None and first.code == 0) or (attempt.job is not None and attempt.job.succeeded)


async def _result(seen: Observed, attempt: AttemptSeen, sources: Sources) -> Stored | None:
    key = result_key(seen.owner.prefix(TRAIN, attempt.number))
    word = last_word(attempt.pods[0], TRAIN) if 0 in attempt.pods else None
    return await fetch_result(sources, seen.owner.namespace, key, TRAIN, word.sha256 if word is not None and word.key == key else None)


async def _causes(seen: Observed, attempt: AttemptSeen, sources: Sources) -> Mapping[int, Cause]:
    """What launchers reported of every rank that has failed and, once the Job has failed or is gone, of ranks whose pods are gone."""
    over = attempt.job is None or attempt.job.failure is not None
    asked = [rank for rank in range(attempt.nodes) if (has_failed(attempt.pods[rank]) if rank in attempt.pods else over)]
    prefix, namespace = seen.owner.prefix(TRAIN, attempt.number), seen.owner.namespace
    causes = await asyncio.gather(*(fetch_cause(sources, namespace, cause_key(prefix, rank)) for rank in asked))
    return {rank: cause for rank, cause in zip(asked, causes, strict=True) if cause is not None}


def _stale_children(seen: Observed, sources: Sources) -> tuple[Child, ...]:
    """The objects of attempts that have ended. Those of the attempt that made the package stay, for their logs."""
    status = seen.status
    between_attempts = status.current is None and status.package is None
    present = {
        TRAIN: status.attempt + 1 if between_attempts else status.attempt,
        PACKAGE: status.packaging.attempt if status.packaging is not None else 0,
        EVALUATE: status.evaluating.attempt if status.evaluating is not None else 0,
    }
    return stale_children(sources, seen.owner, present, engine_of(seen.spec).more_resources)


def _over(seen: Observed) -> dict[str, int]:
    """The attempts whose outcome is recorded and whose objects stay, by step."""
    status = seen.status
    trained = {TRAIN: status.attempt} if status.package is not None else {}
    if status.packaging is not None and (status.package is not None or status.outcome is not None):
        trained[PACKAGE] = status.packaging.attempt
    ended = status.evaluation is not None or status.outcome is not None
    return {**trained, EVALUATE: status.evaluating.attempt} if ended and status.evaluating is not None else trained
