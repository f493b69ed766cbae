"""Nodes that fell silent for 30 s, or rebooted, while they served the version.

The operator itself sees which nodes are silent, so the devices count nothing for it. Silence counts only where it is proven: every replica
of the gateway answers and has been up for 15 s. An event is a minute in which a node was watched, and a bad event is a loss. None of the
numbers below can be set.

| the first that is so | verdict |
|---|---|
| Half of the canaries or more, and at least two, are away at once, and of the stable nodes a share that is five times smaller. | Fail |
| Canaries are shown to be lost more than 1.5 times as often as stable nodes, for the time in which they were watched. | Fail |
| The evidence for that is less than half of what undoes a version. So it always is while no canary is lost. | Pass |
| Canaries are shown to be lost less than 1.5 times as often as stable nodes, or less than once a day and node. | Pass |
| otherwise | Undecided |

So single silences and planned reboots undo nothing. With 10 canaries among 100 nodes and no other guardrail, the second lost canary still
passes, the third one holds the step, and the fourth one undoes the version, if no stable node is lost in the same time. A fleet that loses
no node is never held up. A step that is held ends once the nodes were watched for long enough without a further loss, or at
`analysis.deadline`.

A node is away while it is silent, and for five minutes after it fell silent where it is back already. The first row needs no statistics. It
stands outside of `falseRollbackRate`, as refusals do; the second row has its part of that rate like every other guardrail.

- Losses that begin within a minute depend on each other. With y stable nodes among them, each counts as a y-th. Without any, canaries with
  the same values of the fleet's `stratifyBy` labels count as one, up to a quarter of the canaries. So a site without network is one loss.
- A second loss of a node in an attempt counts half, a third one a third. Within an hour after a loss the node is not counted again.
- Nodes differ in how often they fall silent. Each is compared with its own history, which is halved every day.
- What a node served when it fell silent decides for which version it counts, whether it gave the candidate up after that or not.
- A canary stays counted when its Node is deleted or leaves the fleet, and when operator and gateway restart.
- In the last step the losses of the stable nodes before it are compared with, as for the other guardrails. Once these are used up, only
  the first row can fail.
- A first version is compared with the nodes that do not have it yet. In its last step lost nodes undo nothing.

A single canary that dies does not undo a version, since any node may die. Its step does not end either, because half of a step's nodes
have to serve the version for the whole `bake`; after `analysis.deadline`, `onUndecided` decides. Begin with two canaries or more, so that
a version that kills its nodes is undone at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.evidence.verdict import DAY, HOUR, MINUTE, Levels
from bramble.guardrails.base import Metric, Rule, Verdict
from bramble.guardrails.evidence import Away, GuardEvidence, Tally

MAX_RATIO = 1.5

DAILY = round(MINUTE / DAY, 6)
"""One loss a day and node, in losses per minute of a node. A version that loses nodes less often than that may be promoted."""

SUSPECT = 0.5
"""The part of the evidence for a Fail from which on losses hold a step up. Below it a version passes. An unchanged one loses nodes, too,
and on a fleet that loses few nodes it could never be shown to be fine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost(Metric):
    """Losses per time in which nodes were watched, compared with those of the stable cohort. Counted by the operator."""

    def tests(self, rule: Rule) -> int:  # noqa: ARG002
        """The comparison with the stable cohort. That half of the canaries are away is no test."""
        return 1

    def judge(self, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
        """Compare the evidence with what a decision needs. A Fail wins over a Pass."""
        from bramble.evidence.losses import most_are_lost  # these bring numpy, which programs that only read the API's models do not need
        from bramble.guardrails.judging import below, fine_beside_stable, more_good_events, worse_than_stable

        numbers, away = _numbers(evidence), evidence.away or Away()
        if most_are_lost(away.candidate, away.canaries, away.stable, away.others):
            gone = f"{away.candidate} of {away.canaries} candidate nodes are away, and {away.stable} of {away.others} others"
            return self.verdict("Fail", evidence, gone, to_fail=1.0)
        worse, fine = worse_than_stable(rule, evidence), fine_beside_stable(rule, evidence)
        if rule.ceiling is not None:
            fine, levels = max(fine, below(rule.ceiling, evidence.candidate)), levels.among(2)
        outcome = levels.outcome(worse, fine)
        if outcome == "Fail":
            return self.verdict("Fail", evidence, f"{numbers}; shown to be above {rule.max_ratio:g} × stable", worse / levels.fail_at)
        if outcome == "Pass" or worse < SUSPECT * levels.fail_at:
            return self.verdict("Pass", evidence, numbers, worse / levels.fail_at, 1.0)
        message = f"{numbers}; so many losses hold the step"
        if rule.ceiling is not None:
            more = more_good_events(levels, rule.ceiling, evidence.candidate)
            message += f" until the nodes were watched for {_time(more)} more without one"
        return self.verdict("Undecided", evidence, message, worse / levels.fail_at, fine / levels.pass_at)


def _numbers(evidence: GuardEvidence) -> str:
    before = " before" if evidence.frozen else ""
    return f"{_losses(evidence.candidate)} candidate nodes, {_losses(evidence.stable)} stable nodes{before}"


def _losses(tally: Tally) -> str:
    return f"{tally.bad} loss{'' if tally.bad == 1 else 'es'} in {_time(tally.events)} of {tally.nodes}"


def _time(minutes: int) -> str:
    """Time of nodes: two nodes in one hour are two hours."""
    return f"{minutes} minutes" if minutes < 2 * HOUR / MINUTE else f"{minutes * MINUTE / HOUR:.0f} hours"


LOST = Lost(
    name="lost",
    description="losses of nodes, which fall silent for 30 s or reboot while they serve the version, per minute",
    event="minutes of nodes",
    always=Rule(metric="lost", max_ratio=MAX_RATIO, ceiling=DAILY, min_events=0, min_nodes=0),
)
