"""Deaths of the agent's process while it serves the version.

Crashes are counted on the device's disk and stay when the agent starts again; requests are counted since it started. So the rate is highest
right after a crash. A reboot is no crash: most likely the power was cut. Every model of a node that dies gets a crash, since it cannot be
known which of them was at fault.
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
