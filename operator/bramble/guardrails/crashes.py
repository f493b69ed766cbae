"""`crashes`: deaths of the agent's process while it served the version; reboots do not count.

Requests are counted since the process started, and crashes are kept on the disk: the rate is highest right after a crash.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

CRASHES = EventShare(
    name="crashes",
    description="deaths of the agent per request since it started, reboots left out",
    event="requests",
    bad=("crashes",),
    among=("requests",),
    happened="ended in a crash",
)
