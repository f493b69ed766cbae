"""What every guardrail metric has that compares how something grows on nodes."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.evidence.verdict import Levels
from bramble.guardrails.base import Metric, Rule, Verdict
from bramble.guardrails.evidence import GuardEvidence

MIB = 2**20

DEFAULT_GROWTH = 1.0
"""MiB per hour: 24 MiB a day. Used for a rule without an allowed growth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrowthMetric(Metric):
    """A metric that compares how something grows on nodes, at looks that are fixed beforehand (`bramble.evidence.growth`).

    It fails at a look that shows that the candidate's grows faster by more than is allowed, or by more than its limit. It passes at a look
    that shows that it does not, and at the last one. Early looks fail nobody, and neither does growth that will not last.
    """

    takes: frozenset[str] = frozenset({"allowedGrowth", "growthLimit", "minNodes"})

    def tests(self, rule: Rule) -> int:
        """The comparison with the stable cohort, and the limit."""
        return (0 if rule.absolute else 1) + (0 if rule.growth_limit is None else 1)

    def stands_alone(self, rule: Rule) -> bool:
        """Its limit can."""
        return rule.growth_limit is not None

    def figure(self, rate: float) -> str:
        """Mebibytes per hour."""
        return f"{rate:.3g} MiB/h"

    def difference(self, verdict: Verdict) -> str:
        """Mebibytes per hour; empty where one cohort was not looked at."""
        return f"{verdict.candidate_rate - verdict.stable_rate:+.3g} MiB/h" if verdict.candidate_nodes and verdict.stable_nodes else ""

    def judge(self, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
        """Compare the evidence with what a decision needs (`bramble.guardrails.growth_judging`)."""
        from bramble.guardrails.growth_judging import judge  # brings numpy, which programs that only read the API's models do not need

        return judge(self, rule, evidence, levels)
