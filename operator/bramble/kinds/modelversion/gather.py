"""Reads a ModelVersion and what belongs to it."""

from __future__ import annotations

from dataclasses import replace

from bramble.api.fleet import KIND as FLEET_KIND
from bramble.api.modelversion import CONVERTED, FAILED, KIND, OVER, Target
from bramble.api.objects import Invalid, parse
from bramble.kinds.blockers import STORE_ERRORS, Blocker, store_blocker
from bramble.kinds.jobs.gather import StepSeen, gather_step
from bramble.kinds.jobs.outlived import outlived_jobs
from bramble.kinds.jobs.render import CONTAINER
from bramble.kinds.jobs.stale_children import Child, stale_children
from bramble.kinds.modelversion.observed import BoardKey, BoardSeen, Observed, Unusable
from bramble.kinds.modelversion.render import BENCHMARK, CONVERT, benchmark_name, convert_filed_key, convert_step
from bramble.kinds.modelversion.source import read_source
from bramble.kinds.modelversion.status import BOARD_MISSING, FLEET_MISSING, FLEET_NOT_ALLOWED, NO_BENCHMARK_SELECTOR
from bramble.kinds.sources import Sources
from bramble.kinds.version_users import users_of
from bramble.kube.resources import FLEET, MODEL_VERSION, ROLLOUT, Key


async def gather(key: Key, sources: Sources) -> Observed | Unusable | None:
    """Read what `plan` decides by; None when the ModelVersion is gone."""
    manifest = await sources.get(MODEL_VERSION, key.namespace, key.name)
    if manifest is None:
        return None
    version = parse(KIND, manifest)
    used_by = users_of(version.metadata.uid, sources.list(ROLLOUT, key.namespace))
    if isinstance(version, Invalid):
        return Unusable(version, used_by)
    seen = Observed(version=version, settings=sources.settings, gateway_ca=sources.gateway_ca, used_by=used_by)
    if version.metadata.deleted is not None:
        return seen
    outlived = outlived_jobs(sources, seen.owner, _over(seen), (CONTAINER,))
    seen = replace(seen, stale_children=_stale(seen, sources), outlived=outlived)
    try:
        return await _stage(seen, sources)
    except STORE_ERRORS as error:
        return replace(seen, store=store_blocker(error))


async def _stage(seen: Observed, sources: Sources) -> Observed:
    """Add what the version's present stage needs: its source, its conversion, or its boards."""
    status, namespace = seen.status, seen.version.metadata.namespace
    if status.lineage is None:
        problem = await sources.store_problem(namespace)
        if problem is not None:
            return replace(seen, store=problem)
        found = await read_source(seen.spec, namespace, sources)
        return replace(seen, source_blocker=found) if isinstance(found, Blocker) else replace(seen, lineage=found)
    conversion = status.conversion
    if conversion is None or conversion.state == FAILED:
        return seen
    if conversion.state != CONVERTED:
        step = convert_step(seen, conversion.attempt)
        key = convert_filed_key(step) if step is not None else ""
        return replace(seen, conversion=await gather_step(sources, seen.owner, CONVERT, conversion.attempt, filed_key=key))
    return await _boards(seen, sources)


async def _boards(seen: Observed, sources: Sources) -> Observed:
    """Add, for every target that is not measured yet, where it can be measured and the state of its present attempt."""
    targets = {BoardKey.of(target): target for target in seen.status.benchmarks}
    boards: dict[BoardKey, BoardSeen] = {}
    benchmarks: dict[BoardKey, StepSeen] = {}
    for wanted in seen.spec.benchmark:
        key = BoardKey.of(wanted)
        present = targets.get(key)
        if present is not None and present.state in OVER:
            continue
        boards[key] = await _board(wanted, seen.version.metadata.namespace, sources)
        if present is not None:
            benchmarks[key] = await gather_step(sources, seen.owner, benchmark_name(key), present.attempt, step=BENCHMARK)
    return replace(seen, boards=boards, benchmarks=benchmarks)


async def _board(target: Target, namespace: str, sources: Sources) -> BoardSeen:
    """Where a target can be measured. The Fleet's owner decides which nodes measure, and for which namespaces."""
    manifest = await sources.get(FLEET, "", target.fleet)
    if manifest is None:
        return _blocked(FLEET_MISSING, f"spec.benchmark: there is no Fleet {target.fleet}; create it, or name another one")
    fleet = parse(FLEET_KIND, manifest)
    if isinstance(fleet, Invalid):
        return _blocked(FLEET_MISSING, f"Fleet {target.fleet} cannot be used: {fleet.problem}")
    if namespace not in fleet.spec.allowed_namespaces:
        message = f"Fleet {target.fleet} does not list namespace {namespace} in spec.allowedNamespaces; its owner must add it"
        return _blocked(FLEET_NOT_ALLOWED, message)
    board = next((board for board in fleet.spec.boards if board.name == target.board), None)
    if board is None:
        names = ", ".join(board.name for board in fleet.spec.boards)
        return _blocked(BOARD_MISSING, f"Fleet {target.fleet} has no board {target.board}, it has {names}; its owner must add it")
    if not board.benchmark_selector:
        message = f"board {target.board} of Fleet {target.fleet} has no benchmarkSelector, so no node may measure; its owner must set one"
        return _blocked(NO_BENCHMARK_SELECTOR, message)
    return BoardSeen.of(fleet.spec.node_selector, board)


def _blocked(reason: str, message: str) -> BoardSeen:
    return BoardSeen(blocker=Blocker(reason, message))


def _stale(seen: Observed, sources: Sources) -> tuple[Child, ...]:
    """Children of attempts below the present one of their step."""
    present = {benchmark_name(BoardKey.of(target)): target.attempt for target in seen.status.benchmarks}
    if seen.status.conversion is not None:
        present[CONVERT] = seen.status.conversion.attempt
    return stale_children(sources, seen.owner, present)


def _over(seen: Observed) -> dict[str, int]:
    """The attempts whose outcome is recorded, by step."""
    over = {benchmark_name(BoardKey.of(target)): target.attempt for target in seen.status.benchmarks if target.state in OVER}
    conversion = seen.status.conversion
    return {**over, CONVERT: conversion.attempt} if conversion is not None and conversion.state in (CONVERTED, FAILED) else over
