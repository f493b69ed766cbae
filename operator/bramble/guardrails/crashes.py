"""Deaths of the agent's process while it serves the version.

Crashes are counted on the device's disk and stay when the agent starts again. They are compared with the requests of the whole attempt: the
operator keeps what it has read of an agent before it died. A reboot is no crash: most likely the power was cut. A crash counts for every
model that may have caused it: those that worked on a request at that moment or, if none is known to have, all that were served.
"""

from __future__ import annotations

from bramble.guardrails.base import EventShare

CRASHES = EventShare(
    name="crashes",
    description="deaths of the agent per request, reboots left out",
    event="requests",
    bad=("crashes",),
    among=("requests",),
    happened="ended in a crash",
    kept_on_disk=True,
)
