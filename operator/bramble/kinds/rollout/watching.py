"""How the ledger watches a promoted version: each node is compared with what it counted before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bramble.evidence.mixture import Floats
from bramble.evidence.nodes import DECIMALS, Node, expected_rates, former_cohort, names_of_broken
from bramble.evidence.rise import (
    GROUPS,
    HOUR_SECONDS,
    above_own,
    above_rate,
    first_hour,
    kept,
    later_hours,
    margin_of,
    own_spread,
    shown,
    sums_of,
)
from bramble.guardrails.base import Rule
from bramble.guardrails.catalogue import counted_metric
from bramble.guardrails.evidence import GuardEvidence, Tally, Watched
from bramble.kinds.rollout.ledger import ZERO, Ledger, NodeRecord, Pair, Sums, Watch
from bramble.kinds.rollout.reading import Reading, WatchAsked

Gained = Mapping[str, Sequence[Pair]]
"""Node to its bad events and events since its last reading, by guardrail of the ledger."""

NO_RATE = 0.0
"""Of a node, while what to expect of it is not known."""


def not_watched(ledger: Ledger) -> Ledger:
    """The ledger without a watch, and its nodes without what was known for one."""
    nodes = {name: node.model_copy(update={"own": (), "group": 0}) for name, node in ledger.nodes.items()}
    return ledger.model_copy(update={"promoted": "", "watches": (), "nodes": nodes})


def watched(ledger: Ledger, reading: Reading, gained: Gained, at: int) -> Ledger:
    """The ledger with what the nodes of a promoted version have gained.

    A watch pauses while another version is tried, and goes on from there. A guardrail that is new begins with the next reading, and so does
    the comparison with the version's own rate, once it has counted enough by itself.
    """
    asked = reading.watch
    if asked is None:
        return not_watched(ledger) if ledger.promoted else ledger
    if reading.candidate:
        return ledger
    watches, former = _present(ledger, asked, at)
    nodes = _with_places(ledger, former, len(watches))
    for place, before in enumerate(former):
        if before is not None:
            watches[place] = _look(watches[place], place, _index(ledger, watches[place]), nodes, gained, at)
    rules = {_identity(rule): rule for rule in asked.rules}
    for place, watch in enumerate(watches):
        index, rule = _index(ledger, watch), rules[watch.rule]
        if watch.margin is None and not rule.absolute and _known(watch, index, nodes)[1] >= rule.min_events:
            frozen = ledger.guards[index].frozen
            drift = frozen.drift if frozen is not None and frozen.drift is not None else float(former_cohort(()).allowed)
            watches[place], rates = _compared(watch, index, nodes, asked.error, drift, at)
            nodes = {name: node.model_copy(update={"own": _replaced(node.own, place, rates[name])}) for name, node in nodes.items()}
    return ledger.model_copy(update={"promoted": asked.promoted, "watches": tuple(watches), "nodes": nodes})


def _known(watch: Watch, index: int, nodes: Mapping[str, NodeRecord]) -> Pair:
    """Bad events and events that the version has counted by itself: what its nodes still remember, or all since the watch began if that is
    more. A fleet that answers little would never remember enough, since histories are halved every day.
    """
    history = [node.history[index] for node in nodes.values()]
    remembered = (sum(each[0] for each in history), sum(each[1] for each in history))
    return max(remembered, watch.counted, key=lambda pair: pair[1])


def _identity(rule: Rule) -> tuple[object, ...]:
    of_guard = (rule.metric, rule.quantile, rule.label, rule.max_ratio)
    return *of_guard, allowed_rate(rule), rule.limit, bool(rule.absolute), rule.min_events


def allowed_rate(rule: Rule) -> float | None:
    """A rate that is fine whatever the version's own rate was: a ceiling, or what the metric allows."""
    return max(rule.ceiling or 0.0, counted_metric(rule.metric).allowed(rule) or 0.0) or None


def _index(ledger: Ledger, watch: Watch) -> int:
    """The ledger's guardrail that counts for a watch."""
    return next(index for index, guard in enumerate(ledger.guards) if guard.identity == watch.guard)


def _present(ledger: Ledger, asked: WatchAsked, at: int) -> tuple[list[Watch], list[int | None]]:
    """The watches of the rules, and the places where they were before; new ones where they are not the same."""
    former = dict(enumerate(ledger.watches if ledger.promoted == asked.promoted else ()))
    new = [watch for rule in asked.rules if (watch := _begun(ledger, rule, at)) is not None]
    same = {watch.identity: place for place, watch in former.items()}
    left = {place: watch for place, watch in former.items() if all(watch.identity != each.identity for each in new)}
    places = [same.get(each.identity, next((place for place, watch in left.items() if _goes_on(watch, each)), None)) for each in new]
    watches = [
        each if place is None else former[place].model_copy(update={"absolute": each.absolute, "min_events": each.min_events})
        for each, place in zip(new, places, strict=True)
    ]
    return watches, places


def _begun(ledger: Ledger, rule: Rule, at: int) -> Watch | None:
    """A watch of the rule that begins now; None where nothing can be counted for it yet."""
    index = ledger.guard(rule)
    if index is None or (counted_metric(rule.metric).compares_durations and ledger.guards[index].edge is None):
        return None
    start, allowed = Sums(began=at, logs=kept(first_hour())), allowed_rate(rule)
    return Watch(
        metric=rule.metric,
        quantile=rule.quantile,
        label=rule.label,
        max_ratio=rule.max_ratio,
        allowed=allowed,
        limit=rule.limit,
        absolute=bool(rule.absolute),
        min_events=rule.min_events,
        edge=ledger.guards[index].edge,
        began=at,
        allowed_test=start if allowed is not None else None,
        limit_test=start if rule.limit is not None else None,
    )


def _goes_on(watch: Watch, new: Watch) -> bool:
    """Whether a watch goes on as this one: its rule has another `minEvents` now, or a former operator wrote it."""
    open_: dict[str, None] = {"min_events": None} | ({"absolute": None} if watch.absolute is None else {})
    return watch.model_copy(update=open_).identity == new.model_copy(update=open_).identity


def _with_places(ledger: Ledger, former: Sequence[int | None], watches: int) -> dict[str, NodeRecord]:
    """The nodes, with an entry for each watch. They are dealt out over the groups by name; those that come later too."""
    nodes = dict(ledger.nodes)
    if ledger.watches and former == list(range(len(ledger.watches))) and all(len(node.own) == watches for node in nodes.values()):
        return nodes
    dealt = sum(bool(node.own) for node in nodes.values())
    for name in sorted(nodes):
        node, update = nodes[name], {}
        if not node.own:
            update["group"], dealt = dealt % GROUPS, dealt + 1
        rates = [node.own[before] if before is not None and node.own else NO_RATE for before in former]
        nodes[name] = node.model_copy(update={**update, "own": tuple(rates)})
    return nodes


def _compared(
    watch: Watch, index: int, nodes: Mapping[str, NodeRecord], error: float, drift: float, at: int
) -> tuple[Watch, dict[str, float]]:
    """The watch with what the version has counted by itself, frozen, and the rate to expect of each node."""
    history = [node.history[index] for node in nodes.values()]
    found, newcomer = expected_rates(history)
    bad, events = sum(each[0] for each in history), sum(each[1] for each in history)
    expected = [rate * of for (rate, _), (_, of) in zip(found, history, strict=True)]
    spread = own_spread(bad, expected, [variance + drift for _, variance in found])
    update = {
        "margin": round(margin_of(watch.max_ratio, spread, error), DECIMALS),
        "mean": newcomer[0],
        "baseline": Tally(bad=round(bad), events=round(events), nodes=sum(each[1] > 0 for each in history)),
        "own_test": Sums(began=at, logs=kept(first_hour())),
    }
    return watch.model_copy(update=update), {name: rate for name, (rate, _) in zip(nodes, found, strict=True)}


def _look(watch: Watch, place: int, index: int, nodes: Mapping[str, NodeRecord], gained: Gained, at: int) -> Watch:
    """One look of a watch: the nodes' gains by group. Nodes that had plainly broken before are left out, of all tests."""
    bad, events, expected = ([0.0] * GROUPS for _ in range(3))
    left_out = _broken(watch, place, index, nodes, gained)
    for name, pairs in gained.items():
        if name not in left_out:
            (more_bad, more), node = pairs[index], nodes[name]
            bad[node.group] += more_bad
            events[node.group] += more
            expected[node.group] += more * (node.own[place] or watch.mean)
    hours = max(watch.hours, _hours(watch.began, at))
    former = watch.former if hours == watch.hours else watch.recent if hours == watch.hours + 1 else ZERO
    recent = watch.recent if hours == watch.hours else ZERO
    every = [pairs[index] for pairs in gained.values()]
    return watch.model_copy(
        update={
            "own_test": _advanced(watch.own_test, at, lambda: above_own(watch.margin or 1.0, bad, expected)),
            "allowed_test": _advanced(watch.allowed_test, at, lambda: above_rate(watch.allowed or 0.0, bad, events)),
            "limit_test": _advanced(watch.limit_test, at, lambda: above_rate(watch.limit or 0.0, bad, events)),
            "counted": (watch.counted[0] + sum(each[0] for each in every), watch.counted[1] + sum(each[1] for each in every)),
            "hours": hours,
            "former": former,
            "recent": (recent[0] + sum(each[0] for each in every), recent[1] + sum(each[1] for each in every)),
        }
    )


def _broken(watch: Watch, place: int, index: int, nodes: Mapping[str, NodeRecord], gained: Gained) -> frozenset[str]:
    """The nodes that had many times the bad events of the others already before they gained these."""
    if watch.margin is None:
        return frozenset()
    rows = {}
    for name, node in nodes.items():
        more_bad, more = gained[name][index] if name in gained else ZERO
        bad, events = node.history[index]
        before = (max(0.0, bad - more_bad), max(0.0, events - more))
        rows[name] = Node(candidate=False, sums=before, baseline=(node.own[place] or watch.mean, 0.0))
    return names_of_broken(rows)


def _advanced(sums: Sums | None, at: int, gained: Callable[[], Floats]) -> Sums | None:
    if sums is None:
        return None
    hours = max(sums.hours, _hours(sums.began, at))  # another leader's clock may be behind
    # What was gained since the ledger was written may be of the hour before, so it does not count for a test that begins in this one.
    logs = later_hours(sums_of(sums.logs) + gained(), sums.hours, hours)
    return Sums(began=sums.began, hours=hours, logs=kept(logs))


def _hours(began: int, at: int) -> int:
    return max(0, at - began) // HOUR_SECONDS + 1


def _replaced(values: Sequence[float], place: int, value: float) -> tuple[float, ...]:
    return (*values[:place], value, *values[place + 1 :])


def watch_evidence_of(ledger: Ledger, rule: Rule, present: frozenset[str]) -> GuardEvidence:
    """What the watch shows about a rule. Before it compares, the stable cohort is what the version has counted by itself so far.

    Args:
        present: the nodes of the fleet that may still count something. A group in which none is left shows nothing, and is left out.
    """
    watch = next((each for each in ledger.watches if each.rule == _identity(rule)), None)
    if watch is None:
        return GuardEvidence(metric=rule.metric, label=rule.label, frozen=True, watched=Watched())
    index = _index(ledger, watch)
    active = [
        any(node.group == group and node.own and node.history[index][1] > 0 for name, node in ledger.nodes.items() if name in present)
        for group in range(GROUPS)
    ]

    def nats(sums: Sums | None) -> float | None:
        return round(shown(sums_of(sums.logs), sums.hours, active), DECIMALS) if sums is not None else None

    seconds, known_in = float(max(0, ledger.at - watch.began)), None
    counted = sum(node.history[index][1] > 0 for node in ledger.nodes.values())
    baseline = watch.baseline
    if watch.margin is None:
        own = _known(watch, index, ledger.nodes)
        baseline = Tally(bad=round(own[0]), events=round(own[1]), nodes=counted)
        if watch.counted[1] and not rule.absolute:
            known_in = round(max(0.0, rule.min_events - own[1]) * seconds / watch.counted[1])
    bad, events = (watch.recent[part] + watch.former[part] for part in (0, 1))
    return GuardEvidence(
        metric=rule.metric,
        label=rule.label,
        candidate=Tally(bad=round(bad), events=round(events), nodes=counted),
        stable=baseline,
        over_ms=counted_metric(rule.metric).over_ms(watch.edge),
        frozen=True,
        seconds=seconds,
        watched=Watched(
            margin=watch.margin,
            own=nats(watch.own_test),
            allowed=nats(watch.allowed_test),
            limit=nats(watch.limit_test),
            known_in=known_in,
        ),
    )
