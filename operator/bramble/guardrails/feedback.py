"""Mistakes among the predictions that people judged of their own accord.

An event is an answer for which `POST /v1/feedback` brought the true label with `"origin": "volunteered"` within an hour: a person saw the
answer and said what is true. People speak up about mistakes rather than about right answers, and those who do are not everybody. So
the rate says little by itself. Compared with the stable version at the same time, a rate that rises is a warning all the same.

So this guardrail can undo a candidate, and is never the only reason to promote one: a spec must name another metric beside it. Like every
guardrail of a spec it must pass before a step ends; a `ceiling` lets a version pass about which nobody complains.

An agent that is older than this metric counts what people volunteer as labelled: upgrade all agents of a fleet before you send `origin`.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

FEEDBACK = EventShare(
    name="feedback",
    description="share of mistakes among predictions that people judged of their own accord",
    event="predictions that people judged",
    bad=("volunteered_wrong",),
    among=("volunteered_right", "volunteered_wrong"),
    happened="were wrong",
    promotes=False,
)
