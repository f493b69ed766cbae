"""Requests that were well-formed and still got no answer.

A request counts as an error when the model fails on it, when memory runs out, or when too many other requests wait already. A picture that
cannot be decoded is the client's fault and is not counted.
"""

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
