"""Which nodes take part in a look at memory, when it is taken, and that none is taken twice or lost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from bramble.api.rollout import Release, Status
from bramble.contracts.counters import Cohort
from bramble.contracts.report import MEMORY_TICK_MS, MemorySample
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GrowthLook
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.decision import Decision, read_decision
from bramble.kinds.rollout.growth import WARM_UP_HOURS, growth_evidence, memory_lines
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import read_ledger, render
from bramble.kinds.rollout.policies.keep_evidence import written_until
from bramble.kinds.rollout.reading import MemoryLine, Reading
from tests.unit.rollout.rows import NODES, UPTIME, V1, V2, device, observed, out, tried
from tests.unit.rollout.world import FakeWorld, package_digest, promoted

row = pytest.param
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULE = Rule(metric="memory", max_ratio=1.0, min_events=0, min_nodes=1, allowed_growth=1.0)
CANARIES = tuple(f"c{number}" for number in range(4))
OTHERS = tuple(f"s{number}" for number in range(36))
TICK_HOURS = MEMORY_TICK_MS / 3_600_000


def line(served: float, grows: float = 0.0, board: str = "rpi5") -> MemoryLine:
    """A node that has served for so many hours; its memory grows by so many MiB in each."""
    samples = [(tick * TICK_HOURS, 200 + grows * tick * TICK_HOURS) for tick in range(1 + int((served - WARM_UP_HOURS) / TICK_HOURS))]
    return MemoryLine(board, served, reports=True, samples=tuple(samples[:-1]))


def reading(mine: Mapping[str, MemoryLine], theirs: Mapping[str, MemoryLine], *rules: Rule, **more: object) -> Reading:
    def memory(cohort: Cohort) -> Mapping[str, MemoryLine]:
        return mine if cohort == "candidate" else theirs

    fleet = {"candidates": frozenset(CANARIES), "others": frozenset(OTHERS), "growth_rules": rules or (RULE,), "memory": memory}
    return replace(Reading("uid", attempt=2, stable="v1", candidate="v2"), **fleet, **more)  # type: ignore[arg-type]


def after(hours: float, leak: float = 0.0, *, of: tuple[str, ...] = CANARIES, step: int = 0) -> Reading:
    """What a fleet says so many hours after the candidate began to serve; the canaries leak."""
    mine = {node: line(hours, leak) for node in of}
    return reading(mine, {node: line(hours + 1, place / 36) for place, node in enumerate(OTHERS)}, step=step)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def looks(ledger: Ledger | None) -> tuple[GrowthLook, ...]:
    return ledger.growth[0].looks if ledger is not None and ledger.growth else ()


def test_looks_are_taken_when_the_nodes_have_served_long_enough_and_each_once() -> None:
    ledger, found = None, []
    for minute in range(0, 18 * 60, 5):
        before = len(looks(ledger))
        ledger = advance(ledger, after(minute / 60), at(minute / 60))
        if len(looks(ledger)) > before:
            found.append((minute / 60, looks(ledger)[-1].hours))
    assert [hours for _, hours in found] == [1, 2, 4, 8, 16]
    for when, hours in found:
        assert WARM_UP_HOURS + hours * 7 / 8 <= when <= WARM_UP_HOURS + hours * 7 / 8 + 3 * TICK_HOURS
    assert looks(ledger)[0].draws == ((4, 40),)


def test_leaking_canaries_are_the_steepest() -> None:
    look = looks(advance(None, after(2.0, leak=9.0), at(2.0)))[0]
    assert (look.steep, look.flat, look.under) == (4, 0, 1.0)
    assert look.candidate == pytest.approx(9.0)
    assert look.stable == pytest.approx(0.486, abs=1e-3)


def test_canaries_like_the_others_are_the_flattest_once_the_allowance_is_taken_off() -> None:
    look = looks(advance(None, after(2.0), at(2.0)))[0]
    assert (look.steep, look.flat) == (0, 4)
    assert look.under < 1e-3


def test_a_ledger_that_was_not_written_takes_the_look_again_and_one_that_was_does_not() -> None:
    early = advance(None, after(0.5), at(0.5))
    once = advance(early, after(2.0, 9.0), at(2.0))
    assert advance(early, after(2.0, 9.0), at(2.0)) == once, "the operator died before the write"
    assert looks(advance(once, after(2.0, 9.0), at(2.01))) == looks(once)


def test_what_is_stored_is_read_back() -> None:
    ledger = advance(None, after(2.0, 9.0), at(2.0))
    metadata = observed().metadata
    assert read_ledger(render(ledger, metadata, "bramble")) == ledger


def test_a_look_is_written_at_once() -> None:
    """Otherwise a pass after it could take it again, with later samples."""
    before = advance(None, after(0.5), at(0.5))
    taken = advance(before, after(2.0), at(2.0))
    stored = before.model_copy(update={"at": taken.at, "step": taken.step})
    seen = SimpleNamespace(stored_ledger=SimpleNamespace(ledger=stored), ledger=taken, status=Status(candidate=V2), now=at(2.0))
    assert written_until(seen) == at(2.0)  # type: ignore[arg-type]
    seen.stored_ledger = SimpleNamespace(ledger=taken)
    assert written_until(seen) > at(2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"steep": 5}, {"draws": ((40, 4),)}, {"over": 2.0}])
def test_looks_that_somebody_edited_are_not_believed(wrong: dict[str, object]) -> None:
    ledger = advance(None, after(2.0), at(2.0))
    look = GrowthLook.model_construct(**{**looks(ledger)[0].model_dump(), **wrong})
    edited = ledger.model_copy(update={"growth": (ledger.growth[0].model_copy(update={"looks": (look,)}),)})
    assert read_ledger(render(edited, observed().metadata, "bramble")) is None


def test_a_new_attempt_begins_without_looks() -> None:
    ledger = advance(None, after(2.0), at(2.0))
    assert looks(advance(ledger, replace(after(0.1), attempt=3), at(3.0))) == ()


def test_another_allowance_is_another_guardrail() -> None:
    ledger = advance(None, after(2.0), at(2.0))
    wider = RULE.model_copy(update={"allowed_growth": 5.0})
    both = advance(ledger, replace(after(2.1), growth_rules=(RULE, wider)), at(2.1))
    assert [(guard.allowed_growth, len(guard.looks)) for guard in both.growth] == [(1.0, 1), (5.0, 1)]
    assert [guard.allowed_growth for guard in advance(both, replace(after(2.1), growth_rules=(wider,)), at(2.1)).growth] == [5.0]


WHOLE, HALF_WAY, NEW, SHORT = line(1.6), line(0.9), line(0.5), MemoryLine("rpi5", 3.0, reports=True, samples=line(0.6).samples)
OLD = MemoryLine("rpi5", 0.0, reports=False, samples=())


@pytest.mark.parametrize(
    ("canaries", "expected"),
    [
        row([WHOLE] * 4, 4, id="all are ready"),
        row([WHOLE, WHOLE, NEW, NEW], 2, id="half of them are, the others have only begun"),
        row([WHOLE, NEW, NEW, NEW], 0, id="fewer than half are"),
        row([WHOLE, WHOLE, WHOLE, HALF_WAY], 0, id="one is more than half-way: it is waited for"),
        row([WHOLE, WHOLE, OLD, OLD], 2, id="two agents are of an earlier release"),
        row([WHOLE, OLD, OLD, OLD], 0, id="most agents are of an earlier release"),
        row([], 0, id="none serves the candidate"),
    ],
)
def test_who_takes_part(canaries: list[MemoryLine], expected: int) -> None:
    ledger = advance(None, reading(dict(zip(CANARIES, canaries, strict=False)), {"s0": WHOLE}), at(1.6))
    assert sum(look.canaries for look in looks(ledger)) == expected


def test_a_node_that_is_never_ready_is_waited_for_half_as_long_as_the_look_covers() -> None:
    """It may lie, or its agent may start again and again."""
    says = reading(dict(zip(CANARIES, [WHOLE, WHOLE, WHOLE, SHORT], strict=True)), {"s0": WHOLE})
    ledger = advance(None, says, at(1.6))
    assert looks(ledger) == ()
    ledger = advance(ledger, says, at(1.6 + 0.45))
    assert looks(ledger) == ()
    assert [look.canaries for look in looks(advance(ledger, says, at(1.6 + 0.5)))] == [3]


def test_one_node_that_lies_moves_one_node_only() -> None:
    honest = looks(advance(None, after(2.0, leak=0.4), at(2.0)))[0]
    mine = {node: line(2.0, 1e9 if node == "c0" else 0.4) for node in CANARIES}
    theirs = {node: line(3.0, place / 36) for place, node in enumerate(OTHERS)}
    lying = looks(advance(None, reading(mine, theirs, RULE.model_copy(update={"growth_limit": 50.0})), at(2.0)))[0]
    assert (lying.steep - honest.steep, honest.flat - lying.flat) == (1, 1)
    assert lying.candidate == pytest.approx(honest.candidate)
    assert lying.over == 1.0


def test_boards_are_compared_each_with_itself() -> None:
    mine = {"c0": line(2.0, 9.0, "rpi5"), "c1": line(2.0, 0.0, "rpi4")}
    theirs = {f"s{n}": line(2.0, 9.0 if n % 2 else 0.0, "rpi5" if n % 2 else "rpi4") for n in range(20)}
    look = looks(advance(None, reading(mine, theirs), at(2.0)))[0]
    assert (look.draws, look.steep) == (((1, 11), (1, 11)), 0)


def test_where_no_node_is_left_on_the_stable_version_the_limit_decides() -> None:
    limited = RULE.model_copy(update={"growth_limit": 5.0})
    look = looks(advance(None, reading({node: line(2.0, 9.0) for node in CANARIES}, {}, limited), at(2.0)))[0]
    assert (look.draws, look.steep, look.stable) == (((4, 4),), 0, 0.0)
    assert look.over < 1e-4


# ------------------------------------------------------------------------------------------------------- what devices report


def tick(number: int, held: int = 2**28) -> MemorySample:
    return number * MEMORY_TICK_MS, held


ENDS = round(UPTIME.total_seconds() * 1000) // MEMORY_TICK_MS
"""Ticks of an agent that has run for `UPTIME`."""
SERVED = timedelta(hours=2)
"""16 ticks, of which two are the warm-up."""


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        row([tick(ENDS - 16), tick(ENDS - 15), tick(ENDS - 14), tick(ENDS - 1)], 2, id="only what follows the warm-up"),
        row([], 0, id="an older agent"),
        row([tick(ENDS - 2), tick(ENDS - 3)], 0, id="out of order"),
        row([tick(ENDS - 2), tick(ENDS - 2)], 0, id="twice at the same time"),
        row([tick(ENDS - 2), tick(ENDS + 1)], 0, id="later than the report"),
    ],
)
def test_which_samples_are_believed(memory: list[MemorySample], expected: int) -> None:
    says = device("a", V2, attempt=2, seq=5, served=SERVED)
    says = says.model_copy(update={"report": says.report.model_copy(update={"memory": tuple(memory)})})
    seen = observed(status=out(), reports={node: says if node == "a" else device(node) for node in NODES}, written=tried("a"), ref=V2)
    (found,) = memory_lines(seen.nodes, V2, NODES).values()
    assert (len(found.samples), found.served, found.reports) == (expected, 2.0, bool(memory))


@pytest.mark.parametrize(
    ("version", "attempt", "expected"),
    [
        row(V2, 2, ["a"], id="it serves the candidate in this attempt"),
        row(V1, 2, [], id="it still serves the stable version"),
        row(V2, 1, [], id="it served it in an earlier attempt"),
    ],
)
def test_only_nodes_that_serve_the_candidate_in_this_attempt_take_part(version: Release, attempt: int, expected: list[str]) -> None:
    says = device("a", version, attempt=attempt, seq=5, served=SERVED)
    seen = observed(status=out(), reports={"a": says}, written=tried("a"), ref=V2)
    assert list(seen.counts.memory("candidate")) == expected


# ------------------------------------------------------------------------------------------------------------ a whole fleet

STEPS = [{"nodes": "10%", "bake": "10s"}, {"nodes": "50%", "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]


async def fleet(nodes: int, *, guardrail: dict[str, object] | None = None) -> FakeWorld:
    """A fleet that serves 1.0.0 and is to serve 2.0.0. Its nodes differ: each grows by up to 0.8 MiB an hour, whatever it serves."""
    world = FakeWorld(nodes, steps=STEPS, guardrails=[{"metric": "memory", **(guardrail or {})}])
    world.rollout["spec"]["analysis"]["deadline"] = "72h"
    for place, one in enumerate(world.devices.values()):
        one.noise = 0.3 * (place % 3)
        one.grows = dict.fromkeys(map(package_digest, ("1.0.0", "2.0.0")), place % 5 * 0.2)
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    return world


def leaking(world: FakeWorld, by: float) -> None:
    for one in world.devices.values():
        one.grows[package_digest("2.0.0")] += by


async def live(world: FakeWorld, hours: float) -> None:
    """Passes for each tick of memory."""
    for _ in range(round(hours / TICK_HOURS)):
        for _ in range(3):
            await world.step()
        world.live(MEMORY_TICK_MS / 1000)


def messages(world: FakeWorld) -> str:
    analysis = world.status.analysis
    return json.dumps(analysis["guardrails"] if analysis is not None else None)


async def test_a_version_that_leaks_is_undone_and_its_decision_can_be_judged_again() -> None:
    world = await fleet(40)
    leaking(world, 20.0)
    await live(world, 9)
    undone = world.status.undone
    assert undone is not None, messages(world)
    assert (undone.ref, undone.reason) == ("digits-2-0-0", "GuardrailFailed")
    assert "shown to grow faster by more than 1 MiB an hour" in undone.message
    assert set(world.active().values()) == {"1.0.0"}
    decision = read_decision(world.status.decision)
    assert isinstance(decision, Decision)
    assert decision.reproduces()
    report = next(content.decode() for key, content in world.files.items() if key.endswith(".md"))
    assert re.search(r"memory \| Fail \| [0-9.]+ MiB/h \| 4 \| [0-9.]+ MiB/h \| 36 \| .[0-9.]+ MiB/h", report), report


async def test_a_version_that_changes_nothing_is_promoted_on_a_fleet_of_differing_nodes() -> None:
    world = await fleet(40)
    await live(world, 8)
    assert world.condition("Ready") == "True/Promoted", messages(world)
    assert world.status.stable is not None
    assert world.status.stable.ref == "digits-2-0-0"


async def test_before_the_first_look_a_step_waits_and_says_for_how_long() -> None:
    world = await fleet(40)
    await live(world, 0.75)
    assert world.condition("Progressing") == "True/CollectingEvidence"
    assert "memory: the next look, over 1 h, comes in about" in messages(world)


async def test_agents_that_start_again_begin_a_new_series() -> None:
    """Every canary starts again after 50 minutes, so that no look is taken, and then no more."""
    world = await fleet(40)
    leaking(world, 20.0)
    for _ in range(3):
        await live(world, 5 / 6)
        for one in world.devices.values():
            one.restart()
    assert world.status.undone is None
    await live(world, 9)
    assert world.status.undone is not None


async def test_a_fleet_of_one_is_judged_by_the_limit() -> None:
    world = await fleet(1, guardrail={"growthLimit": "10Mi"})
    leaking(world, 30.0)
    await live(world, 9)
    assert world.status.undone is not None, messages(world)
    assert "more than the limit of 10 MiB an hour" in world.status.undone.message


async def test_a_fleet_of_one_whose_memory_does_not_grow_is_promoted() -> None:
    world = await fleet(1)
    await live(world, 4)
    assert world.condition("Ready") == "True/Promoted", messages(world)


async def test_nothing_blocks_for_ever() -> None:
    """A single node whose memory grows, and nobody to compare with: it passes after the last look."""
    world = await fleet(1)
    leaking(world, 3.0)
    await live(world, 17)
    assert world.condition("Ready") == "True/Promoted", messages(world)
    decision = read_decision(world.status.decision)
    assert isinstance(decision, Decision)
    assert "no faster growth was shown up to the last look, over 16 h" in decision.judgement.messages("Pass")


async def test_agents_that_report_no_memory_are_no_pass() -> None:
    world = await fleet(4)
    for one in world.devices.values():
        one.memory.samples = partial(lambda _: ())  # type: ignore[method-assign]
    await live(world, 18)
    assert world.condition("Ready") != "True/Promoted"
    assert "none of 1 candidate nodes has reported its memory yet" in messages(world)
    assert growth_evidence((await world.observe()).ledger, RULE, {}).growth is not None


async def test_a_look_is_stored_before_it_is_acted_on() -> None:
    """Otherwise it could be taken again, with other samples, and be acted on again."""
    world, before = await fleet(40), 0
    leaking(world, 20.0)
    while world.status.undone is None:
        seen = await world.observe()
        stored = seen.stored_ledger
        before = len(looks(stored.ledger)) if stored is not None else 0
        await world.step()
        world.live(MEMORY_TICK_MS / 3000)
    decision = read_decision(world.status.decision)
    assert isinstance(decision, Decision)
    assert before == 4


async def test_an_operator_that_dies_after_any_write_takes_no_look_twice() -> None:
    world, hours = await fleet(40), list[float]()
    for _ in range(12 * 3):
        for writes in (0, 1, None):
            await world.step(writes)
        stored = (await world.observe()).stored_ledger
        if stored is not None and stored.ledger is not None and stored.ledger.growth:
            hours = [look.hours for look in stored.ledger.growth[0].looks]
            assert hours == [1.0, 2.0, 4.0][: len(hours)]
        world.live(300)
    assert hours[:1] == [1.0]
