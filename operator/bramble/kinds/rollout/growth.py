"""Looks at how the memory of nodes grows: which nodes take part in one, and when it is taken. Pure.

A look is taken once and kept in the ledger, which is then written at once. A pass that dies before that takes the look again, and acts on
none of the two before. An agent that starts again begins a new series, so its node takes part again once that is long enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from bramble.api.rollout import Release
from bramble.contracts.report import MEMORY_TICK_MS, MemorySample
from bramble.evidence.growth import DECIMALS, LOOK_HOURS, Node, Sample, look, window
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import Growth, GrowthLook, GuardEvidence, Tally
from bramble.guardrails.growth import DEFAULT_GROWTH, MIB
from bramble.kinds.rollout.ledger import GrowthGuard, Ledger
from bramble.kinds.rollout.nodes import Nodes
from bramble.kinds.rollout.reading import MemoryLine, Reading

WARM_UP_HOURS = 0.25
"""For so long after a node began to serve a version its memory is not looked at: buffers are made, and libraries are loaded."""

HOUR_MS = 3_600_000


def memory_lines(nodes: Nodes, release: Release | None, among: Iterable[str]) -> dict[str, MemoryLine]:
    """What those of the nodes say that serve this version, verified by digest."""
    lines = {}
    for node in nodes.verified(release, among):
        report, since = nodes.devices.reports[node].report, nodes.running[node].serving_since_ms
        served = max(0, report.uptime_ms - since) if since is not None else 0
        begin = (since or 0) + WARM_UP_HOURS * HOUR_MS
        samples = tuple((at / HOUR_MS, held / MIB) for at, held in _believed(report.memory, report.uptime_ms) if at >= begin)
        lines[node] = MemoryLine(nodes.fleet.nodes[node], served / HOUR_MS, bool(report.memory), samples if since is not None else ())
    return lines


def _believed(samples: tuple[MemorySample, ...], uptime_ms: int) -> tuple[MemorySample, ...]:
    """The samples; none where they are out of order, or later than the report."""
    times = [at for at, _ in samples]
    ordered = all(earlier < later for earlier, later in pairwise((*times, uptime_ms + 1)))
    return samples if ordered else ()


def with_growth(ledger: Ledger, reading: Reading, at: int) -> Ledger:
    """The ledger with the guardrails of the rules that compare growth, and no others, and with the looks that are due.

    Args:
        at: seconds since 1970.
    """
    guards = {guard.identity: guard for rule in reading.growth_rules for guard in (guard_of(ledger, rule),)}
    if guards and reading.candidates:
        mine = reading.memory("candidate")
        guards = {identity: _looked(guard, reading, mine, at) for identity, guard in guards.items()}
    return ledger.model_copy(update={"growth": tuple(guards.values())})


def _looked(guard: GrowthGuard, reading: Reading, mine: Mapping[str, MemoryLine], at: int) -> GrowthGuard:
    guard, whole = look_due(guard, mine, at)
    if not whole:
        return guard
    others = reading.memory("stable")
    hours = LOOK_HOURS[len(guard.looks)]
    theirs = {node: found for node, line in others.items() if (found := window(line.samples, hours))}
    return taken(
        guard, whole, theirs, {node: line.board for node, line in (*mine.items(), *others.items()) if node in whole or node in theirs}
    )


def look_due(guard: GrowthGuard, mine: Mapping[str, MemoryLine], at: int) -> tuple[GrowthGuard, dict[str, tuple[Sample, ...]]]:
    """The guardrail, and the samples of the candidate's nodes for its next look; no samples while it is not due.

    It is due once half of the nodes that serve the candidate have the samples. It then waits for nodes that are more than half-way, at most
    for half as long as the look covers.

    Args:
        at: seconds since 1970.
    """
    if len(guard.looks) >= len(LOOK_HOURS):
        return guard, {}
    hours = LOOK_HOURS[len(guard.looks)]
    whole = {node: found for node, line in mine.items() if (found := window(line.samples, hours))}
    if not whole or 2 * len(whole) < len(mine):
        return guard, {}
    if not guard.ready_at:
        guard = guard.model_copy(update={"ready_at": at})
    coming = any(node not in whole and hours / 2 <= line.served - WARM_UP_HOURS for node, line in mine.items())
    return guard, {} if coming and at - guard.ready_at < hours / 2 * 3600 else whole


def taken(
    guard: GrowthGuard, mine: Mapping[str, tuple[Sample, ...]], theirs: Mapping[str, tuple[Sample, ...]], boards: Mapping[str, str]
) -> GrowthGuard:
    """The guardrail with one more look.

    Args:
        mine, theirs: the samples of the look, by node of the candidate and of the stable version.
        boards: of all these nodes.
    """
    nodes = [
        Node(candidate, boards[name], cohort[name]) for candidate, cohort in ((True, mine), (False, theirs)) for name in sorted(cohort)
    ]
    hours = LOOK_HOURS[len(guard.looks)]
    found = GrowthLook(hours=hours, **look(nodes, hours, guard.allowed_growth, guard.growth_limit)._asdict())
    return guard.model_copy(update={"looks": (*guard.looks, found), "ready_at": 0})


def guard_of(ledger: Ledger, rule: Rule) -> GrowthGuard:
    """A rule's guardrail in the ledger; a new one where it has none."""
    new = GrowthGuard(
        metric=rule.metric,
        allowed_growth=DEFAULT_GROWTH if rule.allowed_growth is None else rule.allowed_growth,
        growth_limit=rule.growth_limit,
    )
    return next((guard for guard in ledger.growth if guard.identity == new.identity), new)


def growth_evidence(ledger: Ledger, rule: Rule, mine: Mapping[str, MemoryLine]) -> GuardEvidence:
    """What the ledger shows about a rule.

    Args:
        mine: what the candidate's nodes say.
    """
    looks = guard_of(ledger, rule).looks
    canaries, nodes = (looks[-1].canaries, looks[-1].nodes) if looks else (0, 0)
    return GuardEvidence(
        metric=rule.metric,
        candidate=Tally(events=canaries, nodes=canaries),
        stable=Tally(events=nodes - canaries, nodes=nodes - canaries),
        growth=Growth(
            looks=looks,
            serving=len(mine),
            reporting=sum(line.reports for line in mine.values()),
            wait_hours=round(_wait(len(looks), mine), DECIMALS),
        ),
    )


def _wait(looks: int, mine: Mapping[str, MemoryLine]) -> float:
    """Hours until half of the nodes can take part in the next look."""
    if looks >= len(LOOK_HOURS) or not mine:
        return 0.0
    half = sorted((line.served for line in mine.values()), reverse=True)[(len(mine) - 1) // 2]
    return max(0.0, WARM_UP_HOURS + LOOK_HOURS[looks] + MEMORY_TICK_MS / HOUR_MS - half)
