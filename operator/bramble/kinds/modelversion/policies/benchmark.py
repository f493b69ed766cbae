"""Every board that was asked for, measured; each by a Job of its own on a node of that board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bramble.api.modelversion import Target, TargetSeen, VariantSeen
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkResult
from bramble.kinds.jobs.attempts import Spent, after
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, step_state
from bramble.kinds.modelversion.choice import choose, evidence
from bramble.kinds.modelversion.observed import Observed, Place
from bramble.kinds.modelversion.render import PASSED, benchmark_step
from bramble.kinds.modelversion.status import BENCHMARKING, proven
from bramble.kinds.plan import CreateOnce, Plan
from bramble.kinds.status_update import remember, report

REMEDY = "mend the cause, then request a retry"
OVER = ("Measured", "Failed")


@dataclass
class Progress:
    """What one pass makes of all boards together: memory that changes, Jobs to make, and what is still open."""

    work: dict[Place, TargetSeen]
    variants: tuple[VariantSeen, ...]
    items: list[CreateOnce] = field(default_factory=list)
    open: list[tuple[str, str]] = field(default_factory=list)
    cause: Cause | None = None


def benchmark(seen: Observed, now: datetime) -> Plan | None:
    """One step further with every board; evidence that is there is never measured again."""
    status = seen.status
    if status.conversion is None or status.conversion.state != "Converted":
        return None
    before = {Place(work.fleet, work.board): work for work in status.benchmarks}
    progress = Progress(dict(before), status.variants)
    if any(variant.verdict == PASSED for variant in status.variants):
        for target in seen.spec.benchmark:
            _advance(seen, target, progress)
    work = tuple(progress.work.values())
    chosen = choose(progress.variants, seen.spec.benchmark)
    after_it = status.model_copy(update={"variants": progress.variants, "benchmarks": work})
    reason, message = _open(progress.open)
    stated = proven(after_it, seen.spec.benchmark, chosen, message, reason)
    fields: dict[str, Any] = {"targets": chosen, "used_by": seen.used_by}
    if work != status.benchmarks or progress.variants != status.variants:
        cause = progress.cause if progress.cause is not None else status.first_cause
        return remember(seen.version, stated, now, benchmarks=work, variants=progress.variants, first_cause=cause, **fields)
    return report(seen.version, stated, now, items=progress.items, fields=fields)


def _open(found: list[tuple[str, str]]) -> tuple[str, str]:
    """The reason of the first board that is not done, and what every one of them is at."""
    return (found[0][0], "; ".join(message for _, message in found)) if found else (BENCHMARKING, "")


def _advance(seen: Observed, target: Target, progress: Progress) -> None:
    """One board: begun, made, waited for, recorded, or begun again."""
    place = Place.of(target)
    work, where = progress.work.get(place), f"{target.fleet}/{target.board}"
    if work is not None and work.state in OVER:
        return
    board = seen.boards.get(place)
    if board is not None and board.hold is not None:
        progress.open.append((board.hold.reason, f"{where}: {board.hold.message}"))
        return
    if work is None:
        progress.work[place] = TargetSeen(fleet=target.fleet, board=target.board, attempt=1, state="Running")
        progress.open.append((BENCHMARKING, f"{where}: attempt 1 is next"))
        return
    step, found = benchmark_step(seen, target, work.attempt), seen.benchmarks.get(place)
    if step is None or found is None:
        progress.open.append((BENCHMARKING, f"{where}: attempt {work.attempt} is next"))
        return
    state = step_state(found)
    if isinstance(state, Absent):
        progress.items.extend(render_step(step))
    if isinstance(state, Done) and isinstance(state.result, BenchmarkResult):
        _record(progress, place, work, state.result)
    elif isinstance(state, Failed):
        _again(progress, place, work, state)
    else:
        progress.open.append((BENCHMARKING, f"{where}: {_told(state, work, found)}"))


def _told(state: object, work: TargetSeen, found: StepSeen) -> str:
    match state:
        case Waiting(message):
            return message
        case Running(node):
            return f"attempt {work.attempt} runs on node {node}"
        case _:
            return f"attempt {work.attempt} is being made" if found.job is None else f"attempt {work.attempt} is under way"


def _record(progress: Progress, place: Place, work: TargetSeen, result: BenchmarkResult) -> None:
    if result.board != place.board:
        message = f"the result in the store is of board {result.board}, on node {result.node}, and no evidence for {place.board}"
        _again(progress, place, work, Failed(Cause(kind="Error", message=message, node=result.node), "failure"))
        return
    progress.variants = evidence(progress.variants, place, result)
    progress.work[place] = work.model_copy(update={"state": "Measured", "node": result.node, "message": ""})


def _again(progress: Progress, place: Place, work: TargetSeen, failed: Failed) -> None:
    told = f"attempt {work.attempt} failed: {failed.cause.kind}: {failed.cause.message}"
    spent = after(failed, Spent(failures=work.failures, disruptions=work.disruptions))
    progress.cause = failed.cause
    if spent is None:
        progress.work[place] = work.model_copy(update={"state": "Failed", "message": f"{told[:300]}; {REMEDY}"})
        return
    counters: Mapping[str, int] = {"attempt": work.attempt + 1, "failures": spent.failures, "disruptions": spent.disruptions}
    progress.work[place] = work.model_copy(update=dict(counters))
    progress.open.append((BENCHMARKING, f"{place.fleet}/{place.board}: {told}; it is tried again"))
