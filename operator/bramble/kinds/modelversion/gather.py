"""Reading a ModelVersion and what belongs to it."""

from __future__ import annotations

from dataclasses import replace

from bramble.api.fleet import KIND as FLEET_KIND
from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.api.modelversion import KIND, Target
from bramble.api.objects import Invalid, parse
from bramble.kinds.jobs.gather import StepSeen, gather_step
from bramble.kinds.jobs.store import UNUSABLE, problem_of
from bramble.kinds.modelversion.observed import BoardSeen, Hold, Observed, Place, Unusable
from bramble.kinds.modelversion.render import BENCHMARK, CONVERT, benchmark_name, convert_filed_key, convert_step
from bramble.kinds.modelversion.source import read_source
from bramble.kinds.modelversion.status import BOARD_MISSING, FLEET_MISSING, FLEET_NOT_ALLOWED, NO_BENCH
from bramble.kinds.modelversion.users import users
from bramble.kinds.sources import Sources
from bramble.kube.resources import CONFIG_MAP, FLEET, JOB, MODEL_VERSION, ROLLOUT, Key, Manifest


async def gather(key: Key, sources: Sources) -> Observed | Unusable | None:
    """Everything that `plan` looks at; None when the version is gone."""
    manifest = await sources.get(MODEL_VERSION, key.namespace, key.name)
    if manifest is None:
        return None
    version = parse(KIND, manifest)
    used_by = users(sources.list(ROLLOUT, key.namespace), version.metadata.uid)
    if isinstance(version, Invalid):
        return Unusable(version, used_by)
    seen = Observed(version=version, settings=sources.settings, gateway_ca=sources.gateway_ca, used_by=used_by)
    if version.metadata.deleted is not None:
        return seen
    seen = replace(seen, strays=_strays(seen, sources))
    try:
        return await _present(seen, sources)
    except UNUSABLE as error:
        return replace(seen, store=problem_of(error))


async def _present(seen: Observed, sources: Sources) -> Observed:
    """What the present stage needs: the source, the conversion, or the boards."""
    status, namespace = seen.status, seen.version.metadata.namespace
    if status.lineage is None:
        problem = await sources.store_problem(namespace)
        if problem is not None:
            return replace(seen, store=problem)
        found = await read_source(seen.spec, namespace, sources)
        return replace(seen, source_hold=found) if isinstance(found, Hold) else replace(seen, lineage=found)
    work = status.conversion
    if work is None or work.state == "Failed":
        return seen
    if work.state != "Converted":
        step = convert_step(seen, work.attempt)
        key = convert_filed_key(step) if step is not None else ""
        return replace(seen, conversion=await gather_step(sources, seen.owner, CONVERT, work.attempt, filed_key=key))
    return await _boards(seen, sources)


async def _boards(seen: Observed, sources: Sources) -> Observed:
    """Every target that is not over yet: where it may be measured, and how its attempt stands."""
    work = {Place(each.fleet, each.board): each for each in seen.status.benchmarks}
    boards: dict[Place, BoardSeen] = {}
    benchmarks: dict[Place, StepSeen] = {}
    for target in seen.spec.benchmark:
        place = Place.of(target)
        present = work.get(place)
        if present is not None and present.state in ("Measured", "Failed"):
            continue
        boards[place] = await _board(target, seen.version.metadata.namespace, sources)
        if present is not None:
            benchmarks[place] = await gather_step(sources, seen.owner, benchmark_name(place), present.attempt, step=BENCHMARK)
    return replace(seen, boards=boards, benchmarks=benchmarks)


async def _board(target: Target, namespace: str, sources: Sources) -> BoardSeen:
    """Where a target can be measured; the Fleet's owner decides who may."""
    manifest = await sources.get(FLEET, "", target.fleet)
    if manifest is None:
        return _held(FLEET_MISSING, f"spec.benchmark: there is no Fleet {target.fleet}; its owner must create it, or it has another name")
    fleet = parse(FLEET_KIND, manifest)
    if isinstance(fleet, Invalid):
        return _held(FLEET_MISSING, f"Fleet {target.fleet} cannot be used: {fleet.problem}")
    if namespace not in fleet.spec.allowed_namespaces:
        message = f"Fleet {target.fleet} does not list namespace {namespace} in spec.allowedNamespaces; its owner must add it"
        return _held(FLEET_NOT_ALLOWED, message)
    board = next((board for board in fleet.spec.boards if board.name == target.board), None)
    if board is None:
        names = ", ".join(board.name for board in fleet.spec.boards)
        return _held(BOARD_MISSING, f"Fleet {target.fleet} has no board {target.board}, it has {names}; its owner must add it")
    if not board.benchmark_selector:
        message = f"board {target.board} of Fleet {target.fleet} has no benchmarkSelector, so no node may measure; its owner must set one"
        return _held(NO_BENCH, message)
    return BoardSeen.on(fleet.spec.node_selector, board)


def _held(reason: str, message: str) -> BoardSeen:
    return BoardSeen(hold=Hold(reason, message))


def _strays(seen: Observed, sources: Sources) -> tuple[Manifest, ...]:
    """Jobs and ConfigMaps of attempts below the present one of their step."""
    namespace, labels, status = seen.version.metadata.namespace, {OWNER_UID: seen.version.metadata.uid}, seen.status
    present = {benchmark_name(Place(work.fleet, work.board)): work.attempt for work in status.benchmarks}
    if status.conversion is not None:
        present[CONVERT] = status.conversion.attempt
    children = (*sources.list(JOB, namespace, labels), *sources.list(CONFIG_MAP, namespace, labels))
    return tuple(
        child
        for child in children
        if "deletionTimestamp" not in child["metadata"]
        and int(child["metadata"]["labels"].get(ATTEMPT, 0)) < present.get(child["metadata"]["labels"].get(STEP, ""), 0)
    )
