"""Mistakes among the predictions for which somebody sent the true label.

An event is an answer for which `POST /v1/feedback` brought the true label within an hour. Without feedback nothing is counted, and the
guardrail stays undecided.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

ACCURACY = EventShare(
    name="accuracy",
    description="share of mistakes among predictions with feedback",
    event="predictions with feedback",
    bad=("wrong",),
    among=("right", "wrong"),
    happened="were wrong",
)
