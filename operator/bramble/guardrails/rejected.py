"""Requests that reached a loaded model and were refused, because the model does not take them (status 400, 413 or 415).

Mostly this is the client's fault, and then the stable version refuses as many. A candidate that takes fewer pictures than the stable
version, such as smaller ones, is found by nothing else: it answers all that it takes, without an error.

An agent that is older than this metric does not count refused requests: upgrade all agents of the fleet before a Rollout names it.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

REJECTED = EventShare(
    name="rejected",
    description="share of requests that the model does not take",
    event="requests",
    bad=("rejected",),
    among=("requests", "rejected"),
    happened="were refused with 400, 413 or 415",
)
