"""Requests that were well-formed, reached a loaded model, and still got no answer.

A request counts as an error when the model fails on it or memory runs out (status 500). It then also counts as one of the `requests`.
Requests that the model does not take (400, 413, 415) count as `rejected`; requests beyond what a client may send at once (429), and those
for a model that is not loaded yet (503), count neither as errors nor as requests.
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
