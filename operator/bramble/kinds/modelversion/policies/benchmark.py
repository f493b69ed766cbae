"""The benchmarks: on each board, one Job measures every variant that passed validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bramble.api.modelversion import CONVERTED, FAILED, MEASURED, OVER, PASSED, RUNNING, Target, TargetSeen
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkResult
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, Finished, GivenUp, NotFiled, Renewed, Repeated, UnderWay, advance
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.modelversion.choice import choose, with_evidence
from bramble.kinds.modelversion.observed import BoardKey, Observed
from bramble.kinds.modelversion.render import BENCHMARK, benchmark_step
from bramble.kinds.modelversion.status import BENCHMARKING, after_benchmarks, remember_version, report_version
from bramble.kinds.plan import Emit, Item, Plan

MESSAGE_CHARACTERS = 300
"""Of a failed board's message in the status, which has room for six boards."""

REMEDY = "correct the cause, then request a retry"


@dataclass(frozen=True, slots=True)
class BoardPlan:
    """What one board needs in this pass.

    Attributes:
        target: the board's memory after this pass; None where it does not begin yet.
        open: why the board is not done yet; None when it is measured or given up.
        items: the Job to create.
        result: the result to record.
        cause: why an attempt failed in this pass.
        event: the same as an event, where another attempt follows.
        since: since when its Job waits.
    """

    target: TargetSeen | None = None
    open: Blocker | None = None
    items: tuple[Item, ...] = ()
    result: BenchmarkResult | None = None
    cause: Cause | None = None
    event: Emit | None = None
    since: datetime | None = None


def benchmark(seen: Observed, now: datetime) -> Plan | None:
    """Take every board one step further. A board that has been measured is not measured again."""
    status = seen.status
    if status.conversion is None or status.conversion.state != CONVERTED:
        return None
    present = {BoardKey.of(target): target for target in status.benchmarks}
    any_passed = any(variant.verdict == PASSED for variant in status.variants)
    boards = [_plan_board(seen, wanted, present.get(BoardKey.of(wanted)), now) for wanted in seen.spec.benchmark if any_passed]
    targets = tuple((present | {BoardKey.of(board.target): board.target for board in boards if board.target is not None}).values())
    variants = status.variants
    for board in boards:
        if board.result is not None and board.target is not None:
            variants = with_evidence(variants, BoardKey.of(board.target), board.result)
    chosen = choose(variants, seen.spec.benchmark)
    update = after_benchmarks(variants, targets, seen.spec.benchmark, chosen, _open([board.open for board in boards if board.open]))
    if targets != status.benchmarks or variants != status.variants:
        cause = next((board.cause for board in reversed(boards) if board.cause is not None), status.first_cause)
        events = tuple(board.event for board in boards if board.event is not None)
        memory = {"benchmarks": targets, "variants": variants, "first_cause": cause, "targets": chosen}
        return remember_version(seen, update, now, events=events, **memory)
    items = [item for board in boards for item in board.items]
    newest = max((board.since for board in boards if board.since is not None), default=None)
    return report_version(seen, update, now, items=items, fields={"targets": chosen}, wake_at=look_again(newest, now))


def _open(boards: Sequence[Blocker]) -> Blocker | None:
    """The reason of the first board that is not done, and the messages of all of them."""
    return Blocker(boards[0].reason, "; ".join(board.message for board in boards)) if boards else None


def _plan_board(seen: Observed, wanted: Target, present: TargetSeen | None, now: datetime) -> BoardPlan:
    """What a board needs: to wait, to begin, to create its Job, to record its result, another attempt, or to be given up."""
    key = BoardKey.of(wanted)
    if present is not None and present.state in OVER:
        return BoardPlan(present)
    board = seen.boards.get(key)
    if board is not None and board.blocker is not None:
        return BoardPlan(present, Blocker(board.blocker.reason, f"{key}: {board.blocker.message}"))
    if present is None:
        begun = TargetSeen(fleet=key.fleet, board=key.board, attempt=1, state=RUNNING)
        return BoardPlan(begun, _benchmarking(key, "attempt 1 begins"))
    step, found = benchmark_step(seen, wanted, present.attempt), seen.benchmarks.get(key)
    if step is None or found is None:
        return BoardPlan(present, _benchmarking(key, f"attempt {present.attempt} begins"))
    match advance(BENCHMARK, present, step, found, BenchmarkResult, now=now, problem_of=lambda result: _problem(key, result)):
        case UnderWay(message, items, since):
            return BoardPlan(present, _benchmarking(key, message), items, since=since)
        case NotFiled(item):
            return BoardPlan(present, _benchmarking(key, "the result is being filed"), (item,))
        case Finished(result):
            return BoardPlan(present.model_copy(update={"state": MEASURED, "node": result.node, "message": ""}), result=result)
        case Repeated(following, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, f"{key}: {message}")
            return BoardPlan(following, _benchmarking(key, message), cause=cause, event=event)
        case Renewed(following, message):
            return BoardPlan(following, _benchmarking(key, message))
        case GivenUp(charged, cause, message):
            message = f"{message[:MESSAGE_CHARACTERS]}; {REMEDY}"
            return BoardPlan(charged.model_copy(update={"state": FAILED, "message": message}), cause=cause)


def _benchmarking(key: BoardKey, message: str) -> Blocker:
    return Blocker(BENCHMARKING, f"{key}: {message}")


def _problem(key: BoardKey, result: BenchmarkResult) -> str:
    """A Job's pod chooses what it writes, so the result of another board must not count as evidence."""
    return "" if result.board == key.board else f"the result is of board {result.board} (node {result.node}), not of board {key.board}"
