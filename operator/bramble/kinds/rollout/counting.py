"""How the ledger advances by what a pass has read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bramble.contracts.counters import Cohort, Counted
from bramble.evidence.nodes import Node, expected_rates, names_of_broken
from bramble.guardrails.catalogue import counted_metric
from bramble.kinds.rollout.growth import with_growth
from bramble.kinds.rollout.ledger import ZERO, Guard, Ledger, NodeRecord, Pair, new_guard
from bramble.kinds.rollout.looks import faded, fading, frozen, in_half_octaves, one_look, with_recent
from bramble.kinds.rollout.loss_counting import losses_after
from bramble.kinds.rollout.reading import Line, Reading
from bramble.kinds.rollout.wall_clock import set_back
from bramble.kinds.rollout.watching import watched

MOST_PER_SECOND = 10_000
"""No node answers more requests in a second. A reading that says so is not counted."""

SLACK_SECONDS = 60
"""A report may be so much newer than the pass that read it, by the operator's clock."""


def advance(former: Ledger | None, reading: Reading, now: datetime) -> Ledger:
    """The ledger with what a pass has read. Reading the same again adds nothing."""
    at = int(now.timestamp())
    if former is None or former.rollout_uid != reading.rollout_uid:
        former = Ledger(rollout_uid=reading.rollout_uid, attempt=reading.attempt, stable=reading.stable, at=at, began=at)
    former = set_back(former, at)
    if former.attempt == reading.attempt:
        reading = reading.of(former.is_counted)
    losses = losses_after(former, reading, at)
    ledger = _aged(former, at)
    if ledger.stable != reading.stable:
        ledger = _promoted(ledger, reading)
    if ledger.attempt != reading.attempt:
        ledger = _new_attempt(ledger, reading, at)
    ledger = ledger.model_copy(update={"at": at, "step": reading.step, "candidate": reading.candidate, "losses": losses})
    ledger, gained = _looked(ledger, reading, at)
    return with_growth(_with_guards(watched(ledger, reading, gained, at), reading), reading, at)


def _aged(ledger: Ledger, at: int) -> Ledger:
    """The history weighs less as time passes."""
    left = fading(max(0, at - ledger.at))
    if left == 1:
        return ledger
    nodes = {
        name: node.model_copy(update={"history": tuple(faded(pair, left) for pair in node.history)}) for name, node in ledger.nodes.items()
    }
    guards = tuple(guard.model_copy(update={"recent": faded(guard.recent, left)}) for guard in ledger.guards)
    return ledger.model_copy(update={"guards": guards, "nodes": nodes})


def _promoted(ledger: Ledger, reading: Reading) -> Ledger:
    """Another version is stable now, whose counters begin at zero. What it counted as the candidate is the history of its nodes."""
    own = ledger.candidate == reading.stable
    none = (ZERO,) * len(ledger.guards)
    fresh = {"instance": "", "former": "", "counted": none, "other_instance": "", "other": none}
    nodes = {
        name: node.model_copy(update={**fresh, "history": node.sums if own and node.cohort == "candidate" else none})
        for name, node in ledger.nodes.items()
    }
    return ledger.model_copy(update={"stable": reading.stable, "nodes": nodes})


def _new_attempt(ledger: Ledger, reading: Reading, at: int) -> Ledger:
    """An attempt begins: its counters begin at zero, and the baselines are frozen. Nodes that have left the fleet are forgotten,
    and all others are counted again.
    """
    none = (ZERO,) * len(ledger.guards)
    fresh: dict[str, object] = {"cohort": "stable", "instance": "", "former": "", "at": 0, "other_instance": ""}
    fresh |= {"counted": none, "other": none, "sums": none, "since": none}
    fleet = reading.candidates | reading.others
    nodes = {name: node.model_copy(update=fresh) for name, node in ledger.nodes.items() if name in fleet}
    guards = tuple(map(new_guard, ledger.guards))
    ledger = ledger.model_copy(
        update={"attempt": reading.attempt, "began": at, "part": 1.0, "guards": guards, "growth": (), "nodes": nodes}
    )
    return _with_baselines(ledger, range(len(guards)))


def _with_baselines(ledger: Ledger, of: Iterable[int]) -> Ledger:
    """Freeze what to expect of each node by the history that the guardrails with these indexes have."""
    guards, names = list(ledger.guards), list(ledger.nodes)
    rows = [(list(ledger.nodes[name].baseline), list(ledger.nodes[name].before)) for name in names]
    for index in of:
        histories = [ledger.nodes[name].history[index] for name in names]
        found, newcomer = expected_rates(histories)
        for (baselines, before), baseline, history in zip(rows, found, histories, strict=True):
            baselines[index], before[index] = baseline, in_half_octaves(history)
        guards[index] = guards[index].model_copy(update={"newcomer": newcomer})
    nodes = {
        name: ledger.nodes[name].model_copy(update={"baseline": tuple(baselines), "before": tuple(before)})
        for name, (baselines, before) in zip(names, rows, strict=True)
    }
    return ledger.model_copy(update={"guards": tuple(guards), "nodes": nodes})


def _with_guards(ledger: Ledger, reading: Reading) -> Ledger:
    """The ledger with the guardrails of the rules, and no others.

    A new one takes as history what the agents have counted for the stable version since they started, and counts from now on. So does one
    that could not tell a slow request before, for want of requests on the stable version.
    """
    guards: list[Guard] = []
    former: list[int | None] = []
    for rule in reading.rules:
        index = ledger.guard(rule)
        guard = ledger.guards[index] if index is not None else new_guard(rule)
        if any(guard.identity == each.identity for each in guards):
            continue
        metric = counted_metric(rule.metric)
        if metric.compares_durations and guard.edge is None:
            guard = guard.model_copy(update={"edge": metric.edge(rule, reading.served().values())})
            index = index if guard.edge is None else None
        guards.append(guard)
        former.append(index)
    added = [index for index, before in enumerate(former) if before is None]
    if not added and former == list(range(len(ledger.guards))):
        return ledger
    served = reading.served() if added else {}

    def carried(pairs: Sequence[Pair], new: Counted | None) -> tuple[Pair, ...]:
        return tuple(
            pairs[before] if before is not None else (_counted(guards[index], new) if new is not None else None) or ZERO
            for index, before in enumerate(former)
        )

    nodes = {}
    for name in sorted(ledger.nodes.keys() | reading.candidates | reading.others):
        node, line = ledger.nodes.get(name) or _newcomer(ledger), reading.lines.get(name)
        read = line.counted if line is not None and line.token == node.instance else None
        pairs = {"counted": carried(node.counted, read), "history": carried(node.history, served.get(name))}
        pairs |= {"other": carried(node.other, None), "sums": carried(node.sums, None), "since": carried(node.since, None)}
        pairs |= {"baseline": carried(node.baseline, None)}
        before = tuple(node.before[place] if place is not None else 0 for place in former)
        nodes[name] = node.model_copy(update={**pairs, "before": before})
    return _with_baselines(ledger.model_copy(update={"guards": tuple(guards), "nodes": nodes}), added)


def _counted(guard: Guard, counted: Counted) -> Pair | None:
    """Bad events and events of a guardrail; None where the device does not say."""
    if (found := counted_metric(guard.metric).tally(counted, guard.edge, guard.label)) is None:
        return None
    bad, events = found
    return float(bad), float(max(bad, events))


def _looked(ledger: Ledger, reading: Reading, at: int) -> tuple[Ledger, dict[str, tuple[Pair, ...]]]:
    """Count what the devices say beyond what they said before: one look of each guardrail; and what each node gained."""
    gains: dict[str, tuple[Pair, ...]] = {}
    found = _Increments([_broken(ledger, index) for index in range(len(ledger.guards))])
    none, compared = (ZERO,) * len(ledger.guards), tuple(guard.compared for guard in ledger.guards)
    nodes = dict(ledger.nodes)
    for name, line in (*_unread(ledger, reading), *reading.lines.items()):
        cohort: Cohort = "candidate" if name in reading.candidates else "stable"
        if cohort == "stable" and name not in reading.others:
            continue
        node = nodes.get(name) or _newcomer(ledger)
        known, before = _last_reading(node, cohort)
        unsaid = before if line.token == known else (ZERO,) * len(ledger.guards)
        counted = tuple(_counted(guard, line.counted) or last for guard, last in zip(ledger.guards, unsaid, strict=True))
        gained = _gained(ledger, node, cohort, line.token, counted, at)
        if gained is None:
            continue
        gains[name] = _added(gains.get(name, none), gained)
        has_ended = line is reading.ended.get(name)
        update = {"cohort": cohort, "instance": line.token, "at": node.at if has_ended else at, "counted": counted}
        if node.instance and node.cohort != cohort:
            update |= {"other": node.counted, "other_instance": node.instance}
        if node.instance not in ("", line.token):
            update["former"] = node.instance
        if reading.candidate:
            goes_on = node.cohort == cohort and node.instance
            update["sums"] = _added(node.sums if goes_on else none, gained)
            update["since"] = node.since if goes_on else compared if cohort == "candidate" else none
            found.add(name, cohort, gained, node.baseline)
        if cohort == "stable":
            update["history"] = _added(node.history, gained)
        nodes[name] = node.model_copy(update=update)
    if not reading.candidate:
        return ledger.model_copy(update={"nodes": nodes}), gains
    alone = bool(reading.candidates) and not reading.others
    guards = [_freeze(guard, ledger, index) if alone else guard for index, guard in enumerate(ledger.guards)]
    looked = tuple(with_recent(one_look(guard, *found.of(index), alone=alone), *found.history(index)) for index, guard in enumerate(guards))
    return ledger.model_copy(update={"guards": looked, "nodes": nodes}), gains


def _unread(ledger: Ledger, reading: Reading) -> list[tuple[str, Line]]:
    """The last readings of processes that ended since the ledger was stored. Those whose successor has been read were read before it."""
    lines, nodes = reading.lines, ledger.nodes
    return [
        (name, line)
        for name, line in reading.ended.items()
        if name not in lines or name not in nodes or nodes[name].instance != lines[name].token
    ]


def _broken(ledger: Ledger, index: int) -> frozenset[str]:
    """The stable nodes that are left out of a guardrail's looks, by what they had counted before."""
    nodes = ((name, node) for name, node in ledger.nodes.items() if node.cohort == "stable" and node.sums)
    return names_of_broken({name: Node(candidate=False, sums=node.sums[index], baseline=node.baseline[index]) for name, node in nodes})


def _newcomer(ledger: Ledger) -> NodeRecord:
    """A node without history."""
    none, newcomers = (ZERO,) * len(ledger.guards), tuple(guard.newcomer for guard in ledger.guards)
    before = (0,) * len(ledger.guards)
    return NodeRecord(counted=none, other=none, sums=none, since=none, history=none, baseline=newcomers, before=before)


def _last_reading(node: NodeRecord, cohort: Cohort) -> tuple[str, Sequence[Pair]]:
    """The process that was read last in a cohort, and what it had counted."""
    return (node.instance, node.counted) if node.cohort == cohort else (node.other_instance, node.other)


def _added(before: Sequence[Pair], gained: Sequence[Pair]) -> tuple[Pair, ...]:
    return tuple((bad + more_bad, events + more) for (bad, events), (more_bad, more) in zip(before, gained, strict=True))


def _gained(ledger: Ledger, node: NodeRecord, cohort: Cohort, token: str, counted: Sequence[Pair], at: int) -> tuple[Pair, ...] | None:
    """What a node counted since its last reading; None where that cannot be, or is no news.

    A process that is not known counts from zero, except for what is kept on the node's disk. It counts in each cohort by itself, so a node
    that comes back to a cohort goes on from its last reading there. Numbers that go back within a process are not counted; nor are a late
    report of the process before and more events than a node can have had in the time.
    """
    if node.instance and token == node.former:
        return None
    known, before = _last_reading(node, cohort)
    gained = []
    for guard, (bad, events), (former_bad, former_events) in zip(ledger.guards, counted, before, strict=True):
        if token == known:
            more_bad, more = bad - former_bad, events - former_events
        elif known and counted_metric(guard.metric).kept_on_disk:
            more_bad, more = bad - former_bad if bad >= former_bad else bad, events
        else:
            more_bad, more = bad, events
        if more_bad < 0 or more < 0:
            return None
        gained.append((more_bad, max(more, more_bad)))
    elapsed = max(0, at - (node.at or ledger.began)) + SLACK_SECONDS
    return tuple(gained) if all(more <= MOST_PER_SECOND * elapsed for _, more in gained) else None


class _Increments:
    """What one pass found in both cohorts, by guardrail.

    Bad events and events of all nodes; then, of those that are compared, bad events, and events times the expected rates of their nodes;
    then the latter of all nodes.
    """

    def __init__(self, left_out: Sequence[frozenset[str]]) -> None:
        """Nothing yet.

        Args:
            left_out: by guardrail, the stable nodes that it leaves out.
        """
        self._left_out = left_out
        self._sums = {cohort: [[0.0] * 5 for _ in left_out] for cohort in ("candidate", "stable")}

    def add(self, name: str, cohort: Cohort, gained: Sequence[Pair], baseline: Sequence[Pair]) -> None:
        """Add one node's."""
        for left_out, row, (bad, events), (rate, _) in zip(self._left_out, self._sums[cohort], gained, baseline, strict=True):
            row[0], row[1], row[4] = row[0] + bad, row[1] + events, row[4] + events * rate
            if cohort == "candidate" or name not in left_out:
                row[2], row[3] = row[2] + bad, row[3] + events * rate

    def of(self, index: int) -> tuple[Sequence[float], Sequence[float]]:
        """The candidate's and the stable cohort's, of one guardrail."""
        return self._sums["candidate"][index][:4], self._sums["stable"][index][:4]

    def history(self, index: int) -> tuple[float, float]:
        """By how much the histories of a guardrail have grown: bad events, and events times the expected rates."""
        stable = self._sums["stable"][index]
        return stable[0], stable[4]


def _freeze(guard: Guard, ledger: Ledger, index: int) -> Guard:
    """The guardrail, which compares with the history from now on."""
    nodes = ledger.nodes.values()
    stable = [Node(candidate=False, sums=node.sums[index], baseline=node.baseline[index]) for node in nodes if node.cohort == "stable"]
    return frozen(guard, [(node.history[index], node.baseline[index]) for node in nodes], stable)
