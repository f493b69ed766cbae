"""`accuracy`: mistakes among the predictions for which somebody sent the true label."""

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
