"""How the ledger counts nodes that fall silent. Pure.

A loss is counted once: it is known by when it began, and a node that is silent is not counted again before it reports. So a pass that is
repeated, and an operator that starts again, count nothing twice. Losses that begin within a minute are one moment. They depend on each
other, as where a site loses its power, so the test takes them together, each with a part of its weight (`bramble.evidence.losses`). The
ledger has the present moment open, so it does not matter in which passes its losses are seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bramble.contracts.counters import Cohort
from bramble.contracts.report import LOST_SECONDS
from bramble.evidence.losses import moment
from bramble.evidence.nodes import DECIMALS, Node, expected_rates, look, names_of_broken
from bramble.guardrails.evidence import Away
from bramble.kinds.rollout.cohorts import Stratum
from bramble.kinds.rollout.ledger import ZERO, Ledger, LossLedger, NodeLosses, OpenMoment, Pair, new_guard
from bramble.kinds.rollout.looks import faded, fading, frozen, one_look, with_recent
from bramble.kinds.rollout.losses import Silence, Silences
from bramble.kinds.rollout.reading import Reading

MOMENT_SECONDS = 60
"""Losses that begin within so long of the first one are of one moment."""

SAME_LOSS_SECONDS = 3600
"""A node that is lost again within this time after a loss is not counted again. It may be on its way down for good."""

AWAY_SECONDS = 300
"""A node counts as away for so long after it was lost, even where it is back already."""

LONGEST_WATCH_SECONDS = 900
"""After a longer time between two ledgers nobody has watched the nodes all the time. While no version is tried, one is written every ten
minutes."""

SITE_SHARE = 0.25
"""The largest share of the canaries that may be lost at one moment in one site, without any stable node, and count as one."""


def losses_after(former: Ledger, reading: Reading, at: int) -> LossLedger:
    """What is counted after a pass that read this."""
    losses, began, seconds = former.losses, former.began, max(0, at - former.at)
    if former.stable != reading.stable and former.candidate == reading.stable:
        losses = _promoted(losses, trying=bool(former.candidate))
    if former.attempt != reading.attempt:
        losses, began = _new_attempt(losses, reading, trying=bool(former.candidate)), at
    found = sorted(_new_losses(losses, reading, began, at), key=lambda each: (each.began, each.node))
    losses = _watched(losses, reading, seconds)
    if found:
        losses = _added(losses, found, reading, at)
    return losses.model_copy(update={"away": _away(losses, reading, at) if reading.candidate else Away()})


def closed(losses: LossLedger, *, trying: bool) -> LossLedger:
    """The losses of the open moment, counted.

    Args:
        trying: whether a version is being tried. Otherwise they are history only.
    """
    names = [name for name, node in losses.nodes.items() if node.weight]
    guard, nodes, broken, recent = losses.guard, dict(losses.nodes), _broken(losses), 0.0
    sums = {"candidate": (0, 0.0), "stable": (0, 0.0)}
    for name in names:
        node = losses.nodes[name]
        update: dict[str, object] = {"weight": 0.0}
        if node.cohort == "stable":
            lost = node.weight * max(1, node.times)
            recent += lost
            update["history"] = (node.history[0] + lost, node.history[1])
        if trying:
            bad, minutes = node.candidate if node.cohort == "candidate" else node.stable
            update[node.cohort] = (round(bad + node.weight, DECIMALS), minutes)
            count, weighted = sums[node.cohort]
            sums[node.cohort] = count + 1, weighted + (0.0 if name in broken else node.weight)
        nodes[name] = node.model_copy(update=update)
    if trying and losses.moment is not None and names:
        mine, theirs = sums["candidate"], sums["stable"]
        ratio = look(guard.test, guard.ratio, mine[1], mine[1] + theirs[1], losses.moment.share)
        candidate, stable = (guard.candidate[0] + mine[0], guard.candidate[1]), (guard.stable[0] + theirs[0], guard.stable[1])
        compared_bad = guard.compared[0] + theirs[1]
        guard = guard.model_copy(update={"ratio": ratio, "candidate": candidate, "stable": stable, "compared_bad": compared_bad})
        guard = with_recent(guard, recent, 0.0)
    return losses.model_copy(update={"guard": guard, "nodes": nodes, "moment": None})


def compared_nodes(losses: LossLedger) -> list[Node]:
    """What each node did in this attempt, in each cohort in which it was watched."""
    found = []
    for node in losses.nodes.values():
        for mine, sums in ((True, node.candidate), (False, node.stable)):
            if sums[1] > 0:
                found.append(Node(mine, sums, node.baseline, node.since if mine else ZERO))
    return found


def _promoted(losses: LossLedger, *, trying: bool) -> LossLedger:
    """What the nodes did with the version that was promoted is history as well. How often a node falls silent depends on its power and its
    network more than on a version that has passed.
    """
    losses = closed(losses, trying=trying)
    nodes = {name: node.model_copy(update={"history": _sum(node.history, node.candidate)}) for name, node in losses.nodes.items()}
    return losses.model_copy(update={"nodes": nodes})


def _sum(one: Pair, other: Pair) -> Pair:
    return one[0] + other[0], one[1] + other[1]


def _new_attempt(losses: LossLedger, reading: Reading, *, trying: bool) -> LossLedger:
    """An attempt begins: the baselines are frozen, and nodes that have left the fleet are forgotten."""
    losses, fleet = closed(losses, trying=trying), reading.candidates | reading.others
    nodes = {name: node for name, node in losses.nodes.items() if name in fleet}
    baselines, newcomer = expected_rates([node.history for node in nodes.values()])
    fresh = {"cohort": "stable", "times": 0, "candidate": ZERO, "stable": ZERO, "since": ZERO}
    pairs = zip(nodes, baselines, strict=True)
    nodes = {name: nodes[name].model_copy(update={**fresh, "baseline": baseline}) for name, baseline in pairs}
    return LossLedger(guard=new_guard(losses.guard).model_copy(update={"newcomer": newcomer}), nodes=nodes)


class _Loss(NamedTuple):
    """A loss that is not counted yet: of which node and cohort, and when it began."""

    node: str
    cohort: Cohort
    began: int


def _new_losses(losses: LossLedger, reading: Reading, attempt_began: int, at: int) -> Iterator[_Loss]:
    """The losses of this attempt that are not counted yet."""
    seen = reading.silences
    found = [(name, each) for name, each in seen.silent.items() if not _record(losses, name).away]
    for name, each in (*found, *((name, each) for name, each in seen.interrupted.items() if name not in seen.silent)):
        began = at - round(each.seconds if each.seconds is not None else LOST_SECONDS)
        cohort = _cohort(losses, reading, name, each)
        if cohort is not None and began >= attempt_began and began > _record(losses, name).at + SAME_LOSS_SECONDS:
            yield _Loss(name, cohort, began)


def _cohort(losses: LossLedger, reading: Reading, name: str, silence: Silence) -> Cohort | None:
    """In which cohort a node was when it fell silent. Only a node that has been a canary of this attempt can be lost to the candidate."""
    node, member = _record(losses, name), name in reading.silences.members
    forgotten = silence.seconds is None
    if (silence.on_candidate and (member or node.candidate[1] > 0)) or (forgotten and member and node.candidate[1] > 0):
        return "candidate"
    if not member and (silence.on_stable or (forgotten and node.stable[1] > 0)):
        return "stable"
    return None


def _record(losses: LossLedger, name: str) -> NodeLosses:
    return losses.nodes.get(name) or NodeLosses(baseline=losses.guard.newcomer)


def _watched(losses: LossLedger, reading: Reading, seconds: int) -> LossLedger:
    """The time in which nodes were watched since the former ledger, and which nodes are silent now."""
    seen, trying, left = reading.silences, bool(reading.candidate), fading(seconds)
    minutes, broken = min(seconds, LONGEST_WATCH_SECONDS) / 60, _broken(losses)
    nodes, sums = dict(losses.nodes), {"candidate": [0.0, 0.0], "stable": [0.0, 0.0]}
    recent = 0.0
    for name in losses.nodes.keys() | seen.watched.keys() | seen.silent.keys():
        node, cohort = _record(losses, name), seen.watched.get(name)
        bad, before = faded(node.history, left) if left < 1 else node.history
        update: dict[str, object] = {"history": (bad, before + minutes) if cohort == "stable" else (bad, before)}
        if name in seen.watched:
            update["away"] = False
        elif name in seen.silent and not node.away:
            fell = node.cohort if node.weight else _cohort(losses, reading, name, seen.silent[name]) or "stable"
            update |= {"away": True, "cohort": fell}
        if cohort is not None and trying:
            bad, before = node.candidate if cohort == "candidate" else node.stable
            update[cohort] = (bad, round(before + minutes, DECIMALS))
            if cohort == "candidate" and not before:
                update["since"] = losses.guard.compared
            recent += minutes * node.baseline[0] if cohort == "stable" else 0.0
            sums[cohort][0] += minutes
            sums[cohort][1] += minutes * node.baseline[0] if cohort == "candidate" or name not in broken else 0.0
        nodes[name] = node.model_copy(update=update)
    guard, alone = losses.guard, _alone(reading)
    if left < 1:
        guard = guard.model_copy(update={"recent": faded(guard.recent, left)})
    if trying:
        if alone:
            stable = [node for node in compared_nodes(losses) if not node.candidate]
            guard = frozen(guard, [(node.history, node.baseline) for node in losses.nodes.values()], stable)
        mine, theirs = sums["candidate"], sums["stable"]
        guard = one_look(guard, (0.0, mine[0], 0.0, mine[1]), (0.0, theirs[0], 0.0, theirs[1]), alone=alone)
        guard = with_recent(guard, 0.0, recent)
    return losses.model_copy(update={"guard": guard, "nodes": nodes})


def _alone(reading: Reading) -> bool:
    """Whether no node is left on the stable version."""
    return bool(reading.candidates) and not reading.others


def _share(losses: LossLedger, reading: Reading, found: Iterable[_Loss], at: int) -> float:
    """Which part of the losses that begin now would be the candidate's: that of its nodes' expected rates. Nodes that are away already, or
    whose loss would be the same as their last one, are not among them.
    """
    if _alone(reading):
        return 0.5 if losses.guard.frozen is not None and losses.guard.frozen.weight else 1.0
    watched = {name: cohort for name, cohort in reading.silences.watched.items() if _record(losses, name).at + SAME_LOSS_SECONDS < at}
    at_risk = {**watched, **{loss.node: loss.cohort for loss in found}}
    broken, rates = _broken(losses), {"candidate": 0.0, "stable": 0.0}
    for name, cohort in at_risk.items():
        if cohort is not None and (cohort == "candidate" or name not in broken):
            rates[cohort] += _record(losses, name).baseline[0]
    whole = sum(rates.values())
    return round(rates["candidate"] / whole, DECIMALS) if whole else 0.0


def _broken(losses: LossLedger) -> frozenset[str]:
    """The stable nodes that are plainly broken, by what they had done before."""
    return names_of_broken({name: Node(candidate=False, sums=node.stable, baseline=node.baseline) for name, node in losses.nodes.items()})


def _added(losses: LossLedger, found: Sequence[_Loss], reading: Reading, at: int) -> LossLedger:
    """Each loss joins the open moment, or begins another one."""
    share, trying = _share(losses, reading, found, at), bool(reading.candidate)
    moment, nodes = losses.moment, dict(losses.nodes)
    for loss in found:
        if moment is not None and (loss.began > moment.began + MOMENT_SECONDS or (loss.node in nodes and nodes[loss.node].weight)):
            whole = losses.model_copy(update={"moment": moment, "nodes": nodes})
            losses = closed(_weighted(whole, reading.silences), trying=trying)
            moment, nodes = None, dict(losses.nodes)
        moment = moment or OpenMoment(began=loss.began, share=share)
        node = nodes.get(loss.node) or _record(losses, loss.node)
        update = {"at": loss.began, "cohort": loss.cohort, "weight": 1.0, "times": node.times + trying}
        nodes[loss.node] = node.model_copy(update=update)
    return _weighted(losses.model_copy(update={"moment": moment, "nodes": nodes}), reading.silences)


def _weighted(losses: LossLedger, seen: Silences) -> LossLedger:
    """The weights of the open moment's losses, as many as there are by now.

    Losses of one node depend on each other, too: the second one of an attempt weighs a half, the third one a third. A weight below 1
    keeps a test valid, and so no flapping node decides alone.
    """
    names = [name for name, node in losses.nodes.items() if node.weight]
    if not names:
        return losses
    mine = [name for name in names if losses.nodes[name].cohort == "candidate"]
    each = float(moment(len(mine), len(names) - len(mine)).weight)
    of_site = Counter(seen.sites.get(name, ()) for name in mine) if len(mine) == len(names) else Counter[Stratum]()
    most, nodes = SITE_SHARE * len(_canaries(losses, seen)), dict(losses.nodes)
    for name in names:
        together = of_site[seen.sites.get(name, ())]
        part = each / together if 1 < together <= most else each
        node = nodes[name]
        nodes[name] = node.model_copy(update={"weight": round(part / max(1, node.times), DECIMALS)})
    return losses.model_copy(update={"nodes": nodes})


def _canaries(losses: LossLedger, seen: Silences) -> frozenset[str]:
    """The nodes that took the candidate."""
    took = (name for name in seen.members if seen.watched.get(name) == "candidate" or _record(losses, name).candidate[1] > 0)
    return frozenset(took) | _lost(losses, "candidate")


def _lost(losses: LossLedger, cohort: Cohort, since: int | None = None) -> frozenset[str]:
    """The nodes that fell silent in a cohort and are away.

    Args:
        since: those that were lost since then count as well.
    """
    return frozenset(
        name
        for name, node in losses.nodes.items()
        if node.cohort == cohort and (node.away or (since is not None and node.at >= max(1, since)))
    )


def _away(losses: LossLedger, reading: Reading, at: int) -> Away:
    """How many nodes of each cohort are away. A node that was switched off all the time is in neither."""
    seen = reading.silences
    mine, theirs = (_lost(losses, cohort, at - AWAY_SECONDS) for cohort in ("candidate", "stable"))
    canaries = _canaries(losses, seen) | mine
    others = {name for name in reading.others if seen.watched.get(name) == "stable" or _record(losses, name).stable[1] > 0}
    return Away(candidate=len(mine), canaries=len(canaries), stable=len(theirs & others), others=len(others))
