"""One look of a guardrail's test, and the history that it compares with once no node is left on the stable version. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from bramble.evidence.nodes import Node, former_cohort, look
from bramble.evidence.ratio import SAME
from bramble.guardrails.evidence import Tally
from bramble.kinds.rollout.ledger import ZERO, Frozen, Guard, Pair

HALF_LIFE_SECONDS = 86400
"""After so long, what a node counted weighs half in its history."""

HISTORY_DIGITS = 7
"""Significant digits of what is kept of a node's history. A number loses a 4,000th in 30 seconds: with fewer digits it would never get
smaller."""


def fading(seconds: float) -> float:
    """What is left of a history after so many seconds, as a share."""
    return float(0.5 ** (seconds / HALF_LIFE_SECONDS))


def faded(history: Pair, share: float) -> Pair:
    """A node's history of which this share is left."""
    bad, events = (float(f"{number * share:.{HISTORY_DIGITS - 1}e}") for number in history)
    return bad, events


def in_half_octaves(history: Pair) -> int:
    """How many events a history has, as what `events_in` gives back to within a fifth; 0 for less than one. The ledger has little room."""
    return 1 + round(2 * log2(history[1])) if history[1] >= 1 else 0


def events_in(half_octaves: int) -> float:
    """About how many events a history had."""
    return float(2 ** ((half_octaves - 1) / 2)) if half_octaves else 0.0


def frozen(guard: Guard, histories: Sequence[tuple[Pair, Pair]], stable: Sequence[Node]) -> Guard:
    """Every node has the candidate: from now on it is compared with the history of the stable version.

    Args:
        histories: history and baseline of each node.
        stable: what the nodes of the stable cohort did in this attempt.
    """
    if guard.frozen is not None:
        return guard
    bad, events = (sum(history[place] for history, _ in histories) for place in (0, 1))
    weight = sum(history[1] * baseline[0] for history, baseline in histories)
    recent_bad, recent_weight = min(bad, guard.recent[0]), min(weight, guard.recent[1])
    whole = Tally(bad=round(bad), events=round(events), nodes=sum(history[1] > 0 for history, _ in histories))
    former = former_cohort([node for node in stable if node.sums[1] > 0])
    history = Frozen(
        bad=bad - recent_bad,
        weight=weight - recent_weight,
        again=(recent_bad, recent_weight),
        whole=whole,
        whole_weight=weight,
        drift=float(former.allowed),
        variance=float(former.variance),
    )
    return guard.model_copy(update={"frozen": history})


def with_recent(guard: Guard, bad: float, weight: float) -> Guard:
    """The guardrail after the histories of the stable nodes have grown by this in the attempt.

    Args:
        weight: events, each times its node's expected rate.
    """
    return guard.model_copy(update={"recent": (guard.recent[0] + bad, guard.recent[1] + weight)}) if bad or weight else guard


def one_look(guard: Guard, candidate: Sequence[float], stable: Sequence[float], *, alone: bool) -> Guard:
    """One look of a guardrail's test.

    Args:
        candidate, stable: bad events, events, compared bad events, and weighted events in this interval.
        alone: whether no node is left on the stable version.
    """
    bad, events, _, weight = candidate
    update: dict[str, object] = {}
    other_bad, other_weight = stable[2], stable[3]
    if alone and guard.frozen is not None:
        history = guard.frozen
        if history.weight <= 0 < history.again[1]:
            history = history.model_copy(update={"bad": history.again[0], "weight": history.again[1], "again": ZERO})
        other_weight = min(weight, history.weight)
        other_bad = history.bad * other_weight / history.weight if history.weight else 0.0
        left = {"bad": round(history.bad - other_bad, 6), "weight": max(0.0, history.weight - other_weight)}
        update["frozen"] = history.model_copy(update=left)
    whole = weight + other_weight
    if whole and bad + other_bad:
        counts = (bad, bad + other_bad, weight / whole)
        update["ratio"], update["better"] = look(guard.test, guard.ratio, *counts), look(SAME, guard.better, *counts)
    update["candidate"] = (guard.candidate[0] + bad, guard.candidate[1] + events)
    update["stable"] = (guard.stable[0] + stable[0], guard.stable[1] + stable[1])
    update["weights"] = (guard.weights[0] + weight, guard.weights[1] + stable[3])
    update["compared_bad"] = guard.compared[0] + stable[2]
    return guard.model_copy(update=update)
