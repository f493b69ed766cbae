"""What both cohorts counted, as a test row."""

from __future__ import annotations

from bramble.evidence.nodes import look
from bramble.evidence.ratio import SAME, RatioTest
from bramble.evidence.verdict import Levels
from bramble.guardrails.evidence import GuardEvidence, Tally

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=1)
"""A Fail needs ln(100) = 4.6 nats, a Pass ln(20) = 3.0."""

ONE_IN_TEN = 0.1
"""The candidate's part of the events."""


def counted(
    metric: str, candidate: tuple[int, int], stable: tuple[int, int], *, margin: float = 2, nodes: int = 3, **more: object
) -> GuardEvidence:
    """Evidence of one look.

    Args:
        candidate, stable: bad events and events.
        margin: `max_ratio` of the rule.
        nodes: on how many nodes each cohort counted them.
    """
    (bad, events), (others_bad, others) = candidate, stable
    share = events / (events + others) if events + others else 0.0
    return GuardEvidence.model_validate(
        {
            "metric": metric,
            "candidate": Tally(bad=bad, events=events, nodes=nodes if events else 0),
            "stable": Tally(bad=others_bad, events=others, nodes=nodes if others else 0),
            "ratio": look(RatioTest(margin), (), bad, bad + others_bad, share),
            "better": look(SAME, (), bad, bad + others_bad, share),
            "share": share,
            "seconds": 60.0,
            **more,
        }
    )
