"""`errors`: requests that got no answer through no fault of their own."""

from __future__ import annotations

from bramble.guardrails.base import EventShare

ERRORS = EventShare(
    name="errors",
    description="share of requests answered with an error",
    event="requests",
    bad=("errors",),
    among=("requests",),
    happened="failed",
)
