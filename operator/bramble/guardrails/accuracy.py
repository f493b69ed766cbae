"""Mistakes among the predictions that were labelled.

An event is an answer for which labelling brought the true label within an hour, by `POST /v1/feedback`. Whether an answer is labelled must
not depend on the answer: label a random part, or all. What people volunteer is another metric, [feedback](#feedback). Without labels
nothing is counted, and the guardrail stays undecided.

One number for all classes hides a rare class that got worse: [recall](#recall) and [precision](#precision) look at one class.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

ACCURACY = EventShare(
    name="accuracy",
    description="share of mistakes among labelled predictions",
    event="labelled predictions",
    bad=("wrong",),
    among=("right", "wrong"),
    happened="were wrong",
)
