"""The processes of `make hostile` begin when they are told, and end when they are told with what came of their tricks."""

from __future__ import annotations

import sys

from tests.hostile.attack import attackers
from tests.ports import free_port


async def test_attackers_end_when_they_are_told_and_say_what_came_of_their_tricks() -> None:
    known = {"model": "a.digits", "agents": {"room-0": f"http://127.0.0.1:{free_port()}"}}
    async with attackers(("client",), known, sys.stderr) as attack:
        attack.begin()
        await attack.end()
    assert all(name.startswith(("picture", "request", "connections", "feedback", "reading")) for name in attack.done["client"])
